"""Checks by hand, and what becomes of rows that checks say no to."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tidemill.core import codes
from tidemill.core.errors import InvalidInput, NotFound
from tidemill.core.figures import counted
from tidemill.core.settings_file import toml_key
from tidemill.loop.datasets.check_views import CheckedView, CheckView, Quarantined
from tidemill.loop.datasets.references import open_reference
from tidemill.loop.guard import QUARANTINE, Refused, by_row, check_proposal, guard
from tidemill.loop.workspace import Workspace
from tidemill.store.table import ID

if TYPE_CHECKING:
    import numpy as np

    from tidemill.data import Changes, Commit, Dataset, Datasets, Outcome
    from tidemill.store.table import Table

T = TypeVar("T")


def check_data(ws: Workspace, ref: str, branch: str = "main") -> CheckedView:
    """Hold every row of a dataset at ``ref`` against what the settings ask of a branch.

    Args:
        ws: The project.
        ref: The dataset, and what to judge; drift is measured from its first parent.
        branch: Whose checks.

    Raises:
        NotFound: ``no-checks``: nothing is asked of that branch.
        InvalidInput: ``invalid-check``.
        NeedsExtra: ``needs-extra``.
    """
    from tidemill.data import Changes, Proposal  # noqa: PLC0415

    dataset, at = open_reference(ws, ref)
    result = dataset.snapshot(at)
    settings = ws.settings.checks.get(dataset.name)
    if settings is None or branch not in settings.branches:
        raise NotFound(
            f"Nothing is asked of branch '{branch}' of dataset '{dataset.name}'.",
            hint=f"Add [checks.{toml_key(dataset.name)}] to tidemill.toml; docs/data.md shows how."
            if settings is None
            else f"Type --branch with one of: {', '.join(settings.branches)}.",
            code=codes.NO_CHECKS,
        )
    parents = result.commit.parents
    before = dataset.snapshot(parents[0]) if parents else None
    proposal = Proposal(dataset.name, branch, before, result, Changes())
    outcomes = check_proposal(ws.project, proposal, whole=True)
    return CheckedView(
        dataset.name,
        result.commit.id,
        branch,
        check_views(outcomes),
        len(by_row(outcomes)),
        all(o.passed for o in outcomes),
    )


def check_views(outcomes: "Sequence[Outcome]") -> list[CheckView]:
    """What checks say, as views."""
    return [
        CheckView(o.check, o.passed, o.reason, len(o.rows), [str(i) for i in o.rows[:20]]) for o in outcomes
    ]


def or_quarantine(
    ws: Workspace, commit: "Callable[[Datasets], T]"
) -> "tuple[T | None, tuple[Commit, Changes, Quarantined] | None]":
    """Make a commit; if checks say no to some of its rows, commit the others, and put these on a branch.

    The branch starts where the commit would have been made, so that merging it, corrected, brings these rows.

    Args:
        ws: The project.
        commit: Makes the commit in the datasets that it is given.

    Returns:
        What ``commit`` returned; or, where rows were refused, the head that has the others, what became of it,
        and where the refused ones are.

    Raises:
        Refused: ``commit-refused``, when a check says no to no row in particular, or to each row of a new
            dataset.
        InvalidInput: ``quarantine-removes``, when the commit removes rows too.
    """
    datasets = ws.datasets_behind(guard(ws.project, ws.store, write_rows=False))
    try:
        return commit(datasets), None
    except Refused as refused:
        return None, _separate(datasets, refused)


def _separate(datasets: "Datasets", refused: Refused) -> "tuple[Commit, Changes, Quarantined]":
    proposal = refused.proposal
    if proposal.changes.removed:
        raise InvalidInput(
            f"The commit also removes {counted(proposal.changes.removed, 'row')}, which --quarantine cannot do.",
            why=refused.message,
            hint="Import without --sync first, or without --quarantine.",
            code=codes.QUARANTINE_REMOVES,
        ) from refused
    incoming, outcomes = proposal.incoming, list(refused.outcomes)
    while True:
        bad = _refused_rows(incoming, refused)
        try:
            made = _commit_rest(datasets, refused, incoming.filter(~bad))
            break
        except Refused as again:
            # Without some rows another check may say no, of the share of missing cells for one.
            outcomes += again.outcomes
            refused = Refused(proposal, outcomes, None)
    dataset = datasets.open(proposal.dataset)
    branch = _free_branch(dataset)
    dataset.branch(branch, proposal.parent.commit.id if proposal.parent else made[0].id)
    message = f"Refused by checks: {proposal.result.commit.message}"
    held, _ = dataset.commit(incoming.filter(bad), branch=branch, message=message)
    return (*made, Quarantined(branch, held.id, int(bad.sum()), check_views(outcomes)))


def _refused_rows(incoming: "Table", refused: Refused) -> "np.ndarray[Any, Any]":
    import numpy as np  # noqa: PLC0415

    if not all(len(o.rows) for o in refused.outcomes):
        raise refused
    return np.isin(incoming.numpy(ID), np.fromiter(by_row(refused.outcomes), np.uint64))


def _commit_rest(datasets: "Datasets", refused: Refused, rest: "Table") -> "tuple[Commit, Changes]":
    from tidemill.data import Changes  # noqa: PLC0415

    proposal = refused.proposal
    message = proposal.result.commit.message
    if proposal.parent is None:
        if not len(rest):
            raise refused
        return datasets.create(proposal.dataset, rest, message=message)
    dataset = datasets.open(proposal.dataset)
    if not len(rest):
        return dataset.head(proposal.branch), Changes()
    return dataset.commit(rest, branch=proposal.branch, message=message)


def _free_branch(dataset: "Dataset") -> str:
    taken = [b.removeprefix(QUARANTINE) for b in dataset.branches() if b.startswith(QUARANTINE)]
    return f"{QUARANTINE}{max((int(n) for n in taken if n.isdecimal()), default=0) + 1}"
