"""Labelling: queues, the rows of them that somebody had, and each person's turns at these rows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "label_queues",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("commit", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("branch", sa.String(), nullable=False),
        sa.Column("column", sa.String(), nullable=False),
        sa.Column("classes", sa.JSON(), nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.Column("referee", sa.String(), nullable=True),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("opened_at", sa.String(), nullable=False),
        sa.Column("closed_at", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("label_queues_by_name", "label_queues", ["name", "opened_at"])
    op.create_table(
        "label_rows",
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("row", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.String(), nullable=True),
        sa.Column("commit", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["queue"], ["label_queues.id"]),
        sa.PrimaryKeyConstraint("queue", "position"),
    )
    op.create_index("label_rows_by_state", "label_rows", ["queue", "state", "position"])
    op.create_table(
        "label_turns",
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("time", sa.String(), nullable=False),
        sa.Column("until", sa.String(), nullable=True),
        sa.Column("label", sa.String(), nullable=True),
        sa.Column("suggestion", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["queue", "position"], ["label_rows.queue", "label_rows.position"]),
        sa.PrimaryKeyConstraint("queue", "position", "role", "author"),
    )
