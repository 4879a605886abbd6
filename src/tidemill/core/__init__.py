"""Names, digests, errors, clock, settings: what every floor above speaks in. Standard library only."""
