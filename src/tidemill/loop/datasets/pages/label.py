"""The page on which rows are labelled: one self-contained document, which asks its own server for each row."""

import base64
import html
import importlib.resources
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from tidemill.data.cell_values import as_text
from tidemill.evaluation import png, skeleton

if TYPE_CHECKING:
    from tidemill.loop.datasets.labelling.views import QueueView, Task

_SECTIONS = """\
<section class="work" aria-live="polite">
  <div class="bar"><i id="bar"></i></div>
  <div class="row"><div id="picture"></div><div class="said"><p id="role"></p><dl id="cells"></dl>
  <p id="suggestion"></p><div id="classes"></div><form id="typing"><input id="typed" autocomplete="off"
  aria-label="Class name" placeholder="or type a class"></form><p id="message" role="status"></p></div></div>
  <p class="keys"><kbd>Enter</kbd> takes the suggestion <kbd>Space</kbd> skips <kbd>Backspace</kbd> takes back</p>
</section>
<section><h2>Who labels</h2><div class="scroll"><table><thead><tr><th>person</th><th class="n">labels</th>
<th class="n">decided</th><th class="n">skipped</th><th>has now</th></tr></thead><tbody id="people"></tbody></table>
</div></section>"""


def document(queue: "QueueView", author: str) -> str:
    """The page of a queue for one person."""
    return skeleton.document(
        f"Label {queue.queue}",
        heading=f"{queue.dataset} · {queue.column}",
        subtitle=[html.escape(queue.rows), f"you are {html.escape(author)}", '<span id="done"></span>'],
        sections=[_SECTIONS],
        footer="Labels are in the queue at once; 'tidemill label commit' makes commits of them.",
        css=_asset("label.css"),
        script=_asset("label.js"),
    )


def state(task: "Task | None", queue: "QueueView", message: str = "") -> bytes:
    """What the page draws next, as JSON."""
    body: dict[str, Any] = {"task": None, "queue": asdict(queue), "message": message}
    if task is not None:
        shown = None if task.picture is None else base64.b64encode(png.encode(task.picture.pixels)).decode()
        names = [f for f in task.__slots__ if f != "picture"]
        # As texts: a browser rounds whole numbers beyond 2**53, and has no number for NaN.
        cells = {n: None if cell is None else as_text(cell) for n, cell in task.cells.items()}
        body["task"] = {**{n: getattr(task, n) for n in names}, "cells": cells, "picture": shown}
    return json.dumps(_finite(body), default=str, allow_nan=False).encode()


def _finite(tree: Any) -> Any:
    """A tree in which what is no number is None: JSON has none."""
    if isinstance(tree, dict):
        return {name: _finite(member) for name, member in cast("dict[str, Any]", tree).items()}
    if isinstance(tree, list | tuple):
        return [_finite(member) for member in cast("list[Any]", tree)]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


def _asset(name: str) -> str:
    return importlib.resources.files("tidemill.loop.datasets.pages").joinpath(name).read_text("utf-8")
