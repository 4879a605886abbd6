"""Secrets by reference: the step's function has the text, and no byte of the store does."""

import json
import os
import textwrap
from pathlib import Path
from typing import Any

import pytest

import tidemill as tm
from tests.engine.projects import Project, numbers, rows, statuses, step
from tests.engine.test_limits import here
from tidemill.core.errors import InvalidInput
from tidemill.core.names import Digest
from tidemill.engine import wire
from tidemill.engine.executors.process import ProcessExecutor
from tidemill.engine.orders import Order
from tidemill.engine.run import RunResult
from tidemill.engine.secrecy import Secrecy
from tidemill.engine.why import why
from tidemill.pipeline.secret import Secret

TOKEN = "hf_\u00e4 Tr\"ue/se\\cret+'4711"
LINES = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nq8YdZ9Tn2bYz3w\n-----END KEY-----"


def forms(text: str) -> set[bytes]:
    """How a text may lie in a file."""
    spelled = {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1]}
    return {s.encode(e) for s in spelled for e in ("utf-8", "utf-16-le", "utf-32-le")}


def leaks(folder: Path, *texts: str) -> list[str]:
    """The files below a folder that have one of the texts, in their bytes or their names."""
    found: list[str] = []
    for path in folder.rglob("*"):
        content = os.fsencode(path.name) + (path.read_bytes() if path.is_file() else b"")
        if any(form in content for text in texts for form in forms(text)):
            found.append(str(path.relative_to(folder)))
    return found


def source(body: str, options: str = "") -> str:
    """A pipeline whose first step takes a secret, and has this body."""
    return (
        "import json, os, random, signal, subprocess, sys, time\nfrom pathlib import Path\n"
        "import numpy as np\nimport polars as pl\nimport tidemill as tm\n\n"
        f"@tm.step{options}\ndef fetch(folder: str, token: str):\n"
        + textwrap.indent(textwrap.dedent(body).strip(), "    ")
        + "\n\n@tm.step\ndef length(x: int) -> int:\n    return x\n\n"
        "@tm.pipeline\ndef p(folder: str, token: str = tm.secret('A_TOKEN')):\n"
        "    return length(fetch(folder, token))\n"
    )


@pytest.fixture(autouse=True)
def _the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", TOKEN)


