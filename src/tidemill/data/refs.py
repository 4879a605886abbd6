"""A dataset's refs: which commit each branch and tag names, in one small file that is swapped as a whole.

The truth for heads and tags. A version of the table that no ref leads to is no history: it is what a killed,
refused or beaten commit left. Whoever moves a branch reads the refs, writes the version, and puts new refs in
the place of exactly those that were read; of two at once one loses, and begins again from what is there now.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.errors import AlreadyExists, InvalidInput
from tidemill.core.names import check_name
from tidemill.store import damage

if TYPE_CHECKING:
    from tidemill.store.objects import Objects

MAIN = "main"
LAYOUT = 4
"""Layout 4 names packs, without which old versions cannot be read."""
_WITHOUT_PACKS = 3
"""Layout 3 names the dataset's log and has a digest of itself."""
_WITHOUT_LOG = 2


@dataclass(frozen=True, slots=True)
class Ref:
    """A commit by its id, and the version of this store's table that it is."""

    id: str
    version: int


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Rows that were removed from all of history, and may not come back.

    Attributes:
        ids: Their ``_id``s.
        author: Who removed them.
        time: ``core.clock.stamp``.
        reason: Why.
        purged: Whether this store has removed all that was derived from them too.
    """

    ids: tuple[int, ...]
    author: str
    time: str
    reason: str
    purged: bool = False


@dataclass(frozen=True, slots=True)
class Refs:
    """What each name of a dataset means now.

    Attributes:
        branches: Each branch's newest commit; ``main`` is always there.
        tags: Each tag's commit, for good.
        remotes: What was fetched from other stores, as ``REMOTE/BRANCH``.
        generation: How often history was rewritten: a commit's id and generation name its rows.
        forgotten: What was removed from all of history.
        log: The newest entry of the dataset's log; None of a dataset that is older than its log.
        packs: The files in which the manifests of old versions are; None where there may be none, since an older Tidemill
            is to be able to read it.
    """

    branches: Mapping[str, Ref]
    tags: Mapping[str, Ref] = field(default_factory=dict)
    remotes: Mapping[str, Ref] = field(default_factory=dict)
    generation: int = 0
    forgotten: tuple[Tombstone, ...] = ()
    log: str | None = None
    packs: tuple[str, ...] | None = None

    def named(self, name: str) -> Ref | None:
        """What a branch, tag or fetched branch names."""
        return self.branches.get(name) or self.tags.get(name) or self.remotes.get(name)

    def heads(self) -> list[Ref]:
        """Everything that is named: all of history is what these come from."""
        return [*self.branches.values(), *self.tags.values(), *self.remotes.values()]

    def with_branch(self, name: str, ref: Ref | None) -> "Refs":
        """These refs, with a branch made or moved, or (None) deleted."""
        return replace(self, branches=_with(self.branches, name, ref))

    def with_tag(self, name: str, ref: Ref) -> "Refs":
        """These refs, with a tag more."""
        return replace(self, tags=_with(self.tags, name, ref))

    def says_as(self, other: "Refs") -> bool:
        """Whether each name means the same in others, wherever that lies."""
        return replace(self, log=None, packs=None) == replace(other, log=None, packs=None)

    def body(self) -> dict[str, Any]:
        """What they say, as JSON, but for the log."""
        packs = {} if self.packs is None else {"packs": list(self.packs)}
        return {
            "generation": self.generation,
            "branches": _written(self.branches),
            "tags": _written(self.tags),
            "remotes": _written(self.remotes),
            "forgotten": [dataclasses.asdict(each) for each in self.forgotten],
            **packs,
        }

    def to_bytes(self) -> bytes:
        """As they are stored."""
        if self.log is None:
            assert not self.packs, "packs are in the log"
            body: dict[str, Any] = {"layout": _WITHOUT_LOG, **replace(self, packs=None).body()}
        else:
            layout = _WITHOUT_PACKS if self.packs is None else LAYOUT
            body = {"layout": layout, **self.body(), "log": self.log}
            body["sha256"] = _digest(body)
        return json.dumps(body, indent=1).encode() + b"\n"


REMOVED = json.dumps({"layout": _WITHOUT_LOG, "removed": True}).encode()
"""In the place of refs while a dataset is being made or removed: it is not there yet, or not any more."""
_REMAINS = ("_tidemill/log", "_versions", "data")
"""What a dataset consists of beside its refs."""


def refs_key(dataset: str) -> str:
    """Where in a store a dataset's refs are."""
    return f"datasets/{dataset}.lance/_tidemill/refs.json"


