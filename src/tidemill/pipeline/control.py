"""``when``, ``each`` and ``at_exit``: which steps run, how often, and what comes last.

They take functions, which are called while the graph is built, so that what they add stands under a condition, for an
item, or last. Outside of a build they do what they say at once, on plain values.
"""

import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.kinds import type_name
from tidemill.pipeline import builder as builders
from tidemill.pipeline import values
from tidemill.pipeline.annotations import shown
from tidemill.pipeline.component import Component, Fitted, whole_results
from tidemill.pipeline.dataset import Dataset
from tidemill.pipeline.fitting import is_outcome
from tidemill.pipeline.graph import EACH, Guard
from tidemill.pipeline.handles import Handle, Port
from tidemill.pipeline.model import Model
from tidemill.pipeline.outcome import RunOutcome
from tidemill.pipeline.spelling import has_kinds

R = TypeVar("R")
_NAMEABLE = re.compile(r"[A-Za-z0-9_.+-]{1,40}")
"""Items that name their steps themselves: ``train[0.01]``, ``train[linear]``."""


# -- when


def when(condition: Any, then: Callable[[], R], otherwise: Callable[[], R | None] | None = None) -> Any:
    """One of two branches of a pipeline, by what a step says.

    ``model = tm.when(enough(train), then=lambda: big(train), otherwise=lambda: small(train))``

    Args:
        condition: The result of a step that returns a bool; or a bool, which decides while the pipeline is built.
        then: Called without arguments; the steps that it calls run when the condition is True. A component that needs
            no arguments is one.
        otherwise: The same for False.

    Returns:
        What the branch that was taken returned: a result, or a tuple or dict of results, of one shape in both
        branches. Without ``otherwise``, None in each place when the condition is False.

    Raises:
        InvalidInput: ``wrong-condition``, ``wrong-branch``.
    """
    for name, branch in (("then", then), ("otherwise", otherwise)):
        _refuse_uncallable("tm.when", name, branch, "branch", optional=name == "otherwise")
    builder = builders.current()
    if not isinstance(condition, Handle):
        taken = then if _plain_bool(condition) else otherwise
        if builder is None or taken is not None:
            return taken() if taken is not None else None
        return _handle(builder, None, "tm.when")
    if builder is None:
        raise _wrong_condition(condition)
    decided = _port_of_condition(builder, condition)
    sides: list[Any] = []
    for value, branch in ((True, then), (False, otherwise)):
        with builder.at(builder.under(Guard(decided, value))):
            made = None if branch is None else branch()
            sides.append(_mapped([made], lambda members: _port(builder, members[0], "tm.when"), ()))
    if otherwise is None:
        nothing = sides[1]
        return _mapped([sides[0]], lambda members: _chosen(builder, decided, members[0], nothing), ())
    return _mapped(sides, lambda members: _chosen(builder, decided, *members), ())


def _chosen(builder: builders.Builder, condition: Port, then: Any, otherwise: Any) -> Handle:
    inputs = {"condition": condition, "then": then, "otherwise": otherwise}
    (handle,) = builder.add("tm.when", "choice", None, {}, inputs, ("result",))
    return handle


def _plain_bool(condition: object) -> bool:
    if isinstance(condition, bool):
        return condition
    if type(condition).__module__ == "numpy" and type(condition).__name__ in {"bool", "bool_"}:
        return bool(condition)
    raise _wrong_condition(condition)


def _port_of_condition(builder: builders.Builder, condition: Handle) -> Port:
    port = builder.seen(condition, "tm.when", "as its condition")
    if builder.node_of(port).role == "value":
        raise _wrong_condition(builder.node_of(port).settings["value"])
    component = builder.node_of(port).component
    result = component.result if component is not None and component.outputs == ("result",) else bool
    if result in (int, float, str, list, dict) or builder.node_of(port).role in (
        "dataset",
        "model",
        "rows",
        "apply",
    ):
        raise InvalidInput(
            f"Step '{port}' is the condition of tm.when, and does not return a bool.",
            why=f"It is annotated {shown(result)}." if result is not bool else "It gives rows.",
            hint="Decide in a step: return accuracy > 0.9.",
            code=codes.WRONG_CONDITION,
            details={"step": port.node},
        )
    return port


def _wrong_condition(condition: object) -> InvalidInput:
    return InvalidInput(
        f"tm.when takes True, False or the result of a step as its condition, not {condition!r}.",
        hint="Call a step that returns a bool.",
        code=codes.WRONG_CONDITION,
    )


# -- each


