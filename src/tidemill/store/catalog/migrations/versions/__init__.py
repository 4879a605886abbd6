"""The changes, in order; each file is frozen once released."""
