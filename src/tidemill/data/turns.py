"""The lock of a dataset: who writes to it takes turns, and who removes what is old waits for them.

It is taken before a transaction of the catalog that writes, never within one: a merge records what it owes while it holds
the lock, and each would wait for the other.
"""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemill.store.open import Store

_mine: ContextVar[frozenset[tuple[str, str]]] = ContextVar("held", default=frozenset())


def lock_name(dataset: str) -> str:
    """The store's lock that a writer of a dataset holds."""
    return f"dataset-{dataset}"


@contextmanager
def holding(store: "Store", *datasets: str) -> Generator[None]:
    """Hold the locks of these datasets; what the caller holds in this way already, he goes on holding.

    Raises:
        Conflict: ``lock-timeout``.
    """
    before = _mine.get()
    wanted = sorted({(store.address, name) for name in datasets} - before)
    with ExitStack() as stack:
        for _, name in wanted:
            stack.enter_context(store.locks.hold(lock_name(name)))
        token = _mine.set(before.union(wanted))
        try:
            yield
        finally:
            _mine.reset(token)