def load(objects: "Objects", dataset: str) -> tuple[Refs | None, str | None]:
    """A dataset's refs, and the tag to swap them by; None for refs that are not there.

    Raises:
        StorageError: ``store-too-new``, when a newer Tidemill wrote them; ``store-damaged``.
    """
    found = objects.get(refs_key(dataset))
    if found is None:
        # Of layout 1 there is no log, and no refs until it is seen.
        check_not_lost(objects, dataset, _REMAINS[:1])
        return None, None
    with _reading(objects, dataset):
        body: dict[str, Any] = json.loads(found[0])
        said = body.pop("sha256", None)
        if said is not None and said != _digest(body):
            raise ValueError("its bytes have another digest than it says")
        layout = int(body["layout"])
    if layout > LAYOUT:
        raise damage.too_new(f"Dataset '{dataset}' has refs of layout {layout}", LAYOUT)
    if body.get("removed"):
        return None, found[1]
    with _reading(objects, dataset):
        if layout > _WITHOUT_LOG and said is None:
            raise ValueError("it has no digest")
        return from_body(body), found[1]


def check_not_lost(objects: "Objects", dataset: str, folders: Sequence[str] = _REMAINS) -> None:
    """Check that a dataset without refs is none: whoever makes or removes one says so in their place first.

    Raises:
        StorageError: ``store-damaged``, when there are files of one.
    """
    prefix = f"datasets/{dataset}.lance"
    for folder in folders:
        if next(objects.list(f"{prefix}/{folder}"), None) is not None:
            with _reading(objects, dataset):
                raise FileNotFoundError(
                    f"it is gone, and there are files of the dataset in {prefix}/{folder}"
                )


def from_body(body: Mapping[str, Any], log: str | None = None) -> Refs:
    """The refs that a body says.

    Raises:
        ValueError: When it is none; also KeyError, TypeError and AttributeError.
    """
    refs = Refs(
        branches=_parsed(body["branches"]),
        tags=_parsed(body["tags"]),
        remotes=_parsed(body["remotes"]),
        generation=int(body["generation"]),
        forgotten=tuple(_tombstone(each) for each in body["forgotten"]),
        log=body.get("log", log),
        packs=tuple(body["packs"]) if "packs" in body else None,
    )
    if MAIN not in refs.branches:
        raise ValueError("it names no branch 'main'")
    return refs


def tombstones(objects: "Objects", dataset: str) -> tuple[Tombstone, ...]:
    """What was forgotten of a dataset, the oldest first; nothing of one that is not there."""
    refs, _ = load(objects, dataset)
    return refs.forgotten if refs else ()


def check_free(dataset: str, kind: str, name: str, refs: Refs) -> None:
    """Check that a new branch or tag may have this name.

    Raises:
        AlreadyExists: ``tag-exists`` or ``branch-exists``.
        InvalidInput: ``invalid-name``.
    """
    check_name(kind, name)
    if name.isdecimal():
        raise InvalidInput(
            f"'{name}' cannot name a {kind}: a plain number names a commit.",
            hint=f"Try 'v{name}'.",
            code=codes.INVALID_NAME,
        )
    for there, names, code in (
        ("branch", refs.branches, codes.BRANCH_EXISTS),
        ("tag", refs.tags, codes.TAG_EXISTS),
    ):
        if name in names:
            raise AlreadyExists(
                f"Dataset '{dataset}' has a {there} '{name}' already.",
                hint="Take another name.",
                code=code,
            )


def _reading(objects: "Objects", dataset: str) -> AbstractContextManager[None]:
    return damage.reading(
        f"The file of refs of dataset '{dataset}'",
        f"Type 'tidemill data repair {dataset}': the dataset's log has what it said. Where that is lost too, "
        f"'tidemill data repair {dataset} --from ADDRESS' gets it from another store, and "
        f"'tidemill data delete {dataset}' lets go of what is left.",
        objects.address,
    )


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _tombstone(body: dict[str, Any]) -> Tombstone:
    return Tombstone(tuple(body["ids"]), body["author"], body["time"], body["reason"], body["purged"])


def _written(names: Mapping[str, Ref]) -> dict[str, Any]:
    return {name: {"id": ref.id, "version": ref.version} for name, ref in sorted(names.items())}


def _parsed(names: Mapping[str, Any]) -> dict[str, Ref]:
    return {name: Ref(str(body["id"]), int(body["version"])) for name, body in names.items()}


def _with(names: Mapping[str, Ref], name: str, ref: Ref | None) -> dict[str, Ref]:
    rest = {n: r for n, r in names.items() if n != name}
    return rest if ref is None else {**rest, name: ref}
