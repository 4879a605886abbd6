"""Which cells of a text file mean that a value is missing, beside the empty one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import did_you_mean


@dataclass(frozen=True, slots=True)
class Missing:
    """Words that mean missing.

    Attributes:
        everywhere: In each column.
        columns: Column to the words that mean it there.
    """

    everywhere: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def __bool__(self) -> bool:
        return bool(self.everywhere or self.columns)

    def check(self, names: Sequence[str]) -> None:
        """Refuse a column that is not there.

        Raises:
            InvalidInput: ``unknown-column``.
        """
        for name in self.columns:
            if name not in names:
                raise InvalidInput(
                    f"Words that mean missing are given for column '{name}', which is not there.",
                    hint=did_you_mean(name, names),
                    code=codes.UNKNOWN_COLUMN,
                )

    def applied(self, name: str, texts: Any) -> Any:
        """A column's text cells, those that mean missing taken out."""
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.compute as pc  # noqa: PLC0415

        words = (*self.everywhere, *self.columns.get(name, ()))
        if not words:
            return texts
        found = pc.is_in(texts, value_set=pa.array(words, pa.string()))
        return pc.if_else(found, pa.scalar(None, pa.string()), texts)


def missing(words: Iterable[str], usual: Iterable[str] = ()) -> Missing:
    """What was typed: ``NA`` for every column, ``country=NA`` for one; ``usual`` is a setting's, for every column."""
    everywhere = dict.fromkeys(usual)
    columns: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if equals:
            columns[name] = (*columns.get(name, ()), text)
        else:
            everywhere[word] = None
    return Missing(tuple(everywhere), columns)
