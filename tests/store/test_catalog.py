"""The catalog: records as they were put in, transactions whole, migrations that end at the tables."""

import dataclasses
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import IntegrityError

from tidemill.core.errors import StorageError
from tidemill.store.catalog import records, tables
from tidemill.store.catalog.database import HEAD, Catalog

RUN = records.Run(
    id="20261124-105904-7f3a9c",
    pipeline="fashion",
    file="pipeline.py",
    parameters={"epochs": 10, "name": "é"},
    trigger="person",
    status="running",
    started_at="2026-11-24T10:59:04.000000Z",
    finished_at=None,
    host="here",
    pid=1,
    inputs={"fashion": "0123456789ab"},
)
STEP = records.Step(
    run=RUN.id,
    name="train",
    position=3,
    component="pipeline:train",
    kind="trainer",
    status="computed",
    key="sha256:aa",
    parts={"settings": {"epochs": 10}},
    outputs={"model": "sha256:bb"},
    why="the code of 'train' changed",
    seconds=1.5,
    finished_at="2026-11-24T10:59:09.000000Z",
    rows_in=70_000,
)
REVIEW = records.Review(
    dataset="fashion",
    number=3,
    title="Corrected labels",
    description="",
    source="corrections",
    target="main",
    author="ada",
    state="open",
    opened_at=RUN.started_at,
)
QUEUE = records.LabelQueue(
    id="q1",
    name="fashion",
    dataset="fashion",
    commit="0123456789ab",
    source="main",
    branch="labels-fashion",
    column="label",
    classes=["coat", "bag"],
    selection={"rows": "unlabelled"},
    model=None,
    content="sha256:dd",
    size=9,
    labels=2,
    referee=None,
    author="ada",
    opened_at=RUN.started_at,
)
LABELLED = records.LabelRow(QUEUE.id, 1, "7", "decided", "coat", "ada", RUN.started_at, "0123456789ab")
DEPLOYMENT = records.Deployment(
    "d1", "prod", "fashion", 1, "sha256:cc", "live", "Ada", RUN.started_at, None, "promoted"
)
EXAMPLES = [
    RUN,
    STEP,
    records.Artifact("sha256:bb", "model", 1_000, {"framework": "keras"}, RUN.started_at),
    records.Model(
        "fashion", 1, "sha256:bb", RUN.id, "keras", {"inputs": []}, {"accuracy": 0.9}, RUN.started_at
    ),
    records.Verdict(RUN.id, True, None, [{"rule": "accuracy >= 0.87", "passed": True}], RUN.started_at),
    records.Release("fashion", 1, "sha256:cc", RUN.id, "Ada", RUN.started_at),
    DEPLOYMENT,
    records.DeploymentChange("d1", 1, "prod", "retired", "Ada", "here:/p", RUN.started_at, "release 2", "p2"),
    records.Wish("prod", 1, "promote", "fashion", 2, 1, "Grace", "there:/q", "better", RUN.started_at),
    records.Lookout("prod", "p1", "here:/p", RUN.started_at, None, "fashion", 1, "http://127.0.0.1:9"),
    records.Firing("refit", "0123456789ab", None, None, RUN.started_at),
    REVIEW,
    records.Approval("fashion", 3, "grace", "0123456789ab", RUN.started_at),
    QUEUE,
    LABELLED,
    records.LabelTurn(QUEUE.id, 1, "labeller", "ada", "h1", "leased", RUN.started_at, RUN.started_at),
    records.Comment("fashion", 3, 1, "grace", "Row 7 is a coat.", "7", RUN.started_at),
]


