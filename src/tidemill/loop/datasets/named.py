"""The commits of a dataset that records name: they are kept, whether or not a branch or tag leads to them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemill.store.catalog import records
    from tidemill.store.catalog.database import Transaction


def named_commits(read: "Transaction", name: str) -> set[str]:
    """The ids of the commits that runs (and so models and releases) read, and that reviews and label queues are about."""
    from tidemill.store.catalog import records  # noqa: PLC0415

    found = {commit for run in read.find(records.Run) for commit in commits_of(run, name)}
    for review in read.find(records.Review, {"dataset": name}):
        found |= {c for c in (review.source_commit, review.target_commit, review.merge_commit) if c}
    for queue in read.find(records.LabelQueue, {"dataset": name}):
        found.add(queue.commit)
    return found | {approval.head for approval in read.find(records.Approval, {"dataset": name})}


def commits_of(run: "records.Run", name: str) -> set[str]:
    """The commits of a dataset that a run read."""
    return {commit for reference, commit in run.inputs.items() if reference.partition("@")[0] == name}