def each(items: Any, function: Callable[[Any], R]) -> Any:
    """A function's steps once for each item of a list, and the list of what came of them.

    ``best = pick(tm.each(settings(), lambda s: train(rows, s)))``

    Args:
        items: A list of plain values or of results, or the result of a step that returns a list: then the steps are
            added in the run, when the list is there.
        function: Called with an item (or what stands for one); what it returns is the item's result: a result, or a
            tuple or dict of results.

    Returns:
        The results in the items' order, as one result that a step takes as a list; of a tuple or dict, one in each
        of its places.

    Raises:
        InvalidInput: ``wrong-items``, ``wrong-branch``.
    """
    _refuse_uncallable("tm.each", "function", function, "function of an item")
    builder = builders.current()
    if isinstance(items, Handle) and builder is not None:
        return _of_computed(builder, items, function)
    if not isinstance(items, (list, tuple, range)):
        raise InvalidInput(
            f"tm.each takes a list, or the result of a step that returns one, not {_named(items)}.",
            hint="Return a list from a step, and pass what it returns.",
            code=codes.WRONG_ITEMS,
        )
    known = list(cast("Sequence[object]", items))
    if builder is None:
        with whole_results() as wholes:
            results = [function(item) for item in known]
        return _mapped(results, list, [*known, *wholes]) if results else []
    made: list[Any] = []
    with builder.counted_alike() as alike:
        for tag, item in zip(_tags(known), known, strict=True):
            with alike.one(), builder.at(builder.per_item(f"[{tag}]")):
                made.append(_mapped([function(item)], lambda m: _port(builder, m[0], "tm.each"), [item]))
    if not made:
        return _joined(builder, ())
    return _mapped(made, lambda ports: _joined(builder, tuple(ports)), ())


def _of_computed(builder: builders.Builder, items: Handle, function: Callable[[Any], Any]) -> Any:
    port = builder.seen(items, "tm.each", "as its items")
    if builder.node_of(port).role in ("dataset", "model", "rows", "apply", "fit"):
        raise InvalidInput(
            f"tm.each takes a list, and '{port}' is none.",
            hint="Make a list in a step, and pass what it returns; for rows, use @tm.row_step.",
            code=codes.WRONG_ITEMS,
        )
    (item,) = builder.add("tm.each item", "items", None, {}, {"items": port}, ("result",))
    node = builder.nodes[-1].name
    with builder.at(builder.per_item(EACH, node)):
        result = _mapped([function(item)], lambda members: _port(builder, members[0], "tm.each"), ())
    return _mapped([result], lambda members: _joined(builder, members[0], node), ())


def _joined(builder: builders.Builder, members: Any, items: str | None = None) -> Handle:
    (handle,) = builder.add("tm.each", "join", None, {}, {"members": members}, ("result",), each=items)
    return handle


def _tags(items: Sequence[object]) -> list[str]:
    """What the steps of each item are told apart by: the items themselves, or their places in the list."""
    names = [str(i) for i in items if isinstance(i, (str, int, float)) and not isinstance(i, bool)]
    if len(names) == len(items) == len(set(names)) and all(_NAMEABLE.fullmatch(n) for n in names):
        return names
    return [str(at) for at in range(len(items))]


# -- at exit


_last: ContextVar[list[tuple[Component[..., Any], dict[str, Any]]] | None] = ContextVar("last", default=None)


def at_exit(step: Component[..., Any], **settings: Any) -> None:
    """A step that runs when all other steps of the run have ended, on success and on failure.

    ``tm.at_exit(notify, channel="#models")``

    Args:
        step: A ``@tm.step``. A parameter annotated ``tm.RunOutcome`` is given what became of the run.
        **settings: Plain values. Results of steps may not be there, so it takes none.

    Raises:
        InvalidInput: ``wrong-exit``; and what any call of a component raises.
    """
    if not isinstance(step, Component) or step.kind != "step":  # pyright: ignore[reportUnnecessaryIsInstance]
        raise _wrong_exit(f"tm.at_exit takes a step, not {_named(step)}.", "Put @tm.step above the function.")
    told = outcome_parameters(step)
    for name, value in settings.items():
        if isinstance(value, (Handle, Dataset, Model, Fitted)):
            raise _wrong_exit(
                f"Exit step '{step.short_name}' gets {_named(value)} as '{name}'.",
                "Pass plain values: a result may not be there when a run failed.",
            )
    builder, outside = builders.current(), _last.get()
    if builder is None:
        if outside is None:
            raise _wrong_exit("tm.at_exit is called outside a pipeline.", "Call it in a pipeline's body.")
        outside.append((step, settings))
        return
    if builder.scope.guards or builder.scope.loops or builder.scope.tags:
        raise _wrong_exit(
            f"Exit step '{step.short_name}' is added in a branch of tm.when, or for an item of tm.each.",
            "Call tm.at_exit in the pipeline's body itself; the step can decide by its tm.RunOutcome.",
        )
    placeholder = dict.fromkeys(told)
    bound, _ = step.bind(builder, step.short_name, (), {**placeholder, **settings}, unconverted=told)
    builder.at_exit(step.short_name, step, {n: v for n, v in bound.items() if n not in told})


