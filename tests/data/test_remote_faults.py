"""Datasets in S3 while S3 answers 500 and 503 and drops connections: nothing is lost, nothing is half there."""

import itertools
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.services.postgres import Postgres
from tests.services.proxy import Fault, Proxy, proxy_to
from tests.services.s3 import S3Server
from tidemill.core.errors import StorageError
from tidemill.data import Datasets
from tidemill.store.open import Store
from tidemill.store.table import Table


@pytest.fixture
def proxy(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Generator[Proxy]:
    with proxy_to(s3.url) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


@pytest.fixture
def store(proxy: Proxy, s3: S3Server, postgres: Postgres, tmp_path: Path) -> Generator[Store]:
    opened = Store.create(s3.fresh(), local=tmp_path / "local", catalog=postgres.catalog())
    yield opened
    opened.close()


def rows(*values: str) -> Table:
    return Table.of({"a": list(values)})


def values(datasets: Datasets, at: str = "main") -> list[str]:
    return sorted(datasets.open("d").snapshot(at).read(["a"]).to_arrow()["a"].to_pylist())


def test_a_server_that_fails_now_and_then_is_not_noticed(store: Store, proxy: Proxy):
    datasets = Datasets(store, "ada")
    datasets.create("d", rows("x"), message="First")
    kinds: list[Fault] = ["503", "500", "drop-before", "drop-midway", "drop-answer"]
    faults, numbers = itertools.cycle(kinds), itertools.count()
    # Every seventh request is spoilt, each time in another way.
    proxy.plan = lambda _: next(faults) if next(numbers) % 7 == 6 else None
    d = datasets.open("d")
    d.branch("side")
    for n in range(4):
        d.commit(rows(f"main {n}"), message="On main")
        d.commit(rows(f"side {n}"), branch="side", message="On side")
    d.merge("side", into="main")
    proxy.plan = lambda _: None
    assert len(proxy.met) > 10
    assert values(datasets) == [
        "main 0",
        "main 1",
        "main 2",
        "main 3",
        "side 0",
        "side 1",
        "side 2",
        "side 3",
        "x",
    ]
    assert [c.number for c in d.log()] == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("fault", ["503", "drop-before"])
def test_a_server_that_stays_away_is_said_and_nothing_is_half_there(
    store: Store, proxy: Proxy, fault: Fault, monkeypatch: pytest.MonkeyPatch
):
    datasets = Datasets(store, "ada")
    datasets.create("d", rows("x"), message="First")
    # The one time that it is waited for in full is in the store's own tests.
    monkeypatch.setattr(store.objects, "_retries", 1)
    d = datasets.open("d")
    # Away for good from the first data file that a commit writes.
    gone = False

    def plan(line: str) -> Fault | None:
        nonlocal gone
        gone = gone or ("PUT" in line and "/data/" in line)
        return fault if gone else None

    proxy.plan = plan
    with pytest.raises(StorageError) as said:
        d.commit(rows("y"), message="Second")
    assert said.value.code == "store-unreachable", said.value.to_json()
    proxy.plan = lambda _: None
    assert values(datasets) == ["x"]
    d.commit(rows("y"), message="Second")
    assert values(datasets) == ["x", "y"]
