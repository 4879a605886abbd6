"""Removing for good: rows from all of history, which is a person's right; and a whole dataset."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidemill.core import codes
from tidemill.core.clock import now, stamp
from tidemill.core.errors import InvalidInput, NotAllowed, StorageError
from tidemill.core.events import Sink, silent
from tidemill.core.figures import counted
from tidemill.core.words import found as found_in
from tidemill.core.words import named as in_words
from tidemill.loop.datasets.asked import Sought
from tidemill.loop.datasets.file_traces import FileTraces, forget_files, refused_rows, would_forget_files
from tidemill.loop.datasets.labelling.forgetting import LabelTraces, forget_labels, label_traces
from tidemill.loop.datasets.machine_traces import clear_machine
from tidemill.loop.datasets.mentions import elsewhere, in_messages, in_server_logs, mentioned
from tidemill.loop.datasets.mentions import redact as take_out
from tidemill.loop.datasets.named import commits_of, named_commits
from tidemill.loop.datasets.release_traces import clear_releases
from tidemill.loop.datasets.traces import (
    commented,
    kept_aside,
    logged,
    purge,
    remove_logged,
    remove_unnamed,
    runs_on,
    trained_on,
)
from tidemill.loop.datasets.views import DeletedView, ForgottenView
from tidemill.loop.quiet import no_run
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Matches
    from tidemill.store.catalog.database import Transaction

_LEAST_WORD = 3
"""Characters of a word that is taken out of texts."""


def forget(
    ws: Workspace,
    name: str,
    where: str,
    reason: str,
    *,
    redact: Sequence[str] = (),
    dry_run: bool = False,
    sink: Sink = silent,
) -> ForgottenView:
    """Remove the rows that a condition holds for in any commit from every commit.

    History is written anew, with the same commits and a mark in those that lost rows. What was derived from the
    rows is removed, and the labels that people gave them, and the predictions they came from. The models and
    releases that were trained on them are listed, and reviews with comments about them. Killed at any moment, it
    leaves the old history, in which the same condition finds the rows again, or the new one; then the next ``gc``
    or ``forget`` finishes.

    Args:
        ws: The project.
        name: The dataset.
        where: An SQL condition over its columns, such as ``customer_id = 7``.
        reason: Why; it stands in the marks.
        redact: Words that are taken out of titles, descriptions, comments and what else people wrote, and by which
            predictions are found too.
        dry_run: Only say what would be removed.
        sink: Gets ``Progress``.

    Raises:
        InvalidInput: ``invalid-where``, ``no-reason``, ``reason-names-row``, ``short-word``.
        Conflict: ``runs-in-progress``.
        NotFound: ``dataset-not-found``.
        StorageError: ``log-in-use``: a prediction log cannot be emptied of them now; nothing else is changed.
    """
    from tidemill.data import Tombstone, find, own_texts  # noqa: PLC0415
    from tidemill.data import forget as remove  # noqa: PLC0415

    if not reason.strip():
        raise InvalidInput(
            "Nothing says why these rows are to be forgotten.",
            why="The reason is what is left in their place.",
            hint='Type --reason "what for".',
            code=codes.NO_REASON,
        )
    if any(len(word.strip()) < _LEAST_WORD for word in redact):
        raise InvalidInput(
            f"A word to redact has {_LEAST_WORD} characters or more.",
            why="A shorter one is a part of many others.",
            hint="Type the whole name, address or number.",
            code=codes.SHORT_WORD,
        )
    key = ws.datasets.open(name).key or ()
    with no_run(ws, name) as write:
        named = named_commits(write, name)
        found = find(ws.store, name, where, named)
        refused, not_asked = refused_rows(ws, name, where)
        found = found.with_rows(refused)
        texts = own_texts(ws.store, name, found)
        _check_reason(reason, [*texts, *redact])
        asked = _clear_asked(
            ws, write, name, found, Sought(found.ids, found.rows, key, {*texts, *redact}), do=not dry_run
        )
        aside = kept_aside(ws, write, runs_on(write, name, found.commits)) if found.ids else []
        redacted = mentioned(write, redact) if dry_run else take_out(write, redact)
        trained, reviews = trained_on(write, name, found.commits), commented(write, name, found.ids)
        labels = label_traces(ws, write, name, found.ids) if dry_run else LabelTraces()
        files = would_forget_files(ws, name, found.ids, found.commits) if dry_run else FileTraces()
        if found.ids and not dry_run:
            tombstone = Tombstone(found.ids, ws.project.author, stamp(now()), reason)
            remove(ws.store, name, tombstone, named, sink)
    # Also what a forget that was killed, or a fetch, left to do.
    removed = Removed(0, labels, files) if dry_run else settle(ws, name, sink)
    if redact and not dry_run:
        # Also what a command that was killed had taken out of records, and not out of their file.
        ws.store.catalog.scrub()
    with ws.store.catalog.read() as read:
        places = mentioned(read, sorted(texts.difference(redact)))
    places += in_messages(ws, name, sorted({*texts, *redact}))
    return ForgottenView(
        name,
        where,
        len(found.ids),
        len(found.commits),
        removed.artifacts,
        removed.labels.labels,
        removed.labels.queues,
        trained,
        reviews,
        asked.predictions,
        asked.samples,
        list(removed.files.rewritten),
        list(removed.files.deleted),
        [*aside, *not_asked, *removed.files.left, *in_server_logs(ws, {*texts, *redact})],
        redacted,
        [p for p in places if not (dry_run and p.startswith("error of"))],
        elsewhere(ws, name) if found.ids else [],
        dry_run=dry_run,
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What was removed of requests about forgotten rows.

    Attributes:
        predictions: ``ENVIRONMENT: COUNT`` of each log that had some.
        samples: ``NAME/NUMBER: 2 sample rows, 1 mistake`` of each release that carried some.
    """

    predictions: list[str]
    samples: list[str]


