"""Corrections against the rows that they are of: which change a row's label, and which wait for a person.

Not where they come from, nor where they are put. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.data.columns import differs
from tidemill.store.table import ID, PREDICTION, Table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of corrections. No ``_id`` is twice in either table.

    Attributes:
        rows: Whole rows, as they are known, with the label that came last and its prediction.
        differing: Whole rows as they were asked, of corrections whose other cells are not those of the row.
    """

    rows: Table
    differing: Table


def settle(
    given: "pa.Table",
    known: "pa.Table",
    *,
    label: str,
    key: Sequence[str],
    asked: "Mapping[str, np.ndarray[Any, Any]]",
) -> Settled:
    """Hold each correction against its row.

    A correction whose cells are the row's changes the label; of several the last one counts, whoever sent it. One with
    another cell changes nothing: which of the two is right, a person decides. The first correction of a row that is
    not known makes it.

    Args:
        given: Corrections as whole rows, in the order in which they came; ``_id`` may repeat.
        known: The rows with these ``_id``, in the same columns, where there are any.
        label: The column that feedback fills.
        key: The columns that name a row.
        asked: Of each column, whether each correction's request had it; what it did not have is not compared.
    """
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    count = given.num_rows
    ids = given.column(ID).to_pylist()
    places: dict[int, int] = {row: at for at, row in enumerate(known.column(ID).to_pylist())}
    at = np.array([places.setdefault(row, known.num_rows + n) for n, row in enumerate(ids)], np.int64)
    rows = pa.concat_tables([known, given]).take(at)
    compared = [c for c in given.column_names if c not in (ID, PREDICTION, label, *key)]
    apart = np.zeros(count, bool)
    for name in compared:
        apart |= differs(rows.column(name), given.column(name)) & asked[name]
    same = list({row: n for n, row in enumerate(ids) if not apart[n]}.values())
    other = list({row: n for n, row in enumerate(ids) if apart[n]}.values())
    both = pa.concat_tables([rows, given])

    def mixed(of: list[int], taken: "Mapping[str, np.ndarray[Any, Any]]") -> Table:
        """These rows, with the cells of the correction where ``taken`` says so."""
        places = np.array(of, np.int64)
        columns = [
            both.column(name).take(pa.array(places + count * taken[name][places]))
            for name in given.column_names
        ]
        return Table(pa.Table.from_arrays(columns, schema=given.schema))

    always, never = np.ones(count, np.int64), np.zeros(count, np.int64)
    by_name = dict.fromkeys(given.column_names, never)
    labelled = {**by_name, label: always, PREDICTION: always}
    as_asked = {**labelled, **{name: asked[name].astype(np.int64) for name in compared}}
    return Settled(mixed(same, labelled), mixed(other, as_asked))
