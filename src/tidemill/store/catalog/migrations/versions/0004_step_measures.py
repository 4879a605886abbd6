"""Steps: when each began, on which machine, and how many bytes it read and wrote."""

import sqlalchemy as sa
from alembic import op

from tidemill.store.catalog.tables import LARGE

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; of steps that were recorded before, nobody knows."""
    op.add_column("steps", sa.Column("started_at", sa.String(), nullable=True))
    op.add_column("steps", sa.Column("host", sa.String(), nullable=True))
    op.add_column("steps", sa.Column("read_bytes", LARGE, nullable=True))
    op.add_column("steps", sa.Column("written_bytes", LARGE, nullable=True))
