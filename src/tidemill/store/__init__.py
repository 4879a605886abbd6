"""One address that holds everything: blobs, catalog, locks, and the layout's version."""
