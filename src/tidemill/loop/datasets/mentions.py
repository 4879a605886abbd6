"""Where people or steps wrote of rows that are forgotten: titles, descriptions, comments, conditions, parameters.

Such texts are people's own. They are named to whoever forgets, and a word is taken out of them on demand.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from tidemill.core.words import found, named
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.store.catalog.database import Mention, Transaction

INSTEAD = "[forgotten]"
_PLACES = {
    "reviews": "{column} of review {dataset}#{number}",
    "comments": "comment {number} of review {dataset}#{review}",
    "label_queues": "{column} of label queue {id}",
    "label_turns": "{column} of place {position} of label queue {queue}",
    "label_rows": "{column} of place {position} of label queue {queue}",
    "runs": "{column} of run {id}",
    "steps": "{column} of step {name} of run {run}",
    "models": "{column} of model:{name}@{version}",
    "verdicts": "{column} of the verdict on run {run}",
    "deployments": "{column} of deployment {id}",
    "deployment_changes": "{column} of change {position} of deployment {deployment}",
    "wishes": "{column} of wish {number} of environment {environment}",
    "firings": "{column} of trigger {trigger}",
}


def mentioned(read: "Transaction", words: Sequence[str]) -> list[str]:
    """The places in the catalog where one of these words is."""
    return _told(read.mentions(words))


def redact(write: "Transaction", words: Sequence[str]) -> list[str]:
    """Take these words out of the catalog; the places where they were."""
    return _told(write.redact(words, INSTEAD))


def in_messages(ws: Workspace, name: str, words: Sequence[str]) -> list[str]:
    """The commits and tombstones of a dataset that have one of these words in what they are for."""
    from tidemill.data import tombstones  # noqa: PLC0415

    dataset = ws.datasets.open(name)
    commits = {c.id: c.message for branch in dataset.branches() for c in dataset.log(branch)} if words else {}
    told = [
        f"message of commit {name}@{i} ({named(there)})"
        for i, text in commits.items()
        if (there := found(text, words))
    ]
    marks = tombstones(ws.store.objects, name) if words else ()
    reasons = [(t, there) for t in marks if (there := found(t.reason, words))]
    return told + [f"reason of what was forgotten on {t.time[:10]} ({named(there)})" for t, there in reasons]


def in_server_logs(ws: Workspace, words: Collection[str]) -> list[str]:
    """Sentences about logs of servers on this machine that have one of these words."""
    return [
        f"{file} (log of a server): it has a text of theirs, {named(there)}; delete it when the server has ended."
        for file in sorted(ws.store.environments_folder.rglob("*.log"))
        if file.is_file() and (there := found(file.read_bytes().decode("utf-8", "replace"), words))
    ]


def elsewhere(ws: Workspace, name: str) -> list[str]:
    """Sentences about what no command of this project reaches, and what to do there."""
    remotes = dict.fromkeys(n.partition("/")[0] for n in ws.datasets.open(name).fetched())
    told = [f"Remote {r} has them until 'tidemill data push {name} {r}'." for r in remotes]
    told.append(
        "Other clones have them until their next fetch or pull, other machines until 'tidemill gc' there."
    )
    if ws.store.objects.path("") is None:
        told.append(
            "Of the predictions that other machines logged, 'gc' finds those that say such a row's key; for the others type "
            "this command there too, with --redact and a text of theirs."
        )
        told.append("A bucket that keeps versions has what was deleted; so have its backups.")
        told.append("The PostgreSQL server's log of changes and its backups have them for their time.")
    told.append(
        "Backups, snapshots of disks, images made of releases, and copies of files are yours to clear."
    )
    return told


def _told(mentions: "list[Mention]") -> list[str]:
    return [
        _PLACES.get(one.table, "{column} of a record in " + one.table).format_map(
            {**one.key, "column": one.column}
        )
        + f" ({named(one.words)})"
        for one in mentions
    ]
