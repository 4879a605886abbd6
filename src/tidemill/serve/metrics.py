"""What a server counts, as Prometheus text."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tidemill.serve.prediction_log import LogFigures

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@dataclass(slots=True)
class _Series:
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(_BUCKETS) + 1))


@dataclass(slots=True)
class Metrics:
    """Counters of one server.

    Attributes:
        in_flight: Requests that have come and are not answered.
        batches: How often the predictor was called.
        batch_rows: The rows of these calls.
        predict_seconds: The time in them.
        feedback: Labels that were recorded.
    """

    in_flight: int = 0
    batches: int = 0
    batch_rows: int = 0
    predict_seconds: float = 0.0
    feedback: int = 0
    _series: dict[tuple[str, int], _Series] = field(default_factory=dict[tuple[str, int], _Series])

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one response."""
        series = self._series.get((route, status))
        if series is None:
            series = self._series[route, status] = _Series()
        series.seconds += seconds
        at = 0
        while at < len(_BUCKETS) and seconds > _BUCKETS[at]:
            at += 1
        series.buckets[at] += 1

    def text(self, log: LogFigures, info: dict[str, str]) -> str:
        """All of it in Prometheus' text format."""
        return "\n".join([*self._requests(), *self._figures(log), *_release(info), ""])

    def _requests(self) -> Iterator[str]:
        yield "# HELP tidemill_request_seconds Time from a request's first byte to its answer."
        yield "# TYPE tidemill_request_seconds histogram"
        for (route, status), series in sorted(self._series.items()):
            labels = f'route="{_escaped(route)}",status="{status}"'
            total = 0
            for bound, count in zip((*map(str, _BUCKETS), "+Inf"), series.buckets, strict=True):
                total += count
                yield f'tidemill_request_seconds_bucket{{{labels},le="{bound}"}} {total}'
            yield f"tidemill_request_seconds_sum{{{labels}}} {series.seconds:.6f}"
            yield f"tidemill_request_seconds_count{{{labels}}} {total}"
        yield "# HELP tidemill_requests_total Requests answered."
        yield "# TYPE tidemill_requests_total counter"
        for (route, status), series in sorted(self._series.items()):
            yield (
                f'tidemill_requests_total{{route="{_escaped(route)}",status="{status}"}} {sum(series.buckets)}'
            )

    def _figures(self, log: LogFigures) -> Iterator[str]:
        counters = (
            ("predictor_calls_total", "Calls of the predictor; requests that wait share one.", self.batches),
            ("predictor_rows_total", "Rows given to the predictor.", self.batch_rows),
            ("predictor_seconds_total", "Time in the predictor.", f"{self.predict_seconds:.6f}"),
            ("predictions_logged_total", "Rows committed to the prediction log.", log.rows),
            ("feedback_total", "Labels recorded.", self.feedback),
            ("log_commits_total", "Commits of the prediction log.", log.commits),
            ("log_commit_seconds_total", "Time in them.", f"{log.commit_seconds:.6f}"),
            ("log_failures_total", "Commits that failed; their requests got 503.", log.failures),
            (
                "predictions_pruned_total",
                "Rows that left the prediction log by keep_days or keep_bytes.",
                log.pruned,
            ),
            (
                "prune_failures_total",
                "Tries to prune the log that failed; they are made again.",
                log.prune_failures,
            ),
        )
        for name, words, value in counters:
            yield f"# HELP tidemill_{name} {words}"
            yield f"# TYPE tidemill_{name} counter"
            yield f"tidemill_{name} {value}"
        yield "# HELP tidemill_requests_in_flight Requests that have come and are not answered."
        yield "# TYPE tidemill_requests_in_flight gauge"
        yield f"tidemill_requests_in_flight {self.in_flight}"


def _release(info: dict[str, str]) -> Iterator[str]:
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in info.items())
    yield "# HELP tidemill_release_info The release that answers."
    yield "# TYPE tidemill_release_info gauge"
    yield f"tidemill_release_info{{{labels}}} 1"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
