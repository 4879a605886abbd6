"""Commands about datasets, one file a topic."""