HISTORY = (records.Deployment, records.DeploymentChange)


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a catalog of either kind can be made."""
    if request.param == "sqlite":
        return tmp_path / "catalog.db"
    return request.getfixturevalue("postgres").fresh()


@pytest.fixture
def catalog(where: Path | str) -> Generator[Catalog]:
    opened = Catalog.open(where)
    with opened.write() as transaction:
        transaction.add(RUN, REVIEW, QUEUE, LABELLED)
    yield opened
    opened.close()


def test_head_is_the_last_migration():
    versions = Path(str(tables.__file__)).parent / "migrations" / "versions"
    numbers = sorted(p.name.partition("_")[0] for p in versions.glob("[0-9]*.py"))
    assert numbers == [f"{n:04}" for n in range(1, len(numbers) + 1)]
    assert numbers[-1] == HEAD


def test_migrations_end_at_the_tables(where: Path | str):
    catalog = Catalog.open(where)
    with catalog.database.sql.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), tables.metadata)
    catalog.close()
    assert differences == []


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda r: type(r).__name__)
def test_a_record_comes_back_as_it_was_put(catalog: Catalog, record: Any):
    kind = type(record)
    with catalog.write() as transaction:
        if kind is records.DeploymentChange:
            transaction.add(DEPLOYMENT)
        if kind in HISTORY:
            transaction.add(record)
        else:
            transaction.put(record)
            transaction.put(record)
    with catalog.read() as transaction:
        assert transaction.find(kind) == [record]


@pytest.mark.parametrize("kind", HISTORY)
def test_history_is_added_to_and_never_written_over(catalog: Catalog, kind: type[Any]):
    with catalog.write() as transaction:
        transaction.add(*[r for r in EXAMPLES if isinstance(r, HISTORY)])
        for write in (
            lambda: transaction.put(next(r for r in EXAMPLES if isinstance(r, kind))),
            lambda: transaction.change(kind, {}, status="live"),
            lambda: transaction.remove(kind, {}),
        ):
            with pytest.raises(AssertionError, match="never written over"):
                write()


def test_each_record_has_the_columns_of_its_table():
    def table_of(kind: type) -> sa.Table:
        words = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
        return tables.metadata.tables[re.sub(r"sh$", "she", re.sub(r"y$", "ie", words)) + "s"]

    for kind in {type(r) for r in EXAMPLES}:
        assert [f.name for f in dataclasses.fields(kind)] == [c.name for c in table_of(kind).columns]


def test_queries(catalog: Catalog):
    steps = [dataclasses.replace(STEP, name=f"s{n}", position=n, status=s) for n, s in enumerate("ccfc")]  # pyright: ignore[reportArgumentType]
    with catalog.write() as t:
        t.add(*steps)
        assert t.change(records.Step, {"run": RUN.id, "status": "f"}, status="failed") == 1
    with catalog.read() as t:
        failed = t.first(records.Step, {"status": "failed"})
        assert failed is not None
        assert failed.name == "s2"
        assert t.first(records.Step, {"name": "none"}) is None
        assert [s.name for s in t.find(records.Step, {"status": ["c"]}, order=["-position"], limit=2)] == [
            "s3",
            "s1",
        ]
        assert sorted(t.values(records.Step, "position", {"status": "c"})) == [0, 1, 3]
        assert t.greatest(records.Step, "position", {"status": "c"}) == 3
        assert t.greatest(records.Model, "version", {"name": "none"}) == 0
    with catalog.write() as t:
        assert t.remove(records.Step, {"status": "c"}) == 3
        t.add_new(dataclasses.replace(RUN, pipeline="another"))
    with catalog.read() as t:
        assert t.find(records.Run) == [RUN]


def test_the_cache_remembers_the_last_word_and_forgets(catalog: Catalog):
    keys = [f"sha256:{n}" for n in range(1200)]  # more than one statement may name
    with catalog.write() as t:
        for key in keys:
            t.remember({key: {"out": "old"}}, RUN.started_at)
        t.remember({keys[0]: {"out": "new"}}, RUN.started_at)
    with catalog.read() as t:
        found = t.cached([*keys, "sha256:none"])
        assert found == {key: {"out": "new" if key == keys[0] else "old"} for key in keys}
        assert dict(t.cache_entries()) == found
    with catalog.write() as t:
        t.forget(keys[:1100])
    with catalog.read() as t:
        assert set(t.cached(keys)) == set(keys[1100:])


def test_an_error_undoes_the_whole_transaction(catalog: Catalog):
    with pytest.raises(KeyError), catalog.write() as t:
        t.add(STEP)
        raise KeyError
    with catalog.read() as t:
        assert t.find(records.Step) == []


def test_a_record_of_no_run_is_refused(catalog: Catalog):
    with pytest.raises(IntegrityError), catalog.write() as t:
        t.add(dataclasses.replace(STEP, run="none"))


def test_writers_wait_for_each_other(catalog: Catalog, where: Path | str):
    others = [Catalog.open(where) for _ in range(4)]

    def count(mine: Catalog) -> None:
        for _ in range(25):
            with mine.write() as t:
                [run] = t.find(records.Run)
                t.change(records.Run, {"id": RUN.id}, pid=run.pid + 1)

    threads = [threading.Thread(target=count, args=(other,)) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in others:
        other.close()
    with catalog.read() as t:
        assert t.find(records.Run)[0].pid == RUN.pid + 100


def test_two_processes_may_make_it_at_once(where: Path | str):
    script = (
        "import sys; from tidemill.store.catalog.database import Catalog; Catalog.open(sys.argv[1]).close()"
    )
    command = [sys.executable, "-c", script, where]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(p.communicate()[1], p.returncode) for p in started] == [("", 0)] * 3


def test_a_read_sees_one_moment(catalog: Catalog):
    with catalog.read() as reading:
        assert reading.find(records.Step) == []
        with catalog.write() as writing:
            writing.add(STEP)
        assert reading.find(records.Step) == []
    with catalog.read() as t:
        assert t.find(records.Step) == [STEP]


def test_a_newer_catalog_is_refused(tmp_path: Path):
    file = tmp_path / "catalog.db"
    Catalog.open(file).close()
    connection = sqlite3.connect(file)
    connection.execute("update alembic_version set version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match="has version 9999") as caught:
        Catalog.open(file)
    assert caught.value.code == "store-too-new"


def test_a_damaged_catalog_is_said(tmp_path: Path):
    file = tmp_path / "catalog.db"
    file.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StorageError, match=re.escape(str(file))) as caught:
        Catalog.open(file)
    assert caught.value.code == "catalog-damaged"


def test_a_record_whose_json_was_damaged_is_said(tmp_path: Path):
    catalog = Catalog.open(tmp_path / "catalog.db")
    with catalog.write() as write:
        write.remember({"k": {"result": 1}}, "2026-05-04T00:00:00Z")
    catalog.close()
    with closing(sqlite3.connect(tmp_path / "catalog.db")) as file:
        file.execute("update cache set outputs = substr(outputs, 1, 5)")
        file.commit()
    for keys in (["k"], ["k", "l"]):
        with closing(Catalog.open(tmp_path / "catalog.db")) as opened, opened.read() as read:
            with pytest.raises(StorageError, match="catalog.db") as caught:
                read.cached(keys)
            assert caught.value.code == "store-damaged"


def test_a_full_disk_is_said_and_keeps_what_was_written(small_disk: Path):
    catalog = Catalog.open(small_disk / "catalog.db")
    with catalog.write() as t:
        t.add(RUN)
    with pytest.raises(StorageError, match="could not be written") as caught, catalog.write() as t:
        t.change(records.Run, {"id": RUN.id}, parameters={"big": "x" * 2_000_000})
    assert caught.value.code == "disk-full"
    with catalog.read() as t:
        assert t.find(records.Run) == [RUN]
    catalog.close()


def test_texts_are_found_between_two_others_by_code_points(catalog: Catalog):
    names = ["a", "B", "b", "é"]
    with catalog.write() as transaction:
        for name in names:
            transaction.add(dataclasses.replace(RUN, id=f"between-{name}", pipeline="between", trigger=name))

    def found(least: str | None, under: str | None) -> list[str]:
        with catalog.read() as read:
            runs = read.find(
                records.Run, {"pipeline": "between"}, between={"trigger": (least, under)}, order=("trigger",)
            )
        return [r.trigger for r in runs]

    assert found(None, None) == ["B", "a", "b", "é"]
    assert found("a", None) == ["a", "b", "é"]
    assert found("a", "b") == ["a"]
    assert found(None, "a" + "\U0010ffff") == ["B", "a"]


def test_words_are_taken_out_whole_and_only_of_what_no_machine_wrote(catalog: Catalog):
    figure = {
        "rule": "accuracy >= 0.9",
        "reason": "it is 0.900846, +0.000846 above, of 00084",
        "value": 0.900846,
    }
    raised = {"rule": "smoke test of the predictor", "reason": "ValueError: no row 00084", "value": 0.0}
    with catalog.write() as t:
        t.add(records.Verdict(RUN.id, False, None, [figure, raised], RUN.started_at))
        t.change(
            records.Run,
            {"id": RUN.id},
            parameters={"who": "00084 and 100084", "00084": [1], "data": "sha256:00084"},
            outputs={"00084": "00084"},
        )
    with catalog.write() as t:
        told = {(m.table, m.column, m.words) for m in t.redact(["00084", "succeeded"], "[forgotten]")}
    assert told == {("verdicts", "rules", ("00084",)), ("runs", "parameters", ("00084",))}
    with catalog.read() as t:
        (verdict,), (run,) = t.find(records.Verdict), t.find(records.Run)
    assert verdict.rules == [figure, raised | {"reason": "ValueError: no row [forgotten]"}]
    assert run.parameters == {"who": "[forgotten] and 100084", "[forgotten]": [1], "data": "sha256:00084"}
    assert (run.outputs, run.status) == ({"00084": "00084"}, RUN.status)
