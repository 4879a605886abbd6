"""How a catalog of any age becomes one of today: Alembic's scripts, one file a change."""