@pytest.mark.parametrize("executor", ["local", "process"])
class TestNoByteOfTheStoreHasIt:
    def run(self, project: Project, executor: str, body: str, options: str = "", **values: Any) -> RunResult:
        project.write(source(body, options))
        result = project.run(executor=executor, folder=str(project.folder), **values)
        project.store.close()
        assert leaks(project.folder / ".tidemill", TOKEN) == []
        said = json.dumps([repr(event) for event in project.events] + [result.run.error], ensure_ascii=False)
        assert TOKEN not in said
        assert TOKEN not in json.loads(json.dumps(said))
        return result

    def test_after_success(self, project: Project, executor: str):
        body = """
        Path("scratch.txt").write_text(token)
        tm.progress(1, 2, f"with {token}", token)
        return len(token)
        """
        result = self.run(project, executor, body)
        assert statuses(result) == {"fetch": "computed", "length": "computed"}
        parts = step(result, "fetch").parts
        assert parts["settings"]["token"] == {"$secret": "env:A_TOKEN"}

    def test_what_is_printed_is_masked(self, project: Project, executor: str):
        body = """
        print("python", token, flush=True)
        for piece in token:
            sys.stdout.write(piece)
            sys.stdout.flush()
        os.write(2, b"\\nfrom C " + token.encode() + b"\\n")
        subprocess.run([sys.executable, "-c", "import os; print('child', os.environ['A_TOKEN'])"], check=True)
        print("json", json.dumps({"token": token}), repr(token), flush=True)
        return 1
        """
        result = self.run(project, executor, body)
        log = step(result, "fetch").log
        assert log is not None
        assert project.store.blobs.get(Digest(log)).decode() == (
            'python ***\n***\nfrom C ***\nchild ***\njson {"token": "***"} \'***\'\n'
        )

    def test_what_is_printed_without_end(self, project: Project, executor: str):
        """The beginning of what is kept may lie amid the secret."""
        body = """
        for _ in range(40000):
            os.write(1, token.encode() * 4)
        os.write(1, b"the end")
        return 1
        """
        result = self.run(project, executor, body)
        log = project.store.blobs.get(Digest(step(result, "fetch").log or "")).decode()
        assert log.endswith("***the end")
        assert "4711" not in log

    def test_after_a_failure(self, project: Project, executor: str):
        body = """
        print(token, flush=True)
        raise ValueError(f"refused: {token}")
        """
        error = self.run(project, executor, body).run.error
        assert error is not None
        assert error["message"] == "Step 'fetch' raised ValueError: refused: ***."
        assert "ValueError: refused: ***" in error["details"]["traceback"]

    def test_after_retries(self, project: Project, executor: str):
        body = """
        print(token, flush=True)
        with open(folder + "/tries", "a") as tries:
            tries.write("x")
        if Path(folder, "tries").read_text() != "xxx":
            raise ValueError(token)
        return 1
        """
        result = self.run(project, executor, body, "(retries=2)")
        assert step(result, "fetch").parts["attempts"] == 3

    def test_after_its_time(self, project: Project, executor: str):
        body = """
        Path("scratch.txt").write_text(token)
        os.write(1, b"said " + token.encode())
        time.sleep(1000)
        """
        error = self.run(project, executor, body, "(timeout_seconds=8)").run.error
        assert error is not None
        assert error["code"] == "step-timeout"
        assert error["details"]["printed"] == "said ***"

    def test_after_a_kill(self, project: Project, executor: str):
        body = """
        Path("scratch.txt").write_text(token)
        os.write(1, b"said " + token.encode() + b", and " + token.encode()[:12])
        os.kill(os.getpid(), signal.SIGKILL)
        """
        error = self.run(project, executor, body).run.error
        assert error is not None
        assert error["code"] == "worker-died"
        assert error["details"]["printed"] == "said ***, and ***"

    @pytest.mark.parametrize(
        "result",
        [
            "token",
            "{'nested': [1, {'in': token}]}",
            "{token: 1}",
            "'x' * 100_000 + token",
            "f'https://user:{token}@host/'",
            "np.array([token, 'other'])",
            "pl.DataFrame({'x': ['a', token, 'b' * 30]})",
            "{'state': np.zeros(3), 'with': token}",
            "written(Path('file.txt'), token)",
            "written(Path('file.json'), json.dumps([token]))",
            "written(Path('folder/deep/file.bin'), 'x' * 1_000_000 + token).parent",
        ],
    )
    def test_a_result_that_has_it_is_refused(self, project: Project, executor: str, result: str):
        body = f"""
        def written(path, text):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            return path

        return {result}
        """
        error = self.run(project, executor, body).run.error
        assert error is not None
        assert error["code"] == "secret-in-result"
        assert error["message"].startswith(
            "Step 'fetch' returned a result with the text of the secret env:A_"
        )

    def test_a_row_step(self, project: Project, executor: str):
        project.datasets.create("numbers", numbers(5), message="first")
        project.write(
            """
import polars as pl
import tidemill as tm

@tm.row_step
def keyed(rows: pl.DataFrame, key: str, shown: bool) -> pl.DataFrame:
    return rows.with_columns(y=pl.lit(key if shown else str(len(key))))

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("numbers"), shown: bool = False):
    return keyed(data, tm.secret("A_TOKEN"), shown)
"""
        )
        made = project.value(project.run(executor=executor))
        assert {r["y"] for r in rows(made).values()} == {str(len(TOKEN))}
        error = project.run(executor=executor, shown=True).run.error
        assert error is not None
        assert error["code"] == "secret-in-result"
        project.store.close()
        assert leaks(project.folder / ".tidemill", TOKEN) == []


def test_an_order_has_the_reference(project: Project, monkeypatch: pytest.MonkeyPatch):
    sent: list[bytes] = []

    class Orders(ProcessExecutor):
        def start(self, order: Order, task: object) -> None:
            sent.append(wire.order_to_json(order))
            super().start(order, task)

    monkeypatch.setattr("tidemill.engine.executors.process.ProcessExecutor", Orders)
    project.write(source("return len(token)"))
    assert project.value(project.run(executor="process", folder=".")) == len(TOKEN)
    order = json.loads(sent[0])["order"]
    assert order["settings"]["token"] == {"$secret": "env:A_TOKEN"}
    assert not any(form in line for line in sent for form in forms(TOKEN))
    assert wire.order_from_json(sent[0], project.folder).settings["token"] == tm.secret("A_TOKEN")


