"""The gate: what a candidate must pass before it can become a release, and the reason for every yes and no.

Not a step of a run: a verdict is never cached (``docs/decisions/gate-is-not-a-step.md``).
"""

import math
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.figures import figure
from tidemill.core.kinds import raised
from tidemill.core.names import did_you_mean, nearest
from tidemill.core.settings import GateSettings
from tidemill.models.agreement import Agreement, Measure

if TYPE_CHECKING:
    import numpy as np

    Columns = Mapping[str, np.ndarray[Any, Any]]

Operator = Literal[">=", ">", "<=", "<", "=="]

_RULE = re.compile(
    r"\s*(?P<metric>[^<>=!\s](?:[^<>=!]*[^<>=!\s])?)\s*(?P<operator>>=|<=|==|>|<)\s*(?P<limit>\S+)\s*"
)
_WARM_UP_CALLS = 5


class Predicts(Protocol):
    """What the gate asks of a predictor; ``models.Predictor`` is one."""

    def predict(self, columns: Any) -> "Columns":
        """The outputs for rows given as columns, by output name."""
        ...


class Compared(Protocol):
    """What the gate reads of a comparison; ``evaluation.Comparison`` is one."""

    @property
    def a(self) -> float:
        """The candidate's metric."""
        ...

    @property
    def b(self) -> float:
        """That of the running release."""
        ...

    @property
    def difference(self) -> float:
        """How much better the candidate is; negative where it is worse."""
        ...

    @property
    def low(self) -> float:
        """The pessimistic end of the confidence interval."""
        ...

    @property
    def high(self) -> float:
        """The optimistic end."""
        ...

    @property
    def n(self) -> int:
        """Rows that both models answered."""
        ...

    @property
    def scale(self) -> float:
        """What a ``max_drop`` of 1 stands for, in the metric's unit."""
        ...


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule and how it went.

    Attributes:
        name: The rule, as it was written or as the setting is called.
        reason: One sentence: by how much it held or missed.
        value: What was measured; None where nothing could be.
        limit: What it was held against.
    """

    name: str
    passed: bool
    reason: str
    value: float | None
    limit: float | None

    def to_json(self) -> dict[str, object]:
        """The rule as a verdict's record keeps it. JSON has no NaN and no infinity: they become null."""
        return {
            "name": self.name,
            "passed": self.passed,
            "reason": self.reason,
            "value": _finite(self.value),
            "limit": _finite(self.limit),
        }


@dataclass(frozen=True, slots=True)
class Against:
    """A metric of the candidate and of the running release on the same held-out rows.

    Attributes:
        number: The running release's number.
        metric: Which metric.
        comparison: Candidate against running release, with the confidence interval of ``GateSettings.confidence``;
            the reason in words where the two cannot be compared.
    """

    number: int
    metric: str
    comparison: Compared | str


@dataclass(frozen=True, slots=True)
class Condition:
    """A rule's text, taken apart: ``accuracy >= 0.87``."""

    metric: str
    operator: Operator
    limit: float

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {_short(self.limit)}"


def parse_rule(text: str) -> Condition:
    """Take a rule of ``tidemill.toml`` apart.

    Raises:
        InvalidInput: ``invalid-rule``.
    """
    match = _RULE.fullmatch(text)
    limit = _number(match["limit"]) if match else None
    if match is None or limit is None:
        raise InvalidInput(
            f"The gate's rule '{text}' cannot be read.",
            why="A rule is a metric, one of >= > <= < ==, and a number.",
            hint="Write it like 'accuracy >= 0.87'.",
            code=codes.INVALID_RULE,
            details={"rule": text},
        )
    return Condition(match["metric"], cast("Operator", match["operator"]), limit)


def judge(
    *,
    settings: GateSettings,
    metrics: Mapping[str, float],
    smoke: Agreement | None,
    latency_ms: float | None,
    against: Sequence[Against],
) -> tuple[bool, list[Rule]]:
    """Hold a candidate against every rule; no rule is skipped because another failed.

    Args:
        settings: The pipeline's gate.
        metrics: The candidate's metrics on its test rows, by name.
        smoke: How its predictor answered sample rows; None when that was not tried.
        latency_ms: The predictor's median time for one row; milliseconds; None when not measured.
        against: Each metric's comparison with the running release; empty when nothing runs.

    Returns:
        Whether all passed, and each rule with its reason. A rule whose measurement is missing has failed.

    Raises:
        InvalidInput: ``invalid-rule``, or ``unknown-metric`` naming the nearest one.
    """
    rules = [_metric_rule(parse_rule(text), metrics) for text in settings.rules]
    if settings.smoke:
        rules.append(_smoke_rule(smoke))
    if settings.latency_ms is not None:
        rules.append(_latency_rule(latency_ms, settings.latency_ms))
    rules += [_against_rule(each, settings) for each in against]
    return all(rule.passed for rule in rules), rules


def failures(rules: Sequence[Rule]) -> str:
    """The failed rules, as one line for a person."""
    return "; ".join(f"{rule.name}: {rule.reason}" for rule in rules if not rule.passed)


