"""Alembic's entry: runs the scripts on the connection that ``database.py`` hands over."""

from alembic import context

from tidemill.store.catalog.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
