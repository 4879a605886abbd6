"""What becomes of a dataset's columns from one commit to the next: some come, some go, some change their type."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import listed, nearest
from tidemill.store.table import SYSTEM_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

ALLOW = "--allow-schema-change"


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A change of columns, in words and as what is to be done.

    Attributes:
        added: Columns that come; rows that were there lack them.
        dropped: Columns that go, as they were.
        retyped: Columns that change their type: as they were, and as they will be.
    """

    added: "tuple[pa.Field, ...]" = ()
    dropped: "tuple[pa.Field, ...]" = ()
    retyped: "tuple[tuple[pa.Field, pa.Field], ...]" = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.dropped or self.retyped)

    def words(self) -> list[str]:
        """A sentence's part for each kind: what is done to which columns."""
        retyped = [f"'{new.name}' from {old.type} to {new.type}" for old, new in self.retyped]
        kinds = (
            ("drops", [f"'{f.name}'" for f in self.dropped]),
            ("adds", [f"'{f.name}'" for f in self.added]),
            ("changes", retyped),
        )
        return [f"{verb} {_listed(names)}" for verb, names in kinds if names]


def schema_change(old: "pa.Schema", new: "pa.Schema") -> SchemaChange:
    """What turns the columns of one schema into those of another; system columns and order aside."""
    before, after = ({f.name: f for f in s if f.name not in SYSTEM_COLUMNS} for s in (old, new))
    return SchemaChange(
        added=tuple(f for name, f in after.items() if name not in before),
        dropped=tuple(f for name, f in before.items() if name not in after),
        retyped=tuple(
            (before[name], f) for name, f in after.items() if name in before and before[name].type != f.type
        ),
    )


def refused(dataset: str, change: SchemaChange) -> InvalidInput:
    """The error for a change of columns that nobody allowed."""
    added, dropped = [f.name for f in change.added], [f.name for f in change.dropped]
    close = nearest(added[0], dropped) if added else None
    guess = f" (is it '{close}'?)" if close else ""
    words = change.words()
    return InvalidInput(
        f"The new data does not have the columns of dataset '{dataset}': it {'; it '.join(words)}{guess}.",
        why="Columns are changed only when it is asked for.",
        hint=f"Give it the dataset's columns, or allow the change with {ALLOW}.",
        code=codes.SCHEMA_CHANGE,
        details={
            "extra": added,
            "lacking": dropped,
            "retyped": {new.name: [str(old.type), str(new.type)] for old, new in change.retyped},
        },
    )


def _listed(names: list[str]) -> str:
    return f"column{'s' * (len(names) > 1)} {listed(names, 5)}"