def measure_latency(predictor: Predicts, columns: "Columns", repeats: int = 200) -> float:
    """The median time of the predictor for one row; milliseconds.

    Args:
        predictor: What is measured, in this process.
        columns: Sample rows; each call takes the next one.
        repeats: Calls that are timed, after a few that are not.
    """
    rows = len(next(iter(columns.values())))
    singles = [{name: values[i : i + 1] for name, values in columns.items()} for i in range(rows)]
    for call in range(_WARM_UP_CALLS):
        predictor.predict(singles[call % rows])
    times: list[float] = []
    for call in range(repeats):
        row = singles[call % rows]
        started = time.perf_counter()
        predictor.predict(row)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def smoke(
    predictor: Predicts, columns: "Columns", expected: "Columns", measure: Measure | None = None
) -> Agreement:
    """Ask the predictor for sample rows and compare with what the pipeline answered.

    Args:
        predictor: The predictor, as it will be served.
        columns: The raw rows.
        expected: The pipeline's own outputs for them, by output name.
        measure: What the bundle says that its answers are compared by. Default: ``Measure()``.
    """
    rows = len(next(iter(columns.values())))
    try:
        answers = predictor.predict(columns)
    except Exception as error:  # noqa: BLE001 - user code runs in there; whatever it raises is the finding
        return Agreement(rows, 0, math.inf, raised(error))
    return (measure or Measure()).compare(answers, expected, rows)


def _metric_rule(rule: Condition, metrics: Mapping[str, float]) -> Rule:
    if rule.metric not in metrics:
        raise InvalidInput(
            f"The gate's rule '{rule}' is about '{rule.metric}', and the report has no such metric.",
            hint=did_you_mean(rule.metric, metrics, f"There are: {', '.join(sorted(metrics))}."),
            code=codes.UNKNOWN_METRIC,
            details={"metric": rule.metric, "nearest": nearest(rule.metric, metrics)},
        )
    value, limit = float(metrics[rule.metric]), rule.limit
    if math.isnan(value):
        return Rule(str(rule), passed=False, reason="it is not a number", value=value, limit=limit)
    margin = _short(abs(value - limit))
    passed, beyond = {
        ">=": (value >= limit, "above" if value > limit else "at"),
        ">": (value > limit, "above"),
        "<=": (value <= limit, "below" if value < limit else "at"),
        "<": (value < limit, "below"),
        "==": (math.isclose(value, limit, rel_tol=1e-9), "equal to"),
    }[rule.operator]
    if passed:
        by = f"{margin} {beyond} the limit" if beyond in ("above", "below") else f"exactly {beyond} the limit"
        return Rule(str(rule), passed=True, reason=f"it is {_short(value)}, {by}", value=value, limit=limit)
    by = f"missed by {margin}" if value != limit else "it must be beyond the limit, not at it"
    return Rule(str(rule), passed=False, reason=f"it is {_short(value)}, {by}", value=value, limit=limit)


def _smoke_rule(smoke: Agreement | None) -> Rule:
    name = "smoke test of the predictor"
    if smoke is None or smoke.rows == 0:
        reason = "it was not run: the run has no predictor with sample rows"
        return Rule(name, passed=False, reason=reason, value=None, limit=None)
    value, limit = float(smoke.agree), float(smoke.rows)
    if smoke.error:
        return Rule(name, passed=False, reason=smoke.error, value=value, limit=limit)
    passed = smoke.agree == smoke.rows
    off = f"greatest difference {_short(smoke.max_difference)}"
    reason = (
        f"all {smoke.rows} sample rows are answered as the pipeline did, {off}"
        if passed
        else f"{smoke.rows - smoke.agree} of {smoke.rows} sample rows are not answered as the pipeline did, {off}"
    )
    return Rule(name, passed, reason, value, limit)


def _latency_rule(latency_ms: float | None, limit_ms: float) -> Rule:
    name = f"latency <= {_short(limit_ms)} ms a row"
    if latency_ms is None or math.isnan(latency_ms):
        return Rule(name, passed=False, reason="it was not measured", value=None, limit=limit_ms)
    passed, margin = latency_ms <= limit_ms, _short(abs(limit_ms - latency_ms), digits=3)
    by = f"{margin} ms under the limit" if passed else f"missed by {margin} ms"
    return Rule(name, passed, f"the median is {_short(latency_ms, digits=3)} ms, {by}", latency_ms, limit_ms)


def _against_rule(against: Against, settings: GateSettings) -> Rule:
    name = f"no worse than release {against.number} in {against.metric}"
    found = against.comparison
    if isinstance(found, str):
        reason = f"not compared: {found}"
        return Rule(name, passed=False, reason=reason, value=None, limit=None)
    floor = -settings.max_drop * found.scale
    if math.isnan(found.low):
        reason = "not compared: the comparison gave no number"
        return Rule(name, passed=False, reason=reason, value=None, limit=floor)
    passed = found.low >= floor
    by = "" if passed else f", missed by {_short(floor - found.low)}"
    reason = (
        f"it is {_short(found.a)}, and {_short(found.b)} of the running release, on the same {found.n:,} test rows; "
        f"difference {_signed(found.difference)} (below 0 is worse), {settings.confidence * 100:g} % interval {_signed(found.low)} to "
        f"{_signed(found.high)}; the low end may be {_signed(floor)}{by}"
    )
    if not passed and found.high >= floor:
        reason = f"not enough test rows to tell: {reason}; {_way_out(found)}"
    return Rule(name, passed, reason, found.low, floor)


def _way_out(found: Compared) -> str:
    """What to type where the interval is too wide for a yes and for a no."""
    least = math.ceil(-found.low / found.scale * 1000) / 1000 if found.scale else math.inf
    if least > 1:
        return "give it more test rows"
    return f"give it more test rows, or set max_drop = {least:g} if so much may be lost"


def _signed(value: float) -> str:
    return figure(value, form="+")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _short(value: float, digits: int = 6) -> str:
    return figure(value, digits)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