def outcome_parameters(step: Component[..., Any]) -> list[str]:
    """The parameters of an exit step that are given what became of the run."""
    return [p.name for p in step.parameters if is_outcome(p.annotation)]


def in_memory(pipeline: str, body: Callable[[], R]) -> R:
    """A pipeline's body, outside a run. Its exit steps run at the end, unless a pipeline around it sees to that."""
    if _last.get() is not None:
        return body()
    last: list[tuple[Component[..., Any], dict[str, Any]]] = []
    token = _last.set(last)
    try:
        returned = body()
    except Exception as error:
        _end(last, RunOutcome("", pipeline, "failed", None, str(error)), after=error)
        raise
    else:
        _end(last, RunOutcome("", pipeline, "succeeded"))
        return returned
    finally:
        _last.reset(token)


def _end(
    last: list[tuple[Component[..., Any], dict[str, Any]]],
    outcome: RunOutcome,
    after: Exception | None = None,
) -> None:
    for step, settings in last:
        try:
            step(**dict.fromkeys(outcome_parameters(step), outcome), **settings)
        except Exception as error:
            if after is None:
                raise
            after.add_note(f"Exit step '{step.short_name}' failed too: {error}")


# -- shapes


def _mapped(made: Sequence[Any], leaf: Callable[[list[Any]], Any], wholes: Sequence[object]) -> Any:
    """Values of one shape (each a result, or a tuple or dict of such) as one of that shape.

    Args:
        made: The values; one at least.
        leaf: From what is in one place, to what is there afterwards.
        wholes: Tuples and dicts that are results, and no shape.
    """
    own = {id(w) for w in wholes}

    def shaped(value: object) -> bool:
        return isinstance(value, (tuple, dict)) and id(value) not in own

    def at(members: list[Any]) -> Any:
        first = members[0]
        if not any(shaped(m) for m in members):
            return leaf(members)
        if not all(shaped(m) and type(m) is type(first) and len(m) == len(first) for m in members):
            raise _wrong_branch(members)
        if isinstance(first, dict):
            names = list(cast("dict[str, Any]", first))
            if any(set(m) != set(names) for m in members):
                raise _wrong_branch(members)
            return {name: at([m[name] for m in members]) for name in names}
        inner = [at(list(m)) for m in zip(*members, strict=True)]
        return type(first)(*inner) if hasattr(first, "_fields") else tuple(inner)

    return at(list(made))


def _port(builder: builders.Builder, value: object, who: str) -> Port:
    return builder.seen(_handle(builder, value, who), who, "as a result")


def _handle(builder: builders.Builder, value: object, who: str) -> Handle:
    """A result as a handle: as it is, or of a plain value."""
    if isinstance(value, Fitted):
        value = value.state
    if isinstance(value, (Dataset, Model)):
        value = builder.input(value)
    if isinstance(value, Handle):
        return value
    if isinstance(value, list) and value:
        source = builder.source(who, "result", value)
        if source is not None:
            return _joined(builder, source)
    plain = values.plain(value, who, "result")
    if has_kinds(plain):
        raise InvalidInput(
            f"{who} gets a {type_name(value)} as a result that no step has made.",
            why="Such a result is None, bool, int, float, str, or a list or dict of them.",
            hint="Return it from a step.",
            code=codes.NOT_A_SETTING,
        )
    (handle,) = builder.add("tm.when value", "value", None, {"value": plain}, {}, ("result",))
    return handle


# -- what is refused


def _refuse_uncallable(who: str, name: str, given: object, what: str, *, optional: bool = False) -> None:
    if given is None and optional:
        return
    if isinstance(given, Handle) or not callable(given):
        raise InvalidInput(
            f"{who} takes a function as '{name}', not {_named(given)}.",
            why=f"The {what} is called by {who}, which knows where its steps belong.",
            hint=f"Write {name}=lambda{' item' if who == 'tm.each' else ''}: ...",
            code=codes.WRONG_BRANCH,
        )


def _wrong_branch(members: Sequence[object]) -> InvalidInput:
    shapes = list(dict.fromkeys(_shape(m) for m in members))
    return InvalidInput(
        f"Branches, or items, give results of different shapes: {', '.join(shapes[:3])}.",
        why="What comes after must be able to take any of them.",
        hint="Return the same from each: one result, or a tuple or dict of as many.",
        code=codes.WRONG_BRANCH,
    )


def _shape(value: object) -> str:
    if isinstance(value, dict):
        return f"a dict of {', '.join(map(str, cast('dict[str, object]', value)))}"
    return (
        f"a tuple of {len(cast('tuple[object, ...]', value))}" if isinstance(value, tuple) else "one result"
    )


def _wrong_exit(message: str, hint: str) -> InvalidInput:
    return InvalidInput(message, hint=hint, code=codes.WRONG_EXIT)


def _named(value: object) -> str:
    return repr(value) if isinstance(value, (Handle, Component)) else f"a {type_name(value)}"
