"""A pandas frame as Arrow columns, so that the same frame comes back: index, names and types."""
