"""What may go out and where it runs: gate, bundle, environment lock, environments."""
