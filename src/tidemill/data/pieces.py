"""A version of a table made of fragments that are there already, of this table or copied from another.

Numbers of versions and fragments, and the names of deletion files, which contain such a number, are a table's own.
Data files have names that are unique for good.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidemill.data.lance_table import LanceTable, transact, translated

if TYPE_CHECKING:
    import lance

_OF_A_TABLE = ("deletion_file", "row_id_meta", "created_at_version_meta", "last_updated_at_version_meta")


@dataclass(frozen=True, slots=True)
class Piece:
    """A fragment, as a version of whatever table can be made of it.

    Attributes:
        metadata: What Lance writes down of it, as JSON.
        deleted: The bytes of its deletion file; None where no row has left it.
    """

    metadata: Mapping[str, Any]
    deleted: bytes | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Its data files, which name it."""
        return tuple(file["path"] for file in self.metadata["files"])

    @property
    def rows(self) -> int:
        """How many its data files hold."""
        return self.metadata["physical_rows"]

    @property
    def deletion(self) -> tuple[int, int] | None:
        """What names its deletion file, in every table."""
        file = self.metadata["deletion_file"]
        return (file["read_version"], file["id"]) if file else None

    def whole(self) -> "Piece":
        """The same with the rows that left it."""
        return Piece({**self.metadata, "deletion_file": None})


def written(fragment: Any) -> Piece:
    """What was just written by ``LanceTable.write``."""
    return Piece(json.loads(json.dumps(fragment.to_json())))


def pieces_of(table: LanceTable, opened: "lance.LanceDataset") -> list[Piece]:
    """What a version is made of, in order."""
    found: list[Piece] = []
    with translated(table.uri):
        for fragment in opened.get_fragments():
            metadata = written(fragment.metadata).metadata
            deleted = None
            if metadata["deletion_file"]:
                key = _deletion_key(table, fragment.fragment_id, metadata["deletion_file"])
                deleted = table.files.bytes_of(key.removeprefix(f"{table.prefix}/"))
            found.append(Piece(metadata, deleted))
    return found


def place(
    table: LanceTable,
    schema: Any,
    pieces: Sequence[Piece],
    properties: Mapping[str, str],
    *,
    on: int | None = None,
) -> int:
    """Make a version with exactly this schema and these pieces, in this order; their data files are there.

    Args:
        table: Where.
        schema: Lance's own, with the columns' numbers.
        pieces: Of this table or another.
        properties: Of the version's transaction.
        on: A version that is much like it, as its parent is: what they share is not written again.
    """
    import lance  # noqa: PLC0415

    if on is not None and _is_like(table.open(on), schema, pieces):
        return table.alone(on, [_becoming(table, pieces, properties)])
    newest = table.newest()
    if newest is None:
        # Of a table that begins, Lance would number the columns anew; their data files know the old numbers.
        newest = table.begin(schema)
    new = [_new(piece) for piece in pieces]
    # Lance takes fragments with deletions only where they are there already: then it takes a second version.
    marked = any(piece.deletion for piece in pieces)

    def fill(opened: "lance.LanceDataset") -> "lance.LanceDataset":
        return transact(opened, lance.LanceOperation.Overwrite(schema, new), {} if marked else properties)

    rest = [_becoming(table, pieces, properties)] if marked else []
    return table.alone(newest, [fill, *rest])


def _is_like(opened: "lance.LanceDataset", schema: Any, pieces: Sequence[Piece]) -> bool:
    """Whether the pieces are some of a version's own, in their order, and after them new ones that are whole."""
    wanted = [piece.files for piece in pieces]
    named = set(wanted)
    kept = [files for f in opened.get_fragments() if (files := _files(f)) in named]
    return (
        str(opened.lance_schema) == str(schema)
        and wanted[: len(kept)] == kept
        and not any(piece.deletion for piece in pieces[len(kept) :])
    )


def _becoming(table: LanceTable, pieces: Sequence[Piece], properties: Mapping[str, str]) -> Any:
    """The change that turns a version that is like these pieces into one of exactly them."""
    import lance  # noqa: PLC0415
    from lance.fragment import FragmentMetadata  # noqa: PLC0415

    wanted = {piece.files: piece for piece in pieces}

    def change(opened: "lance.LanceDataset") -> "lance.LanceDataset":
        there = {_files(f): f for f in opened.get_fragments()}
        updated: list[Any] = []
        for files, fragment in there.items():
            own = written(fragment.metadata)
            piece = wanted.get(files, own)
            if piece.deletion == own.deletion:
                continue
            file = piece.metadata["deletion_file"]
            if piece.deleted is not None:
                key = _deletion_key(table, fragment.fragment_id, file)
                table.objects.put(key, piece.deleted)
                table.fresh.add(key.removeprefix(f"{table.prefix}/"))
            updated.append(FragmentMetadata.from_json(json.dumps({**own.metadata, "deletion_file": file})))
        operation = lance.LanceOperation.Update(
            removed_fragment_ids=[f.fragment_id for files, f in there.items() if files not in wanted],
            updated_fragments=updated,
            new_fragments=[_new(piece) for piece in pieces if piece.files not in there],
        )
        return transact(opened, operation, properties)

    return change


def _new(piece: Piece) -> Any:
    """A piece as a new fragment: all of its rows, and nothing that a table numbers."""
    from lance.fragment import FragmentMetadata  # noqa: PLC0415

    return FragmentMetadata.from_json(json.dumps({**piece.metadata, "id": 0, **dict.fromkeys(_OF_A_TABLE)}))


def _files(fragment: Any) -> tuple[str, ...]:
    return tuple(file.path for file in fragment.data_files())


def _deletion_key(table: LanceTable, fragment: int, file: Mapping[str, Any]) -> str:
    ending = "arrow" if file["file_type"] == "array" else "bin"
    return f"{table.prefix}/_deletions/{fragment}-{file['read_version']}-{file['id']}.{ending}"
