"""Deployments: the folder and the machine that serve each, its number, and what a rollback took off."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of what was recorded before, none is known."""
    op.add_column("deployments", sa.Column("number", sa.Integer(), nullable=True))
    op.add_column("deployments", sa.Column("back_from", sa.Integer(), nullable=True))
    op.add_column("deployments", sa.Column("place", sa.String(), nullable=True))
    op.add_column("deployments", sa.Column("machine", sa.String(), nullable=True))
