"""The way in: a file becomes commit 1 of a dataset, or the difference to what is there."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.core.errors import InvalidInput
from tidemill.core.events import Sink, silent
from tidemill.loop.datasets.references import row_counts
from tidemill.loop.datasets.switching import chosen
from tidemill.loop.datasets.views import ImportView
from tidemill.loop.workspace import Workspace

if TYPE_CHECKING:
    from tidemill.data import Tensor

_TENSOR = re.compile(r"(?P<prefix>[^*]+)\*:(?P<shape>\d+(?:x\d+)*)")


def import_data(
    ws: Workspace,
    name: str,
    *paths: str | Path,
    branch: str | None = None,
    message: str | None = None,
    tensors: Mapping[str, str] | None = None,
    types: Mapping[str, str] | None = None,
    key: Sequence[str] = (),
    label: str | None = None,
    sink: Sink = silent,
) -> ImportView:
    """Import files into a dataset: commit 1 of a new one, or the difference to what is there.

    Args:
        ws: The project.
        name: The dataset.
        paths: Files that are alike, or patterns such as ``part-*.csv``; one commit for all of them.
        branch: Where the commit goes; the branch that was switched to if None.
        message: What it is for.
        tensors: Column to what it is folded from: ``{"image": "pixel*:28x28"}`` is 784 columns ``pixel1``, ...
        types: Column to type, where the inferred one is not wanted.
        key: The columns that name a row; without one, its content does.
        label: A column that must be there.
        sink: Gets ``Progress``.

    Raises:
        InvalidInput: What is wrong with the file, naming line and column; then there is no new commit.
    """
    from tidemill.data import import_files  # noqa: PLC0415

    imported = import_files(
        ws.datasets,
        name,
        *paths,
        branch=branch or chosen(ws, name),
        message=message,
        tensors={column: _tensor(text) for column, text in (tensors or {}).items()},
        types=types or {},
        key=list(key) or None,
        label=label,
        sink=sink,
    )
    commit = imported.commit
    return ImportView(
        name, commit.id, commit.number, row_counts(imported.rows), commit.rows, unchanged=not imported.rows
    )


def _tensor(text: str) -> "Tensor":
    from tidemill.data import Tensor  # noqa: PLC0415

    match = _TENSOR.fullmatch(text)
    if match is None:
        raise InvalidInput(
            f"'{text}' does not say which columns become a tensor.",
            why="It names the columns' common beginning and the tensor's shape.",
            hint="Type --tensor image=pixel*:28x28 for pixel1 to pixel784.",
            code="invalid-tensor",
        )
    return Tensor(match["prefix"], tuple(int(n) for n in match["shape"].split("x")))