def _clear_asked(
    ws: Workspace, write: "Transaction", name: str, found: "Matches", sought: Sought, *, do: bool
) -> Asked:
    """Clear what only the rows themselves tell apart, which therefore goes before they do."""
    predictions = logged(ws, write, name, found, sought)
    if do:
        remove_logged(ws, predictions)
    samples = clear_releases(ws, write, runs_on(write, name, found.commits), sought, do=do)
    return Asked([f"{place}: {len(ids)}" for place, ids in predictions.items()], samples)


def before_forgetting(ws: Workspace, name: str, ids: Collection[int]) -> Asked:
    """Clear what another store has forgotten of a dataset, as far as only the rows tell it; then they may go.

    Raises:
        Conflict: ``runs-in-progress``.
        StorageError: ``log-in-use``.
    """
    from tidemill.data import find, own_texts  # noqa: PLC0415

    key = ws.datasets.open(name).key or ()
    with no_run(ws, name) as write:
        found = find(ws.store, name, f"_id in ({', '.join(map(str, ids))})", named_commits(write, name))
        sought = Sought(found.ids, found.rows, key, own_texts(ws.store, name, found))
        return _clear_asked(ws, write, name, found, sought, do=True)


def _check_reason(reason: str, words: Sequence[str]) -> None:
    if there := found_in(reason, words):
        raise InvalidInput(
            f"The reason has a text of these rows in it: {in_words(there)}.",
            why="It is what stays in their place, for all who read the history.",
            hint="Say it without naming the person: --reason 'asked on 3 May, ticket 12'.",
            code=codes.REASON_NAMES_ROW,
        )


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed of what came from forgotten rows: outputs of runs, labels, and files that showed them."""

    artifacts: int
    labels: LabelTraces
    files: FileTraces


def settle(ws: Workspace, name: str, sink: Sink = silent) -> Removed:
    """Remove what was derived from rows that are forgotten since, where that was not done yet.

    Raises:
        Conflict: ``runs-in-progress``.
    """
    from tidemill import data  # noqa: PLC0415

    # Each machine clears its own files, whoever forgot the rows.
    files = forget_files(ws, name, lambda: _named(ws, name))
    if not data.unsettled(ws.store, name):
        clear_machine(ws, name)
        return Removed(0, LabelTraces(), files)
    with no_run(ws, name) as write:
        left = data.settle(ws.store, name, named_commits(write, name), sink)
        artifacts = sum(purge(ws, write, name, tombstone, commits) for tombstone, commits in left)
        labels = forget_labels(ws, write, name, {i for tombstone, _ in left for i in tombstone.ids})
    remove_unnamed(ws)
    ws.store.catalog.scrub()
    clear_machine(ws, name)
    data.settled(ws.store, name, [tombstone for tombstone, _ in left])
    return Removed(artifacts, labels, files)


def _named(ws: Workspace, name: str) -> set[str]:
    with ws.store.catalog.read() as read:
        return named_commits(read, name)


def delete(ws: Workspace, name: str, *, yes: bool = False, force: bool = False) -> DeletedView:
    """Delete a dataset with all its history.

    Args:
        ws: The project.
        name: The dataset.
        yes: Whether it is meant; without it, nothing is deleted and the error says what would be.
        force: Also where releases that are not live depend on it.

    Raises:
        NotAllowed: ``dataset-in-use``, naming the releases; ``not-confirmed``.
        Conflict: ``runs-in-progress``.
        NotFound: ``dataset-not-found``.
    """
    dataset = ws.datasets.open(name)
    with no_run(ws, name) as write:
        _check_unused(write, name, force=force)
        try:
            view = DeletedView(name, len(dataset.log()), dataset.head().rows)
            what = f"has {counted(view.commits, 'commit')} on main and {counted(view.rows, 'row')}"
        except StorageError as error:
            if error.code != codes.STORE_DAMAGED:
                raise
            view, what = DeletedView(name, 0, 0), "is damaged, so that nobody can count what it has"
        if not yes:
            raise NotAllowed(
                f"Dataset '{name}' {what}; deleting it cannot be undone.",
                hint=f"Type 'tidemill data delete {name} --yes' if that is what you want.",
                code=codes.NOT_CONFIRMED,
            )
        ws.datasets.remove(name)
    return view


def _check_unused(read: "Transaction", name: str, *, force: bool) -> None:
    from tidemill.release.history import standing  # noqa: PLC0415
    from tidemill.store.catalog import records  # noqa: PLC0415

    runs = {run.id for run in read.find(records.Run) if commits_of(run, name)}
    releases = [r for r in read.find(records.Release, order=("name", "number")) if r.run in runs]
    serving = {d.release_digest for d in standing(read, None, "live", "starting")}
    live = [r for r in releases if r.digest in serving]
    if releases and not (force and not live):
        shown = ", ".join(f"{r.name}/{r.number}" for r in live or releases)
        one = len(live or releases) == 1
        raise NotAllowed(
            f"Dataset '{name}' is what release{'' if one else 's'} {shown} {'was' if one else 'were'} made from"
            + (f", and {'it is' if one else 'they are'} live." if live else "."),
            why="Without it nobody could say which rows a prediction comes from, nor train the model again.",
            hint="Promote a release that does not need it first, or keep the dataset."
            if live
            else f"Keep it, or type 'tidemill data delete {name} --force --yes' to lose that.",
            code=codes.DATASET_IN_USE,
        )
