"""Runs: the copy of the code that each was made from, and what was installed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of runs that were recorded before, nothing was kept."""
    op.add_column("runs", sa.Column("code", sa.String(), nullable=True))
    op.add_column("runs", sa.Column("environment", sa.String(), nullable=True))
