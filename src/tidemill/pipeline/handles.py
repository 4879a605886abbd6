"""Handles: what a step's call returns while the graph is built, in place of a value that does not exist yet."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from tidemill.core import codes
from tidemill.core.errors import InvalidInput

if TYPE_CHECKING:
    from tidemill.pipeline.builder import Builder


@dataclass(frozen=True, slots=True)
class Port:
    """One output of one node: ``result``, or a name of several."""

    node: str
    output: str

    def __str__(self) -> str:
        return self.node if self.output == "result" else f"{self.node}.{self.output}"


class Handle:
    """Stands for a step's result until a run computes it. It can be passed to another step or returned.

    Not a value: every other use raises ``handle-used-as-value``.
    """

    __slots__ = ("_builder", "_port")

    def __init__(self, port: Port, builder: "Builder") -> None:
        self._port = port
        self._builder = builder

    def __repr__(self) -> str:
        return f"<result of step '{self._port}'>"

    __hash__ = object.__hash__

    def _refuse(self, use: str, instead: str) -> NoReturn:
        raise InvalidInput(
            f"The result of step '{self._port}' is used {use}.",
            why="While a pipeline is built, a step returns a handle; its value exists only in a run.",
            hint=instead,
            code=codes.HANDLE_USED_AS_VALUE,
            details={"step": self._port.node},
        )

    def __bool__(self) -> bool:  # noqa: PLE0304 - it always raises
        self._refuse(
            "as a condition",
            "Put the 'if' inside a step that takes this result, or decide by a parameter of the pipeline, "
            "which is a plain value.",
        )

    def __len__(self) -> int:  # noqa: PLE0303 - it always raises
        self._refuse("by len()", "Call len() inside a step that takes this result.")

    def __iter__(self) -> NoReturn:
        self._refuse(
            "in a loop or unpacked",
            "Loop inside a step; or annotate the step's return as tuple[...] to get one handle for each result.",
        )

    def __getitem__(self, key: object) -> NoReturn:
        del key
        self._refuse(
            "with [ ]",
            "Take the part inside a step; or annotate the step's return as tuple[...] and unpack it.",
        )

    def __call__(self, *_: object, **__: object) -> NoReturn:  # noqa: D102 - it always raises
        self._refuse("as a function", "Call it inside a step that takes this result.")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse(f"for its attribute '{name}'", f"Use '.{name}' inside a step that takes this result.")

    def _compared(self, other: object) -> NoReturn:
        del other
        self._refuse("in a comparison", "Compare inside a step that takes this result.")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _compared  # pyright: ignore[reportAssignmentType]

    def _computed_with(self, other: object = None) -> NoReturn:
        del other
        self._refuse("in a calculation", "Calculate inside a step that takes this result.")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _computed_with
    __truediv__ = __rtruediv__ = __floordiv__ = __mod__ = __pow__ = __matmul__ = _computed_with
    __neg__ = __abs__ = __int__ = __float__ = __index__ = _computed_with


def port_of(handle: Handle) -> Port:
    """Which output the handle stands for."""
    return handle._port  # noqa: SLF001 - its attributes are the user's to misuse, so the port hides


def builder_of(handle: Handle) -> "Builder":
    """The build that the handle belongs to."""
    return handle._builder  # noqa: SLF001
