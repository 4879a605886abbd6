"""Environments: a release goes in, another comes out, and at every moment one of them answers.

What serves is what the running server says, not what the catalog says: a promotion that was killed half-way
is settled by the next command that asks it (``recover``).
"""
