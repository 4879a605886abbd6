"""What a dataset of store layout 1 says of its branches and tags: the versions themselves, a file a branch, Lance's tags.

Read once, when such a dataset is first seen; from then on ``refs.json`` is the truth.
"""

import json
from typing import NamedTuple

from tidemill.data.commits import Commit, from_properties, layout_of
from tidemill.data.lance_table import LanceTable, translated
from tidemill.data.refs import MAIN, Ref, Refs


class _Fork(NamedTuple):
    """Where a branch began: with which version, and what the newest was then. Its own commits are later."""

    at: int
    since: int


def refs_of(table: LanceTable) -> Refs | None:
    """The refs of a dataset of layout 1; None where there is none, such as after a killed creation."""
    versions = table.versions()
    if not versions:
        return None
    opened = table.open(versions[0])
    commits: dict[int, Commit] = {}
    for version in versions:
        stored = table.properties(version)
        commit = from_properties(table.dataset, version, stored) if layout_of(stored) == 1 else None
        if commit:
            commits[version] = commit
    if not commits:
        return None
    forks = {MAIN: _Fork(min(commits), 0), **_forks(table)}
    with translated(table.uri):
        tags = {name: tag["version"] for name, tag in opened.tags.list().items()}
    return Refs(
        branches={name: _head(name, fork, commits) for name, fork in forks.items()},
        tags={name: commits[version].ref for name, version in tags.items()},
    )


def _forks(table: LanceTable) -> dict[str, _Fork]:
    found: dict[str, _Fork] = {}
    for entry in table.objects.list(f"{table.prefix}/_tidemill/branches"):
        file = table.objects.get(entry.key)
        if file is not None and entry.key.endswith(".json"):
            found[entry.key.rpartition("/")[2].removesuffix(".json")] = _Fork(**json.loads(file[0]))
    return found


def _head(branch: str, fork: _Fork, commits: dict[int, Commit]) -> Ref:
    own = [v for v, commit in commits.items() if commit.branch == branch and v > fork.since]
    return commits[max(own, default=fork.at)].ref
