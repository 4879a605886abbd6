"""A view of a record: what both have by one name is copied, the rest is given."""

from dataclasses import fields
from typing import Any, TypeVar, cast

V = TypeVar("V")


def view_of(kind: type[V], record: object, **more: Any) -> V:
    """A view of ``kind``.

    Args:
        kind: A dataclass.
        record: Has values for its fields, by the same names.
        more: Values of the other fields, and of those that say something else in the view.
    """
    names = (f.name for f in fields(cast("Any", kind)) if f.name not in more)
    return kind(**{n: getattr(record, n) for n in names if hasattr(record, n)}, **more)
