"""What travelled between stores."""

from typing import TYPE_CHECKING

from tidemill.cli.render.shapes import counts, size
from tidemill.core.figures import counted
from tidemill.core.names import listed

if TYPE_CHECKING:
    from tidemill.loop.datasets.views import PullView, RepairView, SharedView

_SHOWN = 10


def pushed(view: "SharedView") -> str:
    """What the other store got."""
    if not (view.branches or view.tags or view.forgotten or view.mended or view.lost):
        return f"{view.remote} has all of {view.dataset} already; nothing was sent."
    lines = [_amount(view, f"Pushed {view.dataset} to {view.remote}"), *_names(view, view.remote, "")]
    if view.mended:
        lines.append(
            f"  {view.remote} had lost, or had damaged, and has whole again: {listed(view.mended, _SHOWN)}"
        )
    if view.lost:
        lines.append(
            f"  {view.remote} has lost, or has damaged, what is not whole here either: {listed(view.lost, _SHOWN)}"
        )
    return "\n".join(lines)


def repaired(view: "RepairView") -> str:
    """What was put back, and what is wrong still."""
    lines: list[str] = []
    if view.refs:
        lines.append("Its branches and tags could not be read; they are as its log had them last.")
    if view.anew:
        lines.append(
            "Its branches and its log were lost; it has again what the other store has, as after a clone."
        )
    if view.log:
        lines.append("Its log could not be read; files whose digest was only there are taken as they are.")
    if view.begun:
        lines.append("Its files have digests from now on.")
    if view.files:
        lines.append(
            f"Put back {counted(len(view.files), 'file')} ({size(view.bytes)}): {listed(view.files, _SHOWN)}."
        )
    if view.commits:
        lines.append(f"Made again {counted(len(view.commits), 'commit')}: {listed(view.commits, _SHOWN)}.")
    lines += _left(view)
    if not lines:
        return f"{view.dataset}: all of it is as it was written."
    if not view.left:
        head = "mended; all of it is as it was written now."
    else:
        mended = view.refs or view.anew or view.log or view.files or view.commits
        head = f"{'mended in part' if mended else 'nothing was mended'}; {counted(len(view.left), 'file is', 'files are')} wrong still."
    return "\n".join([f"{view.dataset}: {head}", *(f"  {line}" for line in lines)])


def _left(view: "RepairView") -> list[str]:
    if not view.left:
        return []
    lines: list[str] = []
    for each in view.left[:_SHOWN]:
        what = f"file {each.file} is {'gone' if each.lost else 'not as it was written'}"
        lines.append(f"Still wrong: {what}" + (f"; commit {each.commit} needs it." if each.commit else "."))
    if view.left[_SHOWN:]:
        lines.append(f"Still wrong: {len(view.left) - _SHOWN:,} more.")
    if view.damaged_there:
        there = listed(view.damaged_there, _SHOWN)
        lines.append(
            f"Damaged in {view.source} too, which is mended from a store that has it whole: {there}."
        )
    lines.append(f"Name another store that has it: tidemill data repair {view.dataset} --from ADDRESS")
    return lines


def fetched(view: "SharedView") -> str:
    """What came from the other store."""
    if not view.branches and not view.tags and not view.forgotten:
        return f"{view.dataset}: {view.remote} has nothing new."
    lines = [_amount(view, f"Fetched {view.dataset} from {view.remote}")]
    return "\n".join([*lines, *_names(view, "this store", f"{view.remote}/")])


def pulled(view: "PullView") -> str:
    """What came, and what it did to the branch."""
    where = f"{view.fetched.dataset}@{view.branch} is at commit {view.number} ({view.commit})"
    rows = f": {counts(view.rows.added, view.rows.changed, view.rows.removed)}" if view.rows else ""
    came = fetched(view.fetched)
    match view.outcome:
        case "already":
            return f"{came}\n{where}; it has all that {view.fetched.remote} has."
        case "forward":
            return f"{came}\n{where} now, as {view.fetched.remote} is{rows}."
        case "merged":
            return f"{came}\nMerged {view.fetched.remote}/{view.branch} into {view.branch}; {where}{rows}."


def cloned(view: "SharedView") -> str:
    """The dataset that is here now."""
    return f"{_amount(view, f'Cloned {view.dataset} from {view.remote}')}\nNext: tidemill data log {view.dataset}"


def _amount(view: "SharedView", what: str) -> str:
    return f"{what}: {counted(view.commits, 'commit')}, {counted(view.files, 'file')}, {size(view.bytes)}."


def _names(view: "SharedView", where: str, before: str) -> list[str]:
    lines = [f"  {before}{branch} is at {commit}" for branch, commit in view.branches.items()]
    if view.tags:
        lines.append(f"  new tags: {', '.join(view.tags)}")
    if view.forgotten:
        lines.append(
            f"  {counted(view.forgotten, 'forgotten row was', 'forgotten rows were')} removed from all of history in {where}"
        )
        lines += [f"  {each}" for each in view.cleared]
        if where == view.remote:
            lines.append(
                "  what was made of them there goes with the next 'tidemill gc' of a project of that store"
            )
    if view.kept:
        lines.append(f"  left as they are, for they name another commit there: {', '.join(view.kept)}")
    return lines
