"""What stands before every commit to a dataset, whoever makes it: the rule of its reviews, and its checks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.core import codes
from tidemill.core.config import Project
from tidemill.core.errors import Failed, InvalidInput, NotAllowed, NotFound
from tidemill.core.figures import counted
from tidemill.core.kinds import raised
from tidemill.core.names import did_you_mean
from tidemill.core.settings import Settings
from tidemill.loop import written
from tidemill.store.table import ID

if TYPE_CHECKING:
    from tidemill.data import Function, Guard, Outcome, Proposal
    from tidemill.store.open import Store
    from tidemill.store.table import Table

QUARANTINE = "quarantine-"
"""What the names of branches with refused rows begin with. Nothing is asked of these."""
_SHOWN = 20


class Refused(Failed):
    """A commit that checks say no to.

    Args:
        proposal: What the branch was to become.
        outcomes: What the checks say that do.
        file: Where the rows are that they say no to; None where these are not written, or there are none.
    """

    def __init__(self, proposal: "Proposal", outcomes: "Sequence[Outcome]", file: Path | None) -> None:
        wrong = [f"{o.check}: {o.reason}" for o in outcomes]
        checks_of = by_row(outcomes)
        listed = _listed(proposal, checks_of) if checks_of else []
        super().__init__(
            f"{_checks(len(wrong))} no to this commit to '{proposal.branch}' of dataset '{proposal.dataset}': "
            f"{'; '.join(wrong)}.",
            why="Nothing was committed." + (_told(listed, len(checks_of), file) if listed else ""),
            hint="Correct these rows and try again; 'tidemill data import --quarantine' commits the others, "
            "and puts these on a branch of their own."
            if listed
            else f"Correct the data, or the settings under checks.{proposal.dataset} in tidemill.toml.",
            code=codes.COMMIT_REFUSED,
            details={
                "checks": [{"check": o.check, "reason": o.reason, "rows": len(o.rows)} for o in outcomes],
                "rows": listed,
                "file": file and str(file),
            },
        )
        self.proposal = proposal
        self.outcomes = list(outcomes)


def guard(project: Project, store: "Store", *, reviewed: bool = False, write_rows: bool = True) -> "Guard":
    """What stands before the commits of a project.

    Args:
        project: Whose settings hold.
        store: The project's, which keeps a record of the files that are written.
        reviewed: Whether the commits are those of reviews that may be merged.
        write_rows: Whether the rows that checks say no to are written to the project's folder.
    """

    def look(proposal: "Proposal") -> None:
        if proposal.branch.startswith(QUARANTINE):
            return
        # The commit that makes a dataset has no branch to be reviewed against.
        if not reviewed and proposal.parent is not None:
            refuse_unreviewed(project.settings, proposal.dataset, proposal.branch)
        outcomes = [o for o in check_proposal(project, proposal) if not o.passed]
        if outcomes:
            file = _write_rows(project, store, proposal, by_row(outcomes)) if write_rows else None
            raise Refused(proposal, outcomes, file)

    return look


def refuse_unreviewed(settings: Settings, dataset: str, branch: str, source: str | None = None) -> None:
    """Refuse a change of a branch that takes changes by review only.

    Args:
        settings: Of the project.
        dataset: Which dataset.
        branch: The branch that would change.
        source: The branch whose changes it would get, where they are on one already.

    Raises:
        NotAllowed: ``review-needed``.
    """
    rule = settings.reviews.get(dataset)
    if rule is None or not rule.approvals or branch not in rule.branches:
        return
    opening = f"tidemill review open {dataset} {source or 'BRANCH'} --into {branch}"
    raise NotAllowed(
        f"Branch '{branch}' of dataset '{dataset}' takes changes by review only.",
        why=f"tidemill.toml says so: reviews.{dataset} asks for {people(rule.approvals)} to approve them.",
        hint=f"Type '{opening}'."
        if source
        else f"Type 'tidemill data branch {dataset}@{branch} BRANCH', make the change there, "
        f"then '{opening}'.",
        code=codes.REVIEW_NEEDED,
        details={"dataset": dataset, "branch": branch},
    )


def check_proposal(project: Project, proposal: "Proposal", *, whole: bool = False) -> "list[Outcome]":
    """What the checks of a branch say of what it is to become; nothing where none are asked of it.

    Args:
        project: Whose settings hold.
        proposal: What is judged.
        whole: Judge all rows, and not only those that come.
    """
    settings = project.settings.checks.get(proposal.dataset)
    if settings is None or proposal.branch not in settings.branches:
        return []
    from tidemill.data import check  # noqa: PLC0415

    path = f"checks.{proposal.dataset}.functions"
    functions = [
        (name, _function(project, name, f"{path}[{number}]"))
        for number, name in enumerate(settings.functions)
    ]
    return check(settings, functions, proposal.result, before=proposal.parent, whole=whole)


def by_row(outcomes: "Sequence[Outcome]") -> dict[int, list[str]]:
    """``_id`` of each row that a check says no to, with the names of those checks."""
    found: dict[int, list[str]] = {}
    for outcome in outcomes:
        for row in outcome.rows.tolist():
            found.setdefault(row, []).append(outcome.check)
    return found


def people(count: int) -> str:
    """``1 person``, ``2 people``."""
    return counted(count, "person", "people")


def _function(project: Project, name: str, path: str) -> "Function":
    """A check in Python, as ``data`` calls it; it is given its rows in the form that it is annotated with."""
    from tidemill.pipeline import components, load  # noqa: PLC0415
    from tidemill.pipeline.component import Component  # noqa: PLC0415
    from tidemill.pipeline.frames import to_form  # noqa: PLC0415

    file, _, called = name.partition(":")
    module = load.load_module(project.folder / file)
    made = getattr(module, called, None)
    if not callable(made):
        there = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise NotFound(
            f"tidemill.toml: '{path}' names no function of {file}.",
            hint=did_you_mean(
                called, there, f"Write 'def {called}(rows: tm.Table)' there.", before=f"{file}:"
            ),
            code=codes.CHECK_NOT_FOUND,
        )
    component: Component[..., Any] = made if isinstance(made, Component) else components.check(made)
    if len(component.parameters) != 1:
        raise InvalidInput(
            f"Check '{name}' takes {counted(len(component.parameters), 'parameter')}.",
            why="A check of a dataset is given its rows, and nothing else.",
            hint=f"Write 'def {called}(rows: tm.Table)'.",
            code=codes.WRONG_CHECK,
        )
    [parameter] = component.parameters

    def call(rows: "Table") -> object:
        try:
            return component.function(to_form(rows, parameter.form, step=called, parameter=parameter.name))
        except Exception as error:
            raise Failed(
                f"Check '{name}' could not be run: {raised(error)}.",
                hint="Correct the function, or the rows that it stumbles over.",
                code=codes.CHECK_BROKEN,
            ) from error

    return call


def _write_rows(
    project: Project, store: "Store", proposal: "Proposal", checks_of: dict[int, list[str]]
) -> Path | None:
    if not checks_of:
        return None
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    from tidemill.data.export import write_csv  # noqa: PLC0415

    names = [ID, *proposal.result.columns]
    rows = proposal.result.read(names, ids=np.fromiter(checks_of, np.uint64, len(checks_of)))
    said = [", ".join(checks_of[row]) for row in rows.numpy(ID).tolist()]
    told = rows.with_column("refused by", pa.array(said)).to_arrow()
    file = project.folder / f"refused-{proposal.dataset}.csv"
    before = [proposal.parent.commit.id] if proposal.parent else []
    with written.writing(
        store, file, "refused rows", [written.shown(store, proposal.dataset, before)]
    ) as part:
        write_csv(part, told.schema, [told])
    return file


def _listed(proposal: "Proposal", checks_of: dict[int, list[str]]) -> list[dict[str, Any]]:
    """The first rows that are said no to, with the cells that are asked about."""
    import numpy as np  # noqa: PLC0415

    from tidemill.data import cell_values  # noqa: PLC0415

    first = dict(list(checks_of.items())[:_SHOWN])
    rows = proposal.result.read(ids=np.fromiter(first, np.uint64, len(first)))
    plain = [n for n in proposal.result.columns if not rows.shape_of(n)]
    cells = {row[ID]: row for row in cell_values.rows(rows.select([ID, *plain]).to_arrow())}
    return [
        {
            "id": str(row),
            "checks": checks,
            "cells": {n: cells[row][n] for n in plain if any(c.rpartition(".")[0] == n for c in checks)},
        }
        for row, checks in first.items()
    ]


def _told(listed: list[dict[str, Any]], count: int, file: Path | None) -> str:
    lines = [
        f"row {row['id']}: {', '.join(row['checks'])}"
        + (f" ({', '.join(f'{n}: {v}' for n, v in row['cells'].items())})" if row["cells"] else "")
        for row in listed
    ]
    if count > len(listed):
        lines.append(f"and {count - len(listed):,} more")
    return "\n" + "\n".join(lines) + (f"\nAll of them are in {file}." if file else "")


def _checks(count: int) -> str:
    return counted(count, "check says", "checks say")
