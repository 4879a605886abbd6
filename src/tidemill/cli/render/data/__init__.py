"""Datasets, drawn; one file a topic."""
