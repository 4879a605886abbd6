"""What a dataset's history is made of, and how a commit is written into a Lance transaction."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidemill.core import identity
from tidemill.core.names import hex_of
from tidemill.data.refs import Ref
from tidemill.store import damage

PROPERTY = "tidemill.commit"
"""The transaction property that makes a Lance version a commit. A version without it is upkeep, no history."""
LAYOUT = 2


@dataclass(frozen=True, slots=True)
class Changes:
    """How many rows came, changed and went."""

    added: int = 0
    changed: int = 0
    removed: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """In the place of rows that a commit had, and that were removed from all of history.

    Attributes:
        rows: How many.
        digest: Names which, without saying it: 12 hex digits.
        author: Who removed them.
        time: ``core.clock.stamp``.
        reason: Why.
    """

    rows: int
    digest: str
    author: str
    time: str
    reason: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One immutable version of a dataset.

    Attributes:
        id: 12 hex digits, the same wherever the commit is seen from.
        number: Its place in its branch's first-parent history; a dataset's first commit is 1.
        branch: The branch it was made on, which may be deleted by now.
        version: Its version in Lance.
        parents: Ids; a merge has two, the first commit none.
        parent_versions: The parents' versions in this store; empty in commits of layout 1, which did not say.
        time: ``core.clock.stamp``.
        rows: How many rows the dataset has at this commit.
        forgotten: What was removed from it since, as history was rewritten.
    """

    id: str
    number: int
    dataset: str
    branch: str
    version: int
    parents: tuple[str, ...]
    parent_versions: tuple[int, ...]
    author: str
    time: str
    message: str
    rows: int
    forgotten: tuple["Forgotten", ...] = ()

    @property
    def state(self) -> str:
        """Names the rows that it has: its id, and what was removed from it since."""
        return "-".join([self.id, *sorted(f.digest for f in self.forgotten)])

    @property
    def ref(self) -> Ref:
        """What names it in this store."""
        return Ref(self.id, self.version)


def commit_id(dataset: str, fields: Mapping[str, identity.Value]) -> str:
    """The id of a commit with these fields, in this dataset: 12 hex digits of their digest."""
    return hex_of(identity.value([dataset, dict(fields)]))[:12]


def properties(
    dataset: str,
    *,
    branch: str,
    parents: Sequence[Ref],
    number: int,
    author: str,
    time: str,
    message: str,
    rows: int,
    changes: Changes,
) -> dict[str, str]:
    """The transaction properties that make a Lance version this commit.

    Where its parents lie is of this store alone, and no part of its id.
    """
    fields: dict[str, identity.Value] = {
        "branch": branch,
        "number": number,
        "parents": [p.id for p in parents],
        "author": author,
        "time": time,
        "message": message,
        "rows": rows,
        "changes": [changes.added, changes.changed, changes.removed],
    }
    places = [p.version for p in parents]
    body = {"layout": LAYOUT, "id": commit_id(dataset, fields), **fields, "parent_versions": places}
    return {PROPERTY: json.dumps(body, ensure_ascii=False)}


def again(
    stored: Mapping[str, str], *, parents: Sequence[int], rows: int, forgotten: Sequence[Forgotten]
) -> dict[str, str]:
    """The properties of a commit that is made again, in another store or without some rows: its id stays.

    Args:
        stored: Its properties.
        parents: The versions that its parents are, where it is made.
        rows: How many it has now.
        forgotten: What was removed from it this time.
    """
    body = json.loads(stored[PROPERTY])
    body |= {"layout": LAYOUT, "rows": rows, "parent_versions": list(parents)}
    marks = [*body.get("forgotten", ()), *map(dataclasses.asdict, forgotten)]
    return {PROPERTY: json.dumps(body | ({"forgotten": marks} if marks else {}), ensure_ascii=False)}


def layout_of(stored: Mapping[str, str]) -> int | None:
    """The layout of the commit that a Lance version with these properties is; None when it is upkeep."""
    return json.loads(stored[PROPERTY])["layout"] if PROPERTY in stored else None


def from_properties(dataset: str, version: int, stored: Mapping[str, str]) -> Commit | None:
    """The commit that a Lance version with these properties is; None when it is upkeep.

    Raises:
        StorageError: ``store-too-new``, when a newer Tidemill wrote it; ``store-damaged``.
    """
    text = stored.get(PROPERTY)
    if text is None:
        return None
    with damage.reading(f"Version {version} of dataset '{dataset}'"):
        body = json.loads(text)
        layout = int(body["layout"])
    if layout > LAYOUT:
        raise damage.too_new(f"Dataset '{dataset}' has a commit of layout {layout}", LAYOUT)
    with damage.reading(f"Version {version} of dataset '{dataset}'"):
        return Commit(
            id=body["id"],
            number=body["number"],
            dataset=dataset,
            branch=body.get("branch", "main"),
            version=version,
            parents=tuple(body["parents"]),
            parent_versions=tuple(body.get("parent_versions", ())),
            author=body["author"],
            time=body["time"],
            message=body["message"],
            rows=body["rows"],
            forgotten=tuple(Forgotten(**mark) for mark in body.get("forgotten", ())),
        )
