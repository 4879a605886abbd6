"""The decorators that make components: ``step``, ``row_step``, ``transform``, ``trainer`` and ``check``."""

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, Unpack, overload

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import did_you_mean
from tidemill.pipeline.carrying import check_carrying, check_uses
from tidemill.pipeline.component import TRAINER_SETTINGS, Component, Kind, P, R
from tidemill.pipeline.resources import Resources
from tidemill.pipeline.script import importable_name
from tidemill.pipeline.training import check_columns


class _Options(TypedDict, total=False):
    """What every component may say: of its key, and of how it is carried out."""

    ignore: Sequence[str]
    uses: Sequence[object]
    version: str | None
    code_version: str | None
    # How it is carried out is no part of a key: it changes no result.
    retries: int
    retry_seconds: float
    timeout_seconds: float | None
    resources: Resources | None


_ANY = tuple(_Options.__annotations__)


def _caller_module() -> str:
    # Frame 0 is here, 1 the decorator, 2 whoever uses it.
    return str(sys._getframe(2).f_globals.get("__name__", "__main__"))  # noqa: SLF001


@overload
def step(function: Callable[P, R], /) -> Component[P, R]: ...
@overload
def step(
    *,
    outputs: Sequence[str] | None = None,
    ids: bool = False,
    **options: Unpack[_Options],
) -> Callable[[Callable[P, R]], Component[P, R]]: ...
def step(function: Any = None, /, **options: Any) -> Any:
    """Make a function a step: called once, with whole inputs.

    Args:
        function: The function; omitted when options are given.
        **options: ``outputs``, names for the results of a function annotated ``tuple[...]``; ``ids``, that tables in
            Polars and Arrow have a column ``_id``, the identity of their rows, and that such a column of what it returns
            is that (pandas frames have it as their index, ``tm.Table`` as ``table.ids``); ``ignore``, global
            names that do not matter to the result (a client, a connection), left out of the cache key;
            ``uses``, what it reaches that its code does not show, as parts of the key: names of modules that it
            imports by a computed name (``"plugins"``), files beside its own that it opens
            (``Path("words.txt")``), functions, classes and constants;
            ``version``, a word that goes into the key, for what the code does not show; ``code_version``, a word
            that stands for the code and all that it reaches: then only a new word is a change of code;
            ``retries``, how often it is tried again when it raises or its process is ended (a process that was
            killed is tried once more unasked); ``retry_seconds``, the pause before the first of these, twice
            as long before each further one, and at most five minutes; ``timeout_seconds``, how long one try may
            take before it is ended; ``resources``, what it needs of the machine (``tm.resources``). All but ``outputs`` and
            ``ids`` any component has.
    """
    return _decorate("step", function, options, ("outputs", "ids", *_ANY), _caller_module())


@overload
def row_step(function: Callable[P, R], /) -> Component[..., R]: ...
@overload
def row_step(
    *,
    columns: str | Sequence[str] | None = None,
    to: str | None = None,
    training_only: bool = False,
    split: bool = False,
    served: Callable[..., Any] | None = None,
    ids: bool = False,
    rows: Literal["new"] | None = None,
    outputs: Sequence[str] | None = None,
    **options: Unpack[_Options],
) -> Callable[[Callable[P, R]], Component[..., R]]: ...
def row_step(function: Any = None, /, **options: Any) -> Any:
    """Make a function a step that treats each row by itself, so that only changed rows are computed again.

    Table form: ``f(rows: T, ...) -> T`` with T a Polars, pandas or Arrow frame or ``tm.Table``; it may drop
    rows, never reorder, repeat or mix them. A pandas frame has the identity of its rows as the index ``_id``, which what
    is returned must have too; ``tm.Table`` keeps it beside its columns. Polars and Arrow have no place for it: as many
    rows in the same order keep theirs, and a function that changes their number says ``ids=True`` or ``rows="new"``.
    Column form (``columns=``): ``f(array, ...) -> array`` of the same length.

    Args:
        function: The function; omitted when options are given.
        **options: ``columns``, the column (or columns) the function takes as arrays; ``to``, the column it
            makes (default: it replaces the first); ``training_only``, for what concerns labels: not part of the
            predictor; ``split``, for what parts rows into training and test; ``served``, the NumPy form that
            the predictor uses: ``f(columns, **settings) -> columns``; ``ids``, that the rows have a column ``_id``
            (Polars, Arrow, ``tm.Table``), which what is returned must have too; ``rows="new"``, that what is returned are
            new rows, any number of them for each that was given; ``outputs``, ``ignore``, ``uses``,
            ``version`` and ``code_version`` as for ``step``.
    """
    known = ("columns", "to", "training_only", "split", "served", "ids", "rows", "outputs", *_ANY)
    return _decorate("row_step", function, options, known, _caller_module())


