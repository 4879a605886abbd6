"""Pages of what the data use cases found: one HTML file each, that needs no network."""
