"""Checks: what the rows of a dataset must be, and which are not. They read, and change nothing."""
