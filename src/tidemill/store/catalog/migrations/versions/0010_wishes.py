"""Deployments: what becomes of each is added, never written over; what is wanted of an environment from elsewhere, and who looks."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and tables; what was recorded before keeps the status that it has."""
    op.add_column("deployments", sa.Column("kind", sa.String(), nullable=True))
    op.add_column("deployments", sa.Column("asked_from", sa.String(), nullable=True))
    op.add_column("deployments", sa.Column("wish", sa.Integer(), nullable=True))
    op.create_table(
        "deployment_changes",
        sa.Column("deployment", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("machine", sa.String(), nullable=False),
        sa.Column("changed_at", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["deployment"], ["deployments.id"]),
        sa.PrimaryKeyConstraint("deployment", "position"),
    )
    op.create_index("deployment_changes_by_environment", "deployment_changes", ["environment"])
    op.create_table(
        "wishes",
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("verb", sa.String(), nullable=False),
        sa.Column("release_name", sa.String(), nullable=True),
        sa.Column("release_number", sa.Integer(), nullable=True),
        sa.Column("live", sa.Integer(), nullable=True),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("machine", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("wished_at", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("taken_at", sa.String(), nullable=True),
        sa.Column("answered_at", sa.String(), nullable=True),
        sa.Column("answered_by", sa.String(), nullable=True),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "number"),
    )
    op.create_table(
        "lookouts",
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("machine", sa.String(), nullable=False),
        sa.Column("looked_at", sa.String(), nullable=False),
        sa.Column("ended_at", sa.String(), nullable=True),
        sa.Column("release_name", sa.String(), nullable=True),
        sa.Column("release_number", sa.Integer(), nullable=True),
        sa.Column("address", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("environment", "place"),
    )