def test_the_key_has_the_name_and_not_the_text(project: Project, monkeypatch: pytest.MonkeyPatch):
    project.write(source("return 1"))
    project.run(folder=".")
    monkeypatch.setenv("A_TOKEN", "another one")
    assert statuses(project.run(folder="."))["fetch"] == "cached"
    monkeypatch.delenv("A_TOKEN")
    assert statuses(project.run(folder="."))["fetch"] == "cached"
    monkeypatch.setenv("OTHER", TOKEN)
    result = project.run(folder=".", token="env:OTHER")
    assert statuses(result)["fetch"] == "computed"
    (change,) = why(project.store, result.run.id, "fetch").changes
    assert (change.before, change.after) == ({"$secret": "env:A_TOKEN"}, {"$secret": "env:OTHER"})


@pytest.mark.parametrize("executor", ["local", "process"])
def test_a_variable_that_was_set_after_the_workers_started(
    project: Project, monkeypatch: pytest.MonkeyPatch, executor: str
):
    project.write(source("return len(token)"))
    assert project.value(project.run(executor=executor, folder="a")) == len(TOKEN)
    monkeypatch.setenv("A_TOKEN", "changed")
    assert project.value(project.run(executor=executor, folder="b")) == len("changed")


def test_a_file(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project.folder)
    (project.folder / "key.pem").write_text(LINES + "\n")
    project.write(
        source(
            "print(token)\nprint('one line:', token.splitlines()[1])\n"
            "assert token.endswith('KEY-----'), 'its end'\nreturn len(token)"
        )
    )
    result = project.run(folder=".", token="file:key.pem")
    assert project.value(result) == len(LINES)
    assert step(result, "fetch").parts["settings"]["token"] == {"$secret": "file:key.pem"}
    log = project.store.blobs.get(Digest(step(result, "fetch").log or "")).decode()
    assert log == "***\none line: ***\n"


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        (None, "the variable A_TOKEN is not set"),
        ("", "env:A_TOKEN is empty"),
        ("abc", "env:A_TOKEN has fewer than 4 characters"),
    ],
)
@pytest.mark.parametrize("executor", ["local", "process"])
def test_one_that_is_missing_is_named_before_anything_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch, executor: str, variable: str | None, words: str
):
    if variable is None:
        monkeypatch.delenv("A_TOKEN")
    else:
        monkeypatch.setenv("A_TOKEN", variable)
    project.write(
        source("return 1").replace("fetch(folder, token)", "fetch(before(), token)")
        + "\n@tm.step\ndef before() -> str:\n    return 'x'\n"
    )
    result = project.run(executor=executor, folder=".")
    error = result.run.error
    assert error is not None
    assert error["code"] == "no-secret"
    assert error["message"] == f"Step 'fetch' takes the secret env:A_TOKEN as 'token': {words}."
    assert "export A_TOKEN=..." in error["hint"]
    assert statuses(result) == {"before": "skipped", "fetch": "failed", "length": "skipped"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe\x00", "holds no text in UTF-8"),
        (b"x" * 20000, "has more than 16384 bytes"),
        (b"\n", "is empty"),
    ],
)
def test_a_file_that_holds_none(project: Project, content: bytes | None, words: str):
    file = project.folder / "token"
    if content is not None:
        file.write_bytes(content)
    project.write(source("return 1"))
    error = project.run(folder=".", token=f"file:{file}").run.error
    assert error is not None
    assert error["code"] == "no-secret"
    assert words in error["message"]


def test_what_carries_out_an_order_without_it_says_so(project: Project, monkeypatch: pytest.MonkeyPatch):
    """An executor elsewhere has another environment: nobody can know before."""

    class Elsewhere(ProcessExecutor):
        @property
        def is_here(self) -> bool:
            return False

        def start(self, order: Order, task: object) -> None:
            monkeypatch.delenv("A_TOKEN", raising=False)
            super().start(order, task)

    monkeypatch.setattr("tidemill.engine.executors.process.ProcessExecutor", Elsewhere)
    project.write(source("return 1"))
    error = project.run(executor="process", folder=".").run.error
    assert error is not None
    assert (error["code"], error["details"]["step"]) == ("no-secret", "fetch")


