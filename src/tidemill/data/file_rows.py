"""Rows of a CSV file that Tidemill wrote of a dataset, which a condition asks as it asks a commit's."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tidemill.data.importing import rows_as
from tidemill.data.sources.opening import open_files
from tidemill.store.table import ID, Table

if TYPE_CHECKING:
    import pyarrow as pa


def matching_in_file(path: Path, schema: "pa.Schema", condition: str) -> Table | None:
    """The rows of a file that a condition holds for, with their ``_id``; None where there are none.

    Args:
        path: A CSV file with a column ``_id``.
        schema: The dataset's, by which its cells are read.
        condition: An SQL condition; of a column that the file does not have, it holds for no row.

    Raises:
        InvalidInput: What reading it raises.
    """
    import lance  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    rows = pa.concat_tables([piece.to_arrow() for piece in rows_as(open_files([path]), schema)])
    if not len(rows) or ID not in rows.column_names:
        return None
    rows = rows.select([n for n in rows.column_names if n in schema.names])
    with tempfile.TemporaryDirectory(prefix="tidemill-") as folder:
        every = lance.write_dataset(rows, folder)
        try:
            found = every.to_table(filter=condition)
        except (ValueError, OSError, RuntimeError):
            return None
    return Table(found) if len(found) else None
