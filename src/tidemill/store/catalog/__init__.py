"""The records of a store in SQL: one table a noun, one file a noun. The only folder that imports SQLAlchemy."""
