"""Built-in components. ``from tidemill import parts``; each name loads its file when it is first used."""

from typing import TYPE_CHECKING

from tidemill.core.facade import facade

if TYPE_CHECKING:
    from tidemill.parts.clean import cast, drop_missing, keep_labels
    from tidemill.parts.labels import one_hot
    from tidemill.parts.scores import evaluate
    from tidemill.parts.splits import split

__all__ = ["cast", "drop_missing", "evaluate", "keep_labels", "one_hot", "split"]

__getattr__, __dir__ = facade(
    __name__,
    {
        "clean": "cast, drop_missing, keep_labels",
        "labels": "one_hot",
        "scores": "evaluate",
        "splits": "split",
    },
)