@overload
def transform(function: type, /) -> Component[..., Any]: ...
@overload
def transform(
    function: object = None,
    /,
    *,
    columns: str | Sequence[str] | None = None,
    to: str | None = None,
    training_only: bool = False,
    sees_test_rows: bool = False,
    ids: bool = False,
    **options: Unpack[_Options],
) -> Any: ...
def transform(function: Any = None, /, **options: Any) -> Any:
    """Make a class with ``fit(table) -> state`` and ``apply(table, state) -> table`` a transform.

    Its ``__init__`` parameters are settings. ``state`` is a dict of arrays and plain values. A scikit-learn
    transformer is one as it is: ``scale = tm.transform(StandardScaler(), columns="image")``.

    Args:
        function: The class, or the scikit-learn object; omitted when only options are given.
        **options: ``columns``, the column (or columns) that ``fit`` and ``apply`` take as arrays; ``to``, the
            column it makes; ``training_only``, not part of the predictor; ``sees_test_rows``, says that
            fitting before the split is meant (a list of labels, say), so that it is no leak; ``ids`` as for
            ``row_step``; ``ignore``, ``uses``, ``version`` and ``code_version`` as for ``step``.
    """
    known = ("columns", "to", "training_only", "sees_test_rows", "ids", *_ANY)
    return _decorate("transform", function, options, known, _caller_module())


@overload
def trainer(function: Callable[P, R], /) -> Component[..., R]: ...
@overload
def trainer(
    function: object = None,
    /,
    *,
    features: str | None = None,
    label: str | None = None,
    classes: Sequence[str] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    **options: Unpack[_Options],
) -> Any: ...
def trainer(function: Any = None, /, **options: Any) -> Any:
    """Make a function that returns a model, a scikit-learn estimator or a compiled Keras model a trainer.

    Args:
        function: The function, estimator or model; omitted when only options are given.
        **options: ``features``, the column the model takes; ``label``, the column it predicts; ``classes``, the
            labels in the order of the model's outputs (default: the sorted labels of the first table).
            The call may give these three too. ``epochs`` (1) and ``batch_size`` (32), for a Keras model, which is
            trained from fresh weights. ``ignore``, ``uses``, ``version`` and ``code_version`` as for ``step``.
    """
    known = (*TRAINER_SETTINGS, "epochs", "batch_size", *_ANY)
    return _decorate("trainer", function, options, known, _caller_module())


@overload
def check(function: Callable[P, R], /) -> Component[P, R]: ...
@overload
def check(**options: Unpack[_Options]) -> Callable[[Callable[P, R]], Component[P, R]]: ...
def check(function: Any = None, /, **options: Any) -> Any:
    """Make a function a check: the run fails when it returns False, or a text or list of what is wrong."""
    return _decorate("check", function, options, _ANY, _caller_module())


def _decorate(kind: Kind, function: Any, options: dict[str, Any], known: Sequence[str], module: str) -> Any:
    for name in options:
        if name not in known:
            raise InvalidInput(
                f"{kind} has no option '{name}'.",
                hint=did_you_mean(name, known),
                code=codes.WRONG_DEFINITION,
            )
    check_carrying(kind, options)
    check_uses(kind, options)
    if kind == "trainer":
        check_columns(options, "A trainer")
    if options.get("rows") not in (None, "new"):
        raise InvalidInput(
            f"{kind} has no rows={options['rows']!r}.",
            hint="Say rows='new', or leave it out: then its rows are some of those that it was given.",
            code=codes.WRONG_DEFINITION,
        )
    if function is None:
        return lambda given: _component(kind, given, options, module)
    return _component(kind, function, options, module)


def _component(kind: Kind, function: Any, options: dict[str, Any], module: str) -> Component[..., Any]:
    wanted = ("fit", "transform") if kind == "transform" else ("fit",)
    lacking: str | None = None
    if inspect.isclass(function):
        if kind != "transform":
            lacking = "a function, not a class"
        elif not (hasattr(function, "fit") and hasattr(function, "apply")):
            lacking = "the methods fit(table) and apply(table, state)"
    elif not inspect.isroutine(function):
        is_estimator = kind in ("transform", "trainer") and all(hasattr(function, w) for w in wanted)
        lacking = (
            None if is_estimator else "a function" if kind != "transform" else "a class with fit and apply"
        )
    elif kind == "transform":
        lacking = "a class with fit and apply, not a function"
    if lacking is not None:
        name = getattr(function, "__qualname__", type(function).__qualname__)
        raise InvalidInput(
            f"tm.{kind} is used on {name}, and needs {lacking}.",
            hint="Use tm.row_step for a function of rows, tm.step for any other."
            if kind == "transform"
            else "Put it above a 'def'.",
            code=codes.WRONG_DEFINITION,
        )
    return Component(kind, function, options, module=_module_of(function, module))


def _module_of(function: Any, caller: str) -> str:
    # An estimator's own module is scikit-learn's; the component lives where the decorator was used.
    if inspect.isroutine(function) or inspect.isclass(function):
        caller = str(getattr(function, "__module__", None) or caller)
    return importable_name(caller)
