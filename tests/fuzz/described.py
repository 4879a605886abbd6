"""Bodies that a server's own OpenAPI document describes, and such as it rules out, as schemathesis makes them."""

import json
import urllib.request
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

_OF_EACH = 20
"""Of each operation, as many that its schema takes and as many that it does not: the same ones each time."""


def bodies(address: str) -> list[tuple[str, bytes]]:
    """Each with its path: JSON for every operation that takes a body.

    Args:
        address: Of a running server.
    """
    with urllib.request.urlopen(f"{address}/openapi.json", timeout=30) as answer:
        document = json.load(answer)
    found: list[tuple[str, bytes]] = []
    operations: Any = schemathesis.openapi.from_dict(document).get_all_operations()
    for operation in (each.ok() for each in operations):
        if operation.method == "post":
            for mode in GenerationMode:
                found += _drawn(operation, mode)
    return found


def _drawn(operation: Any, mode: GenerationMode) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []

    @settings(
        max_examples=_OF_EACH,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.filter_too_much,
            HealthCheck.large_base_example,
        ],
    )
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: Any) -> None:
        # What is no JSON at all is there as bytes.
        body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
        found.append((case.formatted_path, body))

    collect()
    return found
