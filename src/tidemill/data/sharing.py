"""Push and fetch: two stores come to have the same history of a dataset."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.errors import Conflict, NotFound
from tidemill.core.events import Sink
from tidemill.data.commits import Commit
from tidemill.data.forgetting import rewrite, unknown
from tidemill.data.refs import MAIN, Ref, Refs
from tidemill.data.repairing import mend, wrong_there
from tidemill.data.sweeping import sweep
from tidemill.data.transfer import Copy, Moved, carry, check_related, fetched, lacking, new_tags
from tidemill.data.turns import holding

if TYPE_CHECKING:
    from tidemill.store.open import Store


@dataclass(frozen=True, slots=True)
class Shared:
    """What a push or a fetch did.

    Attributes:
        moved: What travelled.
        branches: Each branch that moved on the side that got it, and its commit there now.
        tags: The tags that are new there.
        forgotten: How many rows were removed from all of history there, as they are forgotten here.
        kept: The tags that name another commit there, and were left.
        mended: The files and commits that the other side had lost, or that were damaged there, and are whole again.
        lost: The files that it has lost, or that are damaged there, and that are not whole here either.
    """

    moved: Moved
    branches: dict[str, str]
    tags: tuple[str, ...]
    forgotten: int = 0
    kept: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def push(
    ours: "Store", theirs: "Store", name: str, remote: str, branches: Sequence[str], sink: Sink
) -> Shared:
    """Bring branches, and the tags on their commits, to another store.

    Args:
        ours: Where they are.
        theirs: Where they go.
        name: The dataset.
        remote: What the other store is called here.
        branches: Which; a dataset that is new there gets ``main`` too.
        sink: Gets ``Progress``.

    Raises:
        Conflict: ``push-rejected`` when a branch moved there, ``tag-differs``; then nothing is changed there.
        NotFound: ``branch-not-found``.
        InvalidInput: ``unrelated-datasets``.
    """
    here, there = Copy.of(ours, name), Copy.of(theirs, name)
    refs = here.refs()
    for branch in branches:
        here.history.head(branch)
    with holding(theirs, name):
        etag = there.history.reserve()
        known = here.known()
        lost = _adopt(there, refs, sink)
        there.refs()
        mended = mend(there, here, wrong_there(there, sink), sink)
        before = there.refs()
        names: list[str] = [*branches, *([] if before.branches else [MAIN])]
        wanted = {branch: refs.branches[branch] for branch in names}
        held = _held(there, before, known)
        _check_ahead(name, remote, wanted, before, known)
        check_related(name, refs, before, met=bool(held & known.keys()))
        commits = lacking(here, wanted.values(), held.__contains__)
        theirs_then = held | {c.id for c in commits}
        tags = {n: r for n, r in new_tags(refs.tags, before.tags).items() if r.id in theirs_then}
        _check_tags(name, remote, refs, before)
        made, moved = carry(here, there, commits, there.place, before.forgotten, sink)

        def ref(of: Ref) -> Ref:
            return Ref(of.id, made[of.id] if of.id in made else there.place(of.id))

        after = replace(
            before,
            branches={**before.branches, **{b: ref(r) for b, r in wanted.items()}},
            tags={**before.tags, **{n: ref(r) for n, r in tags.items()}},
        )
        if before.branches:
            done = after == before or there.history.swap(before, after)
        else:
            first = replace(
                after,
                generation=refs.generation,
                forgotten=tuple(replace(t, purged=True) for t in refs.forgotten),
            )
            done = there.history.begin(first, etag)
        if not done:
            raise _rejected(name, remote, wanted)
    with holding(ours, name):
        # History may have been made again here meanwhile.
        known = here.known()
        here.history.change(lambda mine: fetched_from(mine, remote, after, known))
    gone = {b: r.id for b, r in wanted.items() if before.branches.get(b) != after.branches[b]}
    return Shared(
        replace(moved, size_bytes=moved.size_bytes + mended.size_bytes),
        gone,
        tuple(tags),
        lost,
        mended=(*mended.files, *(f"commit {each}" for each in mended.commits)),
        lost=tuple(each.file for each in mended.left),
    )


def fetch(
    ours: "Store",
    theirs: "Store",
    name: str,
    remote: str,
    sink: Sink,
    losing: "Callable[[Collection[int]], None] | None" = None,
) -> Shared:
    """Bring all that the other store has of a dataset here: its branches as ``REMOTE/BRANCH``, its new tags.

    Rows that were forgotten there are removed from all of history here. A dataset that is not here begins with
    the other's branches as its own.

    Args:
        ours: Where it comes to.
        theirs: Where it is.
        name: The dataset.
        remote: What the other store is called here.
        sink: Gets ``Progress``.
        losing: Told the ``_id``s of rows that are about to be removed from all of history here, while they are there.

    Raises:
        NotFound: ``dataset-not-found``, when the other store does not have it.
        InvalidInput: ``unrelated-datasets``.
    """
    here, there = Copy.of(ours, name), Copy.of(theirs, name)
    refs = there.refs()
    if not refs.branches:
        raise NotFound(
            f"There is no dataset '{name}' in {remote}.",
            hint=f"Type 'tidemill data push {name} {remote}' to bring it there.",
            code=codes.DATASET_NOT_FOUND,
        )
    mine = here.refs()
    new = {i for tombstone in unknown(refs, mine) for i in tombstone.ids} if mine.branches else set[int]()
    if new and losing is not None:
        losing(sorted(new))
    with holding(ours, name):
        etag = here.history.reserve()
        lost = _adopt(here, refs, sink)
        before = here.refs()
        known = here.known() if before.branches else {}
        commits = lacking(there, refs.heads(), known.__contains__)
        met = any(p in known for c in commits for p in c.parents) or not commits
        check_related(name, refs, before, met=met)
        made, moved = carry(there, here, commits, lambda i: known[i].version, before.forgotten, sink)

        def place(commit_id: str) -> int:
            return made[commit_id] if commit_id in made else known[commit_id].version

        if before.branches:
            here.history.change(lambda mine: fetched(mine, remote, refs, place))
        else:
            first = Refs(
                branches={b: Ref(r.id, place(r.id)) for b, r in refs.branches.items()},
                generation=refs.generation,
                forgotten=tuple(replace(t, purged=True) for t in refs.forgotten),
            )
            if not here.history.begin(fetched(first, remote, refs, place), etag):
                raise _appeared(name)
    news = {b: r.id for b, r in refs.branches.items() if _id(before.remotes.get(f"{remote}/{b}")) != r.id}
    kept = tuple(n for n, r in refs.tags.items() if n in before.tags and before.tags[n].id != r.id)
    return Shared(moved, news, tuple(new_tags(refs.tags, before.tags)), lost, kept)


def forward(store: "Store", name: str, branch: str, to: Commit) -> bool:
    """Move a branch to a commit that comes from its head, or make it there.

    Returns:
        Whether it had to; False, too, where the branch has commits of its own: then there is a merge to make.
    """
    with holding(store, name):
        history = Copy.of(store, name).history
        # History may have been made again since the caller found it.
        end = history.resolve(to.id)

        def moved(refs: Refs) -> Refs:
            return refs.with_branch(branch, end.ref) if leads(refs) else refs

        def leads(refs: Refs) -> bool:
            head = refs.branches.get(branch)
            if head == end.ref:
                return False
            return head is None or history.merge_bases(history.at(head), end)[:1] == [history.at(head)]

        before = history.refs()
        history.change(moved)
        return leads(before)


def fetched_from(refs: Refs, remote: str, theirs: Refs, known: dict[str, Commit]) -> Refs:
    """``refs`` with what a push has just seen of the other side, as far as its commits are here."""
    seen = {n: r for n, r in theirs.branches.items() if r.id in known}
    own = {f"{remote}/{n}": known[r.id].ref for n, r in seen.items()}
    return replace(refs, remotes={**refs.remotes, **own})


def _adopt(copy: Copy, theirs: Refs, sink: Sink) -> int:
    """Forget on this side what the other has forgotten; how many rows."""
    refs = copy.refs()
    new = unknown(theirs, refs)
    if not new or not refs.branches:
        return 0
    # What runs and releases of that store name is not known here: every commit is kept that is there.
    named = copy.history.ids()
    rewrite(copy, new, named, sink)
    sweep(copy, set(copy.history.kept(copy.refs(), named)), sink)
    return len({i for tombstone in new for i in tombstone.ids})


def _held(copy: Copy, refs: Refs, known: dict[str, Commit]) -> set[str]:
    """The ids of the commits that a far side has; what is known here is not read there."""
    held: set[str] = set()
    waiting = list(refs.heads())
    while waiting:
        ref = waiting.pop()
        if ref.id in held:
            continue
        if ref.id in known:
            held |= _ancestors(ref.id, known)
        else:
            held.add(ref.id)
            waiting += [p.ref for p in copy.history.parents(copy.history.at(ref))]
    return held


def _ancestors(commit_id: str, known: dict[str, Commit]) -> set[str]:
    found: set[str] = set()
    waiting = [commit_id]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += known[one].parents
    return found


def _check_ahead(
    name: str, remote: str, wanted: dict[str, Ref], before: Refs, known: dict[str, Commit]
) -> None:
    behind = {
        b: r
        for b, r in wanted.items()
        if (there := before.branches.get(b)) and there.id not in _ancestors(r.id, known)
    }
    if behind:
        raise _rejected(name, remote, behind)


def _check_tags(name: str, remote: str, ours: Refs, theirs: Refs) -> None:
    for tag, ref in ours.tags.items():
        if tag in theirs.tags and theirs.tags[tag].id != ref.id:
            raise Conflict(
                f"Tag '{tag}' of dataset '{name}' names commit {ref.id} here and "
                f"{theirs.tags[tag].id} in {remote}.",
                why="A tag names one commit for good.",
                hint=f"Give the commit another tag: 'tidemill data tag {name}@{ref.id} {tag}-2'.",
                code=codes.TAG_DIFFERS,
            )


def _rejected(name: str, remote: str, branches: dict[str, Ref]) -> Conflict:
    first = next(iter(branches))
    return Conflict(
        f"{remote} has commits on {', '.join(branches)} of dataset '{name}' that are not here; "
        "nothing was pushed.",
        why="Somebody else pushed since you last fetched. Taking your side alone would lose their commits.",
        hint=f"Type 'tidemill data pull {name} {remote}"
        + (f" --branch {first}" if first != MAIN else "")
        + "' to merge them with yours, then push again.",
        code=codes.PUSH_REJECTED,
        details={"branches": list(branches)},
    )


def _appeared(name: str) -> Conflict:
    return Conflict(
        f"Another process made dataset '{name}' here at the same moment.",
        hint="Run the same command again.",
        code=codes.OBJECT_CHANGED,
    )


def _id(ref: Ref | None) -> str | None:
    return ref.id if ref else None
