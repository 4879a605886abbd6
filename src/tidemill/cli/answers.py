"""What somebody who labels types, as what they mean: a class, the suggestion, skip, undo, quit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tidemill.loop.datasets.labelling.views import ClassView

ENTER, TAB, ESCAPE, END = "\r\n", "\t", "\x1b", "\x04"
BACKSPACE = "\x7f\x08"
WORDS = ("skip", "undo", "quit")


@dataclass(frozen=True, slots=True)
class Answer:
    """What to do: ``label`` with a class, take the ``suggestion``, ``skip``, ``undo``, ``quit``."""

    kind: Literal["label", "suggestion", "skip", "undo", "quit"]
    label: str | None = None


class Typing:
    """A line that is typed a key at a time; one key is enough where it is a class's own."""

    def __init__(self, classes: Sequence["ClassView"]) -> None:
        self._classes = classes
        self.typed = ""
        self.said = ""

    def press(self, key: str) -> Answer | None:
        """Take one key; an answer, if that makes one."""
        self.said = ""
        if not self.typed and (answer := self._at_once(key)) is not None:
            return answer
        if key == ESCAPE:
            self.typed = ""
        elif key in BACKSPACE:
            self.typed = self.typed[:-1]
        elif key == TAB:
            fit = _beginning(self.typed, self._classes)
            self.typed = fit[0] if len(fit) == 1 else self.typed
        elif key in ENTER:
            answer, self.said = meaning(self.typed, self._classes)
            self.typed = ""
            return answer
        elif key.isprintable():
            self.typed += key
        return None

    def _at_once(self, key: str) -> Answer | None:
        for choice in self._classes:
            if key == choice.key:
                return Answer("label", choice.name)
        if key in BACKSPACE:
            return Answer("undo")
        return {
            " ": Answer("skip"),
            ESCAPE: Answer("quit"),
            END: Answer("quit"),
            "\r": Answer("suggestion"),
            "\n": Answer("suggestion"),
        }.get(key)


def meaning(line: str, classes: Sequence["ClassView"]) -> tuple[Answer | None, str]:
    """What a whole line means, and what to say where it means nothing.

    A class's name, its key, or the beginning of one name only; nothing is the suggestion; else a word.
    """
    words = line.strip()
    if not words:
        return Answer("suggestion"), ""
    for choice in classes:
        if words in (choice.name, choice.key):
            return Answer("label", choice.name), ""
    for kind in WORDS:
        if words.casefold() == kind:
            return Answer(kind), ""
    fit = _beginning(words, classes)
    if len(fit) == 1:
        return Answer("label", fit[0]), ""
    if fit:
        return None, f"'{words}' may be {', '.join(fit[:5])}."
    from tidemill.core.names import did_you_mean  # noqa: PLC0415

    return None, f"'{words}' is no class. {did_you_mean(words, (c.name for c in classes), '')}".rstrip()


def _beginning(words: str, classes: Sequence["ClassView"]) -> list[str]:
    names = [c.name for c in classes]
    exact = [n for n in names if n.casefold() == words.casefold()]
    return exact or [n for n in names if n.casefold().startswith(words.casefold())]
