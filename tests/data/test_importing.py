"""What an import makes of a dataset that is there: the difference, its columns, and what a dry run or a kill leaves."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tidemill.core.errors import InvalidInput
from tidemill.data import Changes, Datasets, Tensor, import_files
from tidemill.store.open import Store

Write = Callable[..., Path]

IMPORTER = """
import sys
from pathlib import Path
from tidemill.data import Datasets, import_files
from tidemill.store.open import Store

def tell(event):
    print("reading", flush=True)

import_files(Datasets(Store.create(Path(sys.argv[1])), "ada"), "d", sys.argv[2], sink=tell)
print("done", flush=True)
"""


def types(datasets: Datasets) -> dict[str, str]:
    snapshot = datasets.open("d").snapshot()
    return {n: str(snapshot.schema.field(n).type) for n in snapshot.columns}


def test_sync_removes_what_the_file_does_not_have(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv("id,x\n1,a\n2,b\n3,c\n"), key=["id"])
    done = import_files(datasets, "d", csv("id,x\n2,B\n4,d\n"), sync=True)
    assert done.rows == Changes(added=1, changed=1, removed=2)
    assert not import_files(datasets, "d", csv("id,x\n2,B\n4,d\n"), sync=True).rows


def test_without_a_key_sync_knows_rows_by_their_content(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv("x\na\na\nb\n"))
    assert import_files(datasets, "d", csv("x\na\nc\n"), sync=True).rows == Changes(added=1, removed=2)


def test_a_type_changes_only_when_it_may(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv("id,n\n1,1\n2,2\n"), key=["id"])
    wider = csv("id,n\n2,2.5\n3,3\n", "wider.csv")
    with pytest.raises(InvalidInput, match=r"wider\.csv, line 2, column 'n': '2\.5' is not int64") as caught:
        import_files(datasets, "d", wider)
    assert caught.value.code == "wrong-type"
    assert "--allow-schema-change" in (caught.value.hint or "")
    done = import_files(datasets, "d", wider, allow_schema_change=True)
    assert [(old.name, str(old.type), str(new.type)) for old, new in done.change.retyped] == [
        ("n", "int64", "double")
    ]
    assert (done.rows, types(datasets)) == (Changes(added=1, changed=1), {"id": "int64", "n": "double"})
    again = import_files(datasets, "d", wider, allow_schema_change=True)
    assert (again.rows, bool(again.change), again.commit) == (Changes(), False, done.commit)


@pytest.mark.parametrize(
    ("before", "after", "was", "becomes"),
    [
        ("1", "x", "int64", "string"),
        ("1.5", "2", "double", "double"),
        ("x", "2", "string", "string"),
        ("true", "7", "bool", "string"),
        ("2026-01-02", "2026-01-02T03:04:05", "date32[day]", "timestamp[s]"),
        ("7", "", "int64", "int64"),
    ],
)
def test_what_a_changed_type_is(
    datasets: Datasets, csv: Write, before: str, after: str, was: str, becomes: str
):
    import_files(datasets, "d", csv(f"id,x\n1,{before}\n"), key=["id"])
    assert types(datasets)["x"] == was
    import_files(datasets, "d", csv(f"id,x\n2,{after}\n"), allow_schema_change=True)
    assert types(datasets)["x"] == becomes


def test_a_given_type_that_is_another_one(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv("id,zip\n1,1234\n"), key=["id"])
    path = csv("id,zip\n2,01234\n")
    with pytest.raises(InvalidInput, match="int64 in the dataset; the type string would change it") as caught:
        import_files(datasets, "d", path, types={"zip": "string"})
    assert caught.value.code == "schema-change"
    import_files(datasets, "d", path, types={"zip": "string"}, allow_schema_change=True)
    rows = datasets.open("d").snapshot().read(["zip"]).to_arrow()["zip"].to_pylist()
    assert sorted(rows) == ["01234", "1234"]


def test_columns_come_and_go_only_when_they_may(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv("id,a\n1,x\n"), key=["id"])
    path = csv("id,b\n2,y\n")
    with pytest.raises(
        InvalidInput, match=r"some\.csv, line 1: .*drops column 'a'; it adds column 'b'"
    ) as caught:
        import_files(datasets, "d", path)
    assert (caught.value.code, caught.value.details["line"]) == ("schema-change", 1)
    done = import_files(datasets, "d", path, allow_schema_change=True)
    assert ([f.name for f in done.change.added], [f.name for f in done.change.dropped]) == (["b"], ["a"])
    assert types(datasets) == {"id": "int64", "b": "string"}
    assert list(datasets.open("d").snapshot("1").columns) == ["id", "a"]


def test_a_tensor_may_get_wider(datasets: Datasets, csv: Write):
    import_files(datasets, "d", csv("id,p1,p2\n1,1,2\n"), key=["id"], tensors={"x": Tensor("p", (2,))})
    path = csv("id,p1,p2\n2,1,300\n")
    with pytest.raises(InvalidInput, match="line 2, column 'p2': '300' does not fit into uint8"):
        import_files(datasets, "d", path)
    done = import_files(datasets, "d", path, allow_schema_change=True)
    assert len(done.change.retyped) == 1
    assert datasets.open("d").snapshot().read().numpy("x").tolist() == [[1, 2], [1, 300]]


def test_a_dry_run_tells_all_and_commits_nothing(datasets: Datasets, csv: Write):
    path = csv("id,n\n1,2\n")
    done = import_files(datasets, "d", path, key=["id"], dry_run=True)
    assert (done.commit, done.rows, done.trial) == (None, Changes(added=1), True)
    assert [(c.name, str(c.type)) for c in done.columns] == [("id", "int64"), ("n", "int64")]
    assert datasets.names() == []
    first = import_files(datasets, "d", path, key=["id"])
    done = import_files(
        datasets, "d", csv("id,n\n1,2.5\n2,3\n"), dry_run=True, sync=True, allow_schema_change=True
    )
    assert (done.commit, done.rows, len(done.change.retyped)) == (
        first.commit,
        Changes(added=1, changed=1),
        1,
    )
    assert datasets.open("d").log() == [first.commit]
    assert types(datasets) == {"id": "int64", "n": "int64"}


def test_a_killed_import_leaves_nothing_and_the_next_one_works(tmp_path: Path):
    store, path = tmp_path / "store", tmp_path / "some.csv"
    path.write_text("n,text\n" + "".join(f"{n},{'x' * 50}\n" for n in range(300_000)))
    for delay in (0.0, 0.3, 1.0):
        command = [sys.executable, "-c", IMPORTER, str(store), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "reading\n"
            time.sleep(delay)
            process.kill()
            finished = "done\n" in process.stdout.read()
        datasets = Datasets(Store.open(store), "ada")
        assert datasets.names() == (["d"] if finished else [])
    datasets = Datasets(Store.open(store), "ada")
    import_files(datasets, "d", path)
    assert datasets.open("d").head().rows == 300_000
    assert len(datasets.open("d").log()) == 1


def test_more_rows_than_memory_holds_come_in_pieces(tmp_path: Path, csv: Write):
    """In half a gigabyte of address space above what is loaded, a file whose rows take more."""
    path = tmp_path / "some.csv"
    with path.open("w") as file:
        file.write("n,text\n")
        file.writelines(f"{n},{'x' * 2000}{n}\n" for n in range(200_000))
    limited = f"""
import resource, sys
from pathlib import Path
import lance, pyarrow.csv
from tidemill.data import Datasets, import_files
from tidemill.store.open import Store
datasets = Datasets(Store.create(Path({str(tmp_path / "store")!r})), "ada")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import_files(datasets, "d", {str(path)!r})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, check=True)
    assert path.stat().st_size > 400_000_000
    assert int(done.stdout) * 1024 < 400_000_000
