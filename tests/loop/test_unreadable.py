"""One thing that is damaged does not hide the others: listings, lineage and ``doctor`` go on, and end with a no."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tidemill as tm
from tests.data.at_rest import flip
from tidemill.core.errors import StorageError
from tidemill.loop import doctor
from tidemill.pipeline import load
from tidemill.serve.log_layout import log_file

PIPELINE = """
import tidemill as tm

@tm.step
def judge(data: tm.Table, wide: int) -> tm.Report:
    return tm.Report("small", {f"metric_{n}": n / 7 for n in range(wide)})

@tm.pipeline
def judged(wide: int = 1):
    return {"report": judge(tm.dataset("d"), wide)}
"""


def typed(folder: Path, *words: str) -> "tuple[int, str, str]":
    """The exit status, and what is said on both streams."""
    line = [sys.executable, "-m", "tidemill", "-C", str(folder), *words]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def test_what_is_damaged_is_told_beside_the_rest(tmp_path: Path):
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "tidemill.toml").write_text("[environments.dev]\n[environments.prod]\n")
    (tmp_path / "a.csv").write_text("k,v\n1,a\n")
    with tm.open(tmp_path) as project:
        for name in ("d", "e"):
            project.import_data(name, tmp_path / "a.csv")
        # A report of more than 64 KiB is a blob of its own.
        runs = [project.run(tmp_path / "pipeline.py", wide=wide).run for wide in (10_000, 1)]
        store = project._ws.store
        [report] = store.blobs.all().keys() - {d for d, size in store.blobs.all().items() if size < 100_000}
        flip(store, f"blobs/sha256/{report[7:9]}/{report[7:]}")
        flip(store, "datasets/d.lance/_tidemill/refs.json")
        folder = store.environments_folder
        folder.mkdir(parents=True, exist_ok=True)
        log_file(folder, "dev").write_bytes(b"no log")
        (folder / "prod.tokens.json").write_text("{")

        status, out, said = typed(tmp_path, "data", "list")
        assert (status, [line.split()[:2] for line in out.splitlines()[1:]]) == (
            1,
            [["d", "damaged"], ["e", "main"]],
        )
        assert "tidemill data repair d" in said

        status, out, said = typed(tmp_path, "runs", "--json")
        found = {view["run"]: view["error"] for view in json.loads(out)}
        assert (status, [*found], said) == (1, runs[::-1], "")
        assert (found[runs[0]]["code"], found[runs[1]]) == ("blob-damaged", None)
        with pytest.raises(StorageError, match=report):
            project.runs(where="metric_0 == 0")

        status, out, said = typed(tmp_path, "status")
        assert (status, [line.split()[-1] for line in out.splitlines()[1:]]) == (1, ["damaged", "0"])
        assert "error[log-damaged]" in said
        with pytest.raises(StorageError, match=r"dev\.predictions\.db"):
            project.lineage("anything")

        status, out, said = typed(tmp_path, "token", "list")
        assert (status, out.splitlines()[1].split()[:2]) == (1, ["prod", "damaged"])
        assert "error[tokens-damaged]" in said

        # Nothing that is damaged is said not to be there.
        status, out, said = typed(tmp_path, "lineage", runs[0])
        assert (status, "d, which is damaged" in out, "data repair d" in said) == (1, True, True)
        assert [node["kind"] for node in project.lineage("d").nodes if "error" in node] == ["dataset"]

        store.objects.put("written/some.json", b"[")
        status, out, said = typed(tmp_path, "gc", "--all", "--json")
        assert (status, json.loads(out)["error"]["code"]) == (1, "store-damaged")

        wrong = [f.check for f in doctor.doctor(tmp_path) if not f.ok]
        assert wrong == ["blobs", "dataset d", "environment dev", "tokens of prod", "written files"]

        store.blobs.delete(report)
        lost = [f for f in doctor.doctor(tmp_path, deep=True) if f.check == "lost blobs"]
        assert [report in f.message for f in lost if not f.ok] == [True]
    load.leave()
