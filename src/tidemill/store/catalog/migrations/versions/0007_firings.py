"""Firings: the branch that their commit was to land on, which tells whether it did."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what was recorded before had landed by then."""
    op.add_column("firings", sa.Column("dataset", sa.String(), nullable=True))
    op.add_column("firings", sa.Column("branch", sa.String(), nullable=True))
