"""The catalog's tables as they are now: a column for each field of a record. ``migrations/`` is how a database gets there."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

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
from sqlalchemy.schema import SchemaItem

from tidemill.store.catalog import records

metadata = MetaData()

LARGE = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number of 64 bits, which SQLite has by any name."""

_TYPES: dict[Any, Any] = {
    str: String,
    Literal: String,
    int: Integer,
    records.Large: LARGE,
    float: Float,
    bool: Boolean,
    dict: JSON,
    list: JSON,
}

of_records: dict[type[Any], Table] = {}
"""The table of each kind of record."""


def _table(
    name: str,
    record: type[Any],
    keys: int,
    *more: SchemaItem,
    refers: Mapping[str, str] | None = None,
    unique: Collection[str] = (),
) -> Table:
    """The table of a record.

    Args:
        name: Its name.
        record: Has a field for each column.
        keys: How many fields, from the first on, are the primary key.
        more: Its indexes and constraints.
        refers: The column of another table that a column's values are of.
        unique: Columns without two equal values.
    """
    columns: list[Column[Any]] = []
    for number, field in enumerate(fields(record)):
        hints = get_args(field.type) if get_origin(field.type) in (Union, UnionType) else (field.type,)
        (hint,) = (h for h in hints if h is not NoneType)
        columns.append(
            Column(
                field.name,
                _TYPES.get(hint) or _TYPES[get_origin(hint)],
                *([ForeignKey(refers[field.name])] if refers and field.name in refers else []),
                primary_key=number < keys,
                nullable=NoneType in hints,
                unique=field.name in unique or None,
            )
        )
    of_records[record] = Table(name, metadata, *columns, *more)
    return of_records[record]


_of_run = {"run": "runs.id"}

runs = _table("runs", records.Run, 1, Index("runs_by_pipeline", "pipeline", "started_at"))
_table("steps", records.Step, 2, refers=_of_run)
_table("artifacts", records.Artifact, 1)
cache = Table(
    "cache",
    metadata,
    Column("key", String, primary_key=True),
    Column("outputs", JSON, nullable=False),
    Column("created_at", String, nullable=False),
)
models = _table("models", records.Model, 2, refers=_of_run, unique=["run"])
verdicts = _table("verdicts", records.Verdict, 1, refers=_of_run)
releases = _table("releases", records.Release, 2, refers=_of_run, unique=["digest", "run"])
_table(
    "deployments",
    records.Deployment,
    1,
    Index("deployments_by_environment", "environment", "started_at"),
)
_table(
    "deployment_changes",
    records.DeploymentChange,
    2,
    Index("deployment_changes_by_environment", "environment"),
    refers={"deployment": "deployments.id"},
)
_table("wishes", records.Wish, 2)
_table("lookouts", records.Lookout, 2)
_table("firings", records.Firing, 2)
reviews = _table("reviews", records.Review, 2)
_table(
    "approvals",
    records.Approval,
    4,
    ForeignKeyConstraint(["dataset", "review"], ["reviews.dataset", "reviews.number"]),
)
_table(
    "comments",
    records.Comment,
    3,
    ForeignKeyConstraint(["dataset", "review"], ["reviews.dataset", "reviews.number"]),
)
label_queues = _table(
    "label_queues", records.LabelQueue, 1, Index("label_queues_by_name", "name", "opened_at")
)
label_rows = _table(
    "label_rows",
    records.LabelRow,
    2,
    Index("label_rows_by_state", "queue", "state", "position"),
    refers={"queue": "label_queues.id"},
)
label_turns = _table(
    "label_turns",
    records.LabelTurn,
    4,
    ForeignKeyConstraint(["queue", "position"], ["label_rows.queue", "label_rows.position"]),
)
_table("garbage", records.Garbage, 1)
pairing = Table(
    "pairing",
    metadata,
    # One row at most: 1.
    Column("place", Integer, primary_key=True),
    Column("id", String, nullable=False),
    Column("address", String, nullable=False),
    Column("paired_at", String, nullable=False),
)
