"""Load: threads that ask over kept connections with a plain client that retries nothing."""

import http.client
import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.serve.bundles import images
from tests.services.waiting import WATCHDOG_SECONDS


@dataclass
class Load:
    """What the threads saw.

    Attributes:
        acknowledged: Prediction id to the number of the release that answered, for each answer that came.
        failures: What else happened.
    """

    acknowledged: dict[str, int] = field(default_factory=dict[str, int])
    failures: list[str] = field(default_factory=list[str])
    stopping: threading.Event = field(default_factory=threading.Event)
    some: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, more: int, number: int | None = None) -> None:
        """Until so many more answers have come (of this release)."""

        def count() -> int:
            return sum(number in (None, n) for n in [*self.acknowledged.values()])

        with self.some:
            wanted = count() + more
            reached = self.some.wait_for(lambda: count() >= wanted or bool(self.failures), WATCHDOG_SECONDS)
        assert reached, "the load came to a halt"


@contextmanager
def load(address: str, connections: int, *, fails: bool = False) -> Generator[Load]:
    """Ask from so many connections until the end of the block; ``fails``: a failure ends a thread, silently."""
    seen, threads = Load(), list[threading.Thread]()
    parts = urlsplit(address)
    bodies = [json.dumps({"rows": [{"image": image.tolist()}]}) for image in images(16, 3)]

    def ask(at: int) -> None:
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=180)
        try:
            while not seen.stopping.is_set():
                connection.request("POST", "/predict", bodies[at % len(bodies)])
                response = connection.getresponse()
                answer: Any = json.loads(response.read())
                with seen.some:
                    if response.status == 200:
                        seen.acknowledged[answer["predictions"][0]["prediction"]] = answer["number"]
                    else:
                        seen.failures.append(f"{response.status} {answer}")
                    seen.some.notify_all()
        except (OSError, http.client.HTTPException, ValueError) as error:
            with seen.some:
                if not fails:
                    seen.failures.append(repr(error))
                seen.some.notify_all()
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        seen.stopping.set()
        for thread in threads:
            thread.join()
