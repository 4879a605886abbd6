"""Datasets as use cases: what a team does with versioned data, one file a topic."""
