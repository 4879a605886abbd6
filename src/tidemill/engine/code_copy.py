"""A copy of the project's code as a run found it: whole files, each a blob, and the blob that lists them.

The texts of ``sources`` show what changed in what a step reaches; a copy can be imported again. It is made when the
run begins, of the files that workers import too. Not in it: what is installed, which has a version, and files that
the code opens by itself.
"""

import functools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tidemill
from tidemill.core import identity
from tidemill.core.names import Digest
from tidemill.engine.content import canonical
from tidemill.pipeline import load

if TYPE_CHECKING:
    from tidemill.engine.closure import Closure
    from tidemill.pipeline.graph import Graph
    from tidemill.store.blobs import Blobs

_LAYOUT = 1
_OWN = Path(tidemill.__file__).parent


@dataclass(frozen=True, slots=True)
class CodeCopy:
    """The files of a copy, each by its path in the folder that the pipeline's file lies in, to its digest.

    Attributes:
        loaded: Those that were imported when the run began.
        reached: Others, which a step imports when it is computed.
        contents: The bytes by digest; empty where the copy was read from a store.
    """

    loaded: dict[str, str]
    reached: dict[str, str]
    contents: dict[str, bytes] = field(default_factory=dict[str, bytes], compare=False, repr=False)

    @property
    def files(self) -> dict[str, str]:
        """All of them."""
        return {**self.reached, **self.loaded}

    @property
    def image(self) -> bytes:
        """The blob that lists them."""
        return canonical({"layout": _LAYOUT, "loaded": self.loaded, "reached": self.reached})

    @property
    def digest(self) -> Digest:
        """Of ``image``: what the run's record names."""
        return identity.blob(self.image)

    def keep(self, blobs: "Blobs") -> None:
        """Store the list and the files."""
        for content in self.contents.values():
            blobs.put(content)
        blobs.put(self.image)


def copy_of(graph: "Graph", closures: "Mapping[int, Closure]", file: Path | None) -> CodeCopy | None:
    """The copy of what a graph is made of; None where a step of it is in no file, as a notebook's is.

    Args:
        graph: To be run.
        closures: Of its components.
        file: Where its pipeline is defined.
    """
    if file is None or any(n.component and not n.component.importable for n in (*graph.nodes, *graph.exits)):
        return None
    folder = file.resolve().parent
    contents: dict[str, bytes] = {}

    def kept(files: Iterable[tuple[str, Path]]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, path in files:
            digest, content = _read(str(path), path.stat().st_mtime_ns)
            found[name], contents[digest] = digest, content
        return dict(sorted(found.items()))

    loaded = {_within(Path(p).resolve(), folder): Path(p) for p in load.modules_in(folder).values()}
    loaded[file.name] = file
    wanted = {f for closure in closures.values() for f in closure.files}
    reached = {_within(p, folder): p for p in map(Path, wanted) if not p.is_relative_to(_OWN)}
    try:
        return CodeCopy(
            kept(loaded.items()), kept((n, p) for n, p in reached.items() if n not in loaded), contents
        )
    except OSError:
        # A module that is loaded, and whose file is gone: no other process could import it either.
        return None


def read(blobs: "Blobs", digest: str) -> CodeCopy:
    """The copy that a run's record names.

    Raises:
        NotFound: ``blob-not-found``.
    """
    listed = json.loads(blobs.get(Digest(digest)))
    return CodeCopy(listed["loaded"], listed["reached"])


def blobs_of(blobs: "Blobs", digest: str) -> Iterator[Digest]:
    """The blobs of a copy, the list among them."""
    yield Digest(digest)
    if blobs.exists(Digest(digest)):
        yield from map(Digest, read(blobs, digest).files.values())


def _within(file: Path, folder: Path) -> str:
    """A file's path in the folder; of one beside it, in the folder that Python found it by."""
    if not file.is_relative_to(folder):
        roots = [Path(p) for p in sys.path if p and file.is_relative_to(p)]
        folder = max(roots, key=lambda p: len(p.parts), default=file.parent)
    return file.relative_to(folder).as_posix()


@functools.lru_cache(maxsize=512)
def _read(path: str, modified: int) -> tuple[str, bytes]:
    del modified  # It makes the key: a file that was edited is read again.
    content = Path(path).read_bytes()
    return identity.blob(content), content
