"""What a labelling queue asks the catalog: who may have which row next, and how far everybody is."""

from typing import Any

import sqlalchemy as sa

from tidemill.store.catalog.database import Transaction
from tidemill.store.catalog.tables import label_rows as rows
from tidemill.store.catalog.tables import label_turns as turns


def free_position(
    read: Transaction,
    queue: str,
    author: str,
    *,
    role: str,
    state: str,
    labels: int,
    moment: str,
    skipped: bool,
) -> int | None:
    """The first row in ``state`` that has room for one more person and that ``author`` did not have yet.

    Args:
        read: The transaction.
        queue: The queue's id.
        author: Who asks.
        role: As what.
        state: The state of the rows that are given to this role.
        labels: How many people of this role a row needs.
        moment: Now; a lease that ended before counts for nothing.
        skipped: Whether a row that ``author`` skipped may come again.
    """
    here = sa.and_(turns.c.queue == rows.c.queue, turns.c.position == rows.c.position, turns.c.role == role)
    leased = sa.and_(turns.c.state == "leased", turns.c.until > moment)
    own_states = ["labelled"] if skipped else ["labelled", "skipped"]
    # A lease of the same person in another session keeps the row from this one too.
    had = sa.exists().where(here, turns.c.author == author, sa.or_(turns.c.state.in_(own_states), leased))
    taken = (
        sa.select(sa.func.count())
        .where(here, turns.c.author != author, sa.or_(turns.c.state == "labelled", leased))
        .scalar_subquery()
    )
    query = (
        sa.select(rows.c.position)
        .where(rows.c.queue == queue, rows.c.state == state, ~had, taken < labels)
        .order_by(rows.c.position)
        .limit(1)
    )
    found = read.ask(query)
    return found[0][0] if found else None


def others_at(read: Transaction, queue: str, position: int, *, author: str, role: str, moment: str) -> int:
    """How many people but ``author`` have labelled a row in this role, or have it leased now."""
    leased = sa.and_(turns.c.state == "leased", turns.c.until > moment)
    query = sa.select(sa.func.count()).where(
        turns.c.queue == queue,
        turns.c.position == position,
        turns.c.role == role,
        turns.c.author != author,
        sa.or_(turns.c.state == "labelled", leased),
    )
    return read.ask(query)[0][0]


def row_counts(read: Transaction, queue: str) -> list[tuple[Any, ...]]:
    """State, whether a commit holds the label, and the number of such rows."""
    held = rows.c.commit.is_not(None)
    query = (
        sa.select(rows.c.state, held, sa.func.count())
        .where(rows.c.queue == queue)
        .group_by(rows.c.state, held)
    )
    return read.ask(query)


def turn_counts(read: Transaction, queue: str) -> list[tuple[Any, ...]]:
    """Author, role, state, turns, how many had a suggestion, how many labels were what it suggested."""
    suggested = sa.func.count(turns.c.suggestion)
    taken = sa.func.count(sa.case((turns.c.label == turns.c.suggestion, 1)))
    query = (
        sa.select(turns.c.author, turns.c.role, turns.c.state, sa.func.count(), suggested, taken)
        .where(turns.c.queue == queue)
        .group_by(turns.c.author, turns.c.role, turns.c.state)
        .order_by(turns.c.author, turns.c.role)
    )
    return read.ask(query)


def labels_given(read: Transaction, queue: str) -> list[tuple[Any, ...]]:
    """Position, author and label of each label that a labeller gave."""
    query = (
        sa.select(turns.c.position, turns.c.author, turns.c.label)
        .where(turns.c.queue == queue, turns.c.role == "labeller", turns.c.state == "labelled")
        .order_by(turns.c.position, turns.c.time)
    )
    return read.ask(query)


def leases(read: Transaction, queue: str, moment: str) -> list[tuple[Any, ...]]:
    """Author, row, role and end of each lease that has not ended."""
    query = (
        sa.select(turns.c.author, rows.c.row, turns.c.role, turns.c.until)
        .join(rows, sa.and_(turns.c.queue == rows.c.queue, turns.c.position == rows.c.position))
        .where(turns.c.queue == queue, turns.c.state == "leased", turns.c.until > moment)
        .order_by(turns.c.time)
    )
    return read.ask(query)
