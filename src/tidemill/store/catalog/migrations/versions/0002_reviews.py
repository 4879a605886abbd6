"""Reviews of a dataset's branches, with who approved them and what was said."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "reviews",
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("opened_at", sa.String(), nullable=False),
        sa.Column("ended_at", sa.String(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("source_commit", sa.String(), nullable=True),
        sa.Column("target_commit", sa.String(), nullable=True),
        sa.Column("merge_commit", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("dataset", "number"),
    )
    op.create_table(
        "approvals",
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("review", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("head", sa.String(), nullable=False),
        sa.Column("given_at", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["dataset", "review"], ["reviews.dataset", "reviews.number"]),
        sa.PrimaryKeyConstraint("dataset", "review", "author", "head"),
    )
    op.create_table(
        "comments",
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("review", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("row", sa.String(), nullable=True),
        sa.Column("written_at", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["dataset", "review"], ["reviews.dataset", "reviews.number"]),
        sa.PrimaryKeyConstraint("dataset", "review", "number"),
    )
