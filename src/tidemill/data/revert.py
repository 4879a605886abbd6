"""Which state a commit is undone to, and which commits cannot be undone.

Undoing is a merge: of the branch with the commit's parent, over the commit itself.
"""

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.data.commits import Commit
from tidemill.data.history import History


def parent_to_return_to(history: History, undone: Commit, head: Commit, branch: str) -> Commit:
    """The commit before ``undone``.

    Raises:
        InvalidInput: ``cannot-revert``.
    """
    what = f"Commit {undone.number} ({undone.id}) of '{undone.dataset}'"
    if not undone.parents:
        raise InvalidInput(
            f"{what} is the first: there is nothing before it to go back to.",
            hint="Remove its rows with an import, or delete the dataset.",
            code=codes.CANNOT_REVERT,
        )
    if len(undone.parents) > 1:
        raise InvalidInput(
            f"{what} is a merge.",
            why="It has two commits before it; which of them to go back to cannot be told.",
            hint=f"Revert the commits that it brought: 'tidemill data log {undone.dataset}@{undone.parents[1]}'.",
            code=codes.CANNOT_REVERT,
        )
    if [c.id for c in history.merge_bases(head, undone)] != [undone.id]:
        raise InvalidInput(
            f"{what} is no part of branch '{branch}': there is nothing to undo on it.",
            hint=f"Name the branch that has it, perhaps --branch {undone.branch}.",
            code=codes.CANNOT_REVERT,
        )
    return history.parents(undone)[0]
