"""The catalog's tables as they are now. ``migrations/`` is how a database gets there."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
)

metadata = MetaData()

LARGE = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number of 64 bits, which SQLite has by any name."""

runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("pipeline", String, nullable=False),
    Column("file", String),
    Column("parameters", JSON, nullable=False),
    Column("trigger", String, nullable=False),
    Column("status", String, nullable=False),
    Column("started_at", String, nullable=False),
    Column("finished_at", String),
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("outputs", JSON, nullable=False),
    Column("error", JSON),
    Column("code", String),
    Column("environment", String),
    Index("runs_by_pipeline", "pipeline", "started_at"),
)

steps = Table(
    "steps",
    metadata,
    Column("run", String, ForeignKey("runs.id"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("component", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("status", String, nullable=False),
    Column("key", String),
    Column("parts", JSON, nullable=False),
    Column("outputs", JSON, nullable=False),
    Column("why", String, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("finished_at", String, nullable=False),
    Column("rows_in", LARGE),
    Column("rows_out", LARGE),
    Column("rows_computed", LARGE),
    Column("peak_bytes", LARGE),
    Column("log", String),
    Column("error", JSON),
    Column("started_at", String),
    Column("host", String),
    Column("read_bytes", LARGE),
    Column("written_bytes", LARGE),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("digest", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("size_bytes", LARGE, nullable=False),
    Column("meta", JSON, nullable=False),
    Column("created_at", String, nullable=False),
)

cache = Table(
    "cache",
    metadata,
    Column("key", String, primary_key=True),
    Column("outputs", JSON, nullable=False),
    Column("created_at", String, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("name", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", String, nullable=False),
    Column("run", String, ForeignKey("runs.id"), nullable=False, unique=True),
    Column("framework", String, nullable=False),
    Column("signature", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("created_at", String, nullable=False),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("run", String, ForeignKey("runs.id"), primary_key=True),
    Column("passed", Boolean, nullable=False),
    Column("against", String),
    Column("rules", JSON, nullable=False),
    Column("decided_at", String, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("name", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("digest", String, nullable=False, unique=True),
    Column("run", String, ForeignKey("runs.id"), nullable=False, unique=True),
    Column("author", String, nullable=False),
    Column("created_at", String, nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", String, primary_key=True),
    Column("environment", String, nullable=False),
    Column("release_name", String, nullable=False),
    Column("release_number", Integer, nullable=False),
    Column("release_digest", String, nullable=False),
    Column("status", String, nullable=False),
    Column("author", String, nullable=False),
    Column("started_at", String, nullable=False),
    Column("finished_at", String),
    Column("reason", String, nullable=False),
    Column("number", Integer),
    Column("back_from", Integer),
    Column("place", String),
    Column("machine", String),
    Column("kind", String),
    Column("asked_from", String),
    Column("wish", Integer),
    Index("deployments_by_environment", "environment", "started_at"),
)

deployment_changes = Table(
    "deployment_changes",
    metadata,
    Column("deployment", String, ForeignKey("deployments.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("environment", String, nullable=False),
    Column("status", String, nullable=False),
    Column("author", String, nullable=False),
    Column("machine", String, nullable=False),
    Column("changed_at", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("place", String),
    Index("deployment_changes_by_environment", "environment"),
)

wishes = Table(
    "wishes",
    metadata,
    Column("environment", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("verb", String, nullable=False),
    Column("release_name", String),
    Column("release_number", Integer),
    Column("live", Integer),
    Column("author", String, nullable=False),
    Column("machine", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("wished_at", String, nullable=False),
    Column("state", String, nullable=False),
    Column("taken_at", String),
    Column("answered_at", String),
    Column("answered_by", String),
    Column("answer", String),
    Column("error", JSON),
)

lookouts = Table(
    "lookouts",
    metadata,
    Column("environment", String, primary_key=True),
    Column("place", String, primary_key=True),
    Column("machine", String, nullable=False),
    Column("looked_at", String, nullable=False),
    Column("ended_at", String),
    Column("release_name", String),
    Column("release_number", Integer),
    Column("address", String),
)

firings = Table(
    "firings",
    metadata,
    Column("trigger", String, primary_key=True),
    Column("cause", String, primary_key=True),
    Column("run", String),
    Column("outcome", String),
    Column("fired_at", String, nullable=False),
    Column("dataset", String),
    Column("branch", String),
)

reviews = Table(
    "reviews",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("title", String, nullable=False),
    Column("description", String, nullable=False),
    Column("source", String, nullable=False),
    Column("target", String, nullable=False),
    Column("author", String, nullable=False),
    Column("state", String, nullable=False),
    Column("opened_at", String, nullable=False),
    Column("ended_at", String),
    Column("ended_by", String),
    Column("source_commit", String),
    Column("target_commit", String),
    Column("merge_commit", String),
)

approvals = Table(
    "approvals",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("review", Integer, primary_key=True),
    Column("author", String, primary_key=True),
    Column("head", String, primary_key=True),
    Column("given_at", String, nullable=False),
    ForeignKeyConstraint(["dataset", "review"], ["reviews.dataset", "reviews.number"]),
)

comments = Table(
    "comments",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("review", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("author", String, nullable=False),
    Column("text", String, nullable=False),
    Column("row", String),
    Column("written_at", String, nullable=False),
    ForeignKeyConstraint(["dataset", "review"], ["reviews.dataset", "reviews.number"]),
)

label_queues = Table(
    "label_queues",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("dataset", String, nullable=False),
    Column("commit", String, nullable=False),
    Column("source", String),
    Column("branch", String, nullable=False),
    Column("column", String, nullable=False),
    Column("classes", JSON, nullable=False),
    Column("selection", JSON, nullable=False),
    Column("model", String),
    Column("content", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("labels", Integer, nullable=False),
    Column("referee", String),
    Column("author", String, nullable=False),
    Column("opened_at", String, nullable=False),
    Column("closed_at", String),
    Index("label_queues_by_name", "name", "opened_at"),
)

label_rows = Table(
    "label_rows",
    metadata,
    Column("queue", String, ForeignKey("label_queues.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("row", String, nullable=False),
    Column("state", String, nullable=False),
    Column("label", String),
    Column("decided_by", String),
    Column("decided_at", String),
    Column("commit", String),
    Index("label_rows_by_state", "queue", "state", "position"),
)

label_turns = Table(
    "label_turns",
    metadata,
    Column("queue", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("role", String, primary_key=True),
    Column("author", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("state", String, nullable=False),
    Column("time", String, nullable=False),
    Column("until", String),
    Column("label", String),
    Column("suggestion", String),
    ForeignKeyConstraint(["queue", "position"], ["label_rows.queue", "label_rows.position"]),
)

garbage = Table(
    "garbage",
    metadata,
    Column("digest", String, primary_key=True),
    Column("size_bytes", LARGE, nullable=False),
    Column("marked_at", String, nullable=False),
)

pairing = Table(
    "pairing",
    metadata,
    # One row at most: 1.
    Column("place", Integer, primary_key=True),
    Column("id", String, nullable=False),
    Column("address", String, nullable=False),
    Column("paired_at", String, nullable=False),
)