def test_a_step_of_a_notebook(project: Project):
    @tm.step
    def fetch(token: str, shown: bool) -> str:
        print("with", token)  # noqa: T201 - what a step prints
        return token if shown else token[-4:]

    @tm.pipeline
    def p(shown: bool = False):
        return fetch(tm.secret("A_TOKEN"), shown)

    result = here(project, p)
    assert project.value(result) == "4711"
    assert project.store.blobs.get(Digest(step(result, "fetch").log or "")) == b"with ***\n"
    error = here(project, p, shown=True).run.error
    assert error is not None
    assert error["code"] == "secret-in-result"
    assert fetch(tm.secret("A_TOKEN"), shown=True) == TOKEN, "outside a run the function gets the text too"


def test_a_default_and_lists_of_them(project: Project):
    project.write(
        """
import tidemill as tm

@tm.step
def fetch(tokens: list[str], more: dict, token: str = tm.secret("A_TOKEN"), none: str | None = None) -> list:
    return [len(t) for t in (*tokens, more["a"]["b"], token)]

@tm.pipeline
def p():
    secret = tm.secret("A_TOKEN")
    return fetch([secret, "plain"], {"a": {"b": secret}})
"""
    )
    count = len(TOKEN)
    assert project.value(project.run()) == [count, 5, count, count]


@pytest.mark.parametrize("given", ["hf_typed_in_the_open", "env:", "env:no name", "file:", ""])
def test_the_secret_itself_is_refused_and_not_repeated(project: Project, given: str):
    project.write(source("return 1"))
    with pytest.raises(InvalidInput) as caught:
        project.run(folder=".", token=given)
    assert caught.value.code == "wrong-parameter-type"
    assert "takes a reference to a secret: env:NAME or file:PATH" in caught.value.message
    assert not given or given.endswith(":") or given not in str(caught.value.to_json())


@pytest.mark.parametrize("given", ["no name", "", "hf-abc", 5])
def test_what_names_no_variable_is_refused_and_not_repeated(given: Any):
    with pytest.raises(InvalidInput) as caught:
        tm.secret(given)
    assert caught.value.code == "wrong-definition"
    assert not given or str(given) not in caught.value.message
    with pytest.raises(InvalidInput):
        tm.secret()  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("annotation", ["int", "Path", "tm.Table", "dict"])
def test_a_secret_is_a_text(project: Project, annotation: str):
    project.write(
        source("return 1").replace(
            "def fetch(folder: str, token: str)", f"def fetch(folder: str, token: {annotation})"
        )
    )
    with pytest.raises(InvalidInput) as caught:
        project.run(folder=".")
    assert caught.value.code in ("wrong-parameter-type", "not-an-artifact")
    assert "tm.secret('A_TOKEN')" in caught.value.message


def test_a_secret_is_told_apart_by_its_name_alone(monkeypatch: pytest.MonkeyPatch):
    one, other = tm.secret("A_TOKEN"), tm.secret("OTHER")
    monkeypatch.setenv("OTHER", TOKEN)
    assert one == Secret.parse("env:A_TOKEN")
    assert one != other
    assert (repr(one), str(one)) == ("tm.secret('A_TOKEN')", "env:A_TOKEN")
    assert TOKEN not in repr(Secrecy(((one, "x"),)))


def test_a_predictor_has_none(project: Project):
    project.datasets.create("numbers", numbers(20), message="first")
    project.write(
        """
import numpy as np
import tidemill as tm
from sklearn.linear_model import LogisticRegression

@tm.row_step(columns="image")
def keyed(image: np.ndarray, key: str) -> np.ndarray:
    return image + len(key)

@tm.row_step(training_only=True)
def labelled(rows: tm.Table) -> tm.Table:
    return rows.with_column("label", ["even" if x % 4 else "odd" for x in rows.to_arrow()["x"].to_pylist()])

learned = tm.trainer(LogisticRegression(), features="image", label="label")

@tm.pipeline
def p(data: tm.Dataset = tm.dataset("numbers")):
    return learned(labelled(keyed(data, tm.secret("A_TOKEN"))))
"""
    )
    from tidemill.pipeline.cut import cut
    from tidemill.pipeline.load import load

    graph = load(project.folder / "pipeline.py").build()
    with pytest.raises(InvalidInput) as caught:
        cut(graph, "result")
    assert caught.value.code == "secret-in-predictor"
    assert "keyed" in caught.value.message
