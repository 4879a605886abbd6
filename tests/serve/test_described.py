"""What a server says of itself: a page for a person, whose examples work, and OpenAPI, which agrees with what it takes."""

import ast
import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from tests.serve.bundles import Deploy, images
from tests.suites import edge_walk
from tidemill.edge import token_file, tokens
from tidemill.models.signature import Tensor
from tidemill.serve import home
from tidemill.serve.client import Status
from tidemill.serve.described import cell_schema

INFER = "/v2/models/ten/infer"
BODY = {"rows": [{"image": images(1)[0].tolist()}]}


def examples(page: str) -> list[str]:
    return [html.unescape(text) for text in re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)]


def run(command: list[str], **more: str) -> dict[str, Any]:
    done = subprocess.run(
        command, env={**os.environ, **more}, capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stderr
    try:
        return json.loads(done.stdout)
    except ValueError:
        return ast.literal_eval(done.stdout)


def test_the_page_says_what_it_is_and_its_examples_work(asked: httpx.Client):
    answer = asked.get("/", headers={"accept": "text/html"})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for words in ("ten", "Release 7", "UINT8 28x28", "probabilities"):
        assert words in answer.text
    shell, python, feedback = examples(answer.text)
    assert run(["sh", "-c", f"set -e; {shell.replace('curl ', 'curl -sS ')}"])["number"] == 7
    answered = run([sys.executable, "-c", python])
    assert answered["number"] == 7
    [given] = answered["predictions"]
    told = feedback.replace("PREDICTION", given["prediction"]).replace("LABEL", given["label"])
    assert run(["sh", "-c", told.replace("curl ", "curl -sS ")])["recorded"] == 1
    assert "TOKEN" not in answer.text


def test_with_tokens_the_page_says_how_and_a_browser_gives_one_as_a_password(deploy: Deploy, tmp_path: Path):
    folder = tmp_path / "environments"
    token, secret = tokens.make(("predict", "read"), "ada")
    token_file.add(token_file.token_file(folder, "prod"), token)
    with httpx.Client(base_url=deploy().address, timeout=180, headers={"accept": "text/html"}) as browser:
        stranger = browser.get("/")
        assert stranger.status_code == 401
        assert any(text.startswith("Basic ") for text in stranger.headers.get_list("www-authenticate"))
        assert "A token is needed" in stranger.text
        assert "Authorization: Bearer TOKEN" in stranger.text
        assert "28" not in stranger.text
        assert "ten" not in re.sub("<[^>]+>|tokens?|written", "", stranger.text).split()
        page = browser.get("/", auth=("anybody", secret))
        assert page.status_code == 200
        shell, python, feedback = examples(page.text)
        assert "Bearer $TOKEN" in feedback
        assert run(["sh", "-c", shell.replace("curl ", "curl -sS ")], TOKEN=secret)["number"] == 1
        assert run([sys.executable, "-c", python], TOKEN=secret)["number"] == 1
        # What sends needs a bearer.
        assert browser.post("/predict", json=BODY, auth=("anybody", secret)).status_code == 401


def test_openapi_has_each_route_and_agrees_with_what_is_taken(asked: httpx.Client, live: Status):
    document = asked.get("/openapi.json").json()
    paths = edge_walk.routes_of(lambda _: (live.address, {}), "")
    assert {*document["paths"]} == {*paths}

    def checker(name: str) -> jsonschema.Draft202012Validator:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator.check_schema(schema)
        return jsonschema.Draft202012Validator(schema)

    rows, label = checker("Rows"), checker("Feedback")
    image = BODY["rows"][0]["image"]
    bodies = [
        BODY,
        {**BODY, "id": None},
        {"rows": []},
        {},
        {"rows": [{"image": image, "more": 1}]},
        {"rows": [{"image": image[:27]}]},
        {"rows": [{"image": [[256, *image[0][1:]], *image[1:]]}]},
        {"rows": [{"image": [["x", *image[0][1:]], *image[1:]]}]},
    ]
    for body in bodies:
        answer = asked.post("/predict", json=body)
        assert rows.is_valid(body) == (answer.status_code == 200), body
        checker("Predictions" if answer.status_code == 200 else "Error").validate(answer.json())
    prediction = asked.post("/predict", json=BODY).json()["predictions"][0]["prediction"]
    body = {"feedback": [{"prediction": prediction, "label": "a"}]}
    label.validate(body)
    checker("Recorded").validate(asked.post("/feedback", json=body).json())
    checker("ProtocolError").validate(asked.post(INFER, json={}).json())


@pytest.mark.parametrize("path", ["/predict", "/feedback", INFER])
def test_an_error_says_the_shape_that_was_expected(asked: httpx.Client, path: str):
    tree = asked.post(path, json={"wrong": 1}).json()
    shape = (tree if isinstance(tree["error"], str) else tree["error"])["expects"]
    assert {
        "/predict": shape == {"rows": [{"image": "UINT8 28x28"}]},
        "/feedback": shape["feedback"][0]["label"] == "one of the model's classes"
        if "feedback" in shape
        else False,
        INFER: shape.get("inputs", [{}])[0].get("shape") == [-1, 28, 28],
    }[path]


@pytest.mark.parametrize(
    ("tensor", "good", "bad"),
    [
        (Tensor("n", "INT8", (-1,)), [None, -128, 5], [128, "1", 1.5]),
        (Tensor("x", "FP32", (-1, 2)), [[1, 2.5], None], [[1], 1, ["a", "b"]]),
        (Tensor("x", "FP32", (-1, -1)), [[1], [1, 2, 3]], [1]),
        (Tensor("b", "BOOL", (-1,)), [True, None], [1]),
        (Tensor("t", "BYTES", (-1,), "timestamp[us]"), ["2026-01-31T12:00:00"], [1]),
    ],
)
def test_the_schema_of_a_cell(tensor: Tensor, good: list[Any], bad: list[Any]):
    schema = jsonschema.Draft202012Validator(cell_schema(tensor))
    assert [schema.is_valid(value) for value in good] == [True] * len(good)
    assert [schema.is_valid(value) for value in bad] == [False] * len(bad)


def test_names_that_somebody_chose_are_text_on_the_page_and_in_the_shell():
    row = {"it's <b> $(id)": 1.5, "s": "a"}
    shell = home.curl(row, "http://h'ost:1", tokens=False)
    words = subprocess.run(
        ["sh", "-c", f"set -- {shell}; printf '%s\\0' \"$@\""], capture_output=True, text=True, check=True
    ).stdout.split("\0")
    assert words[1:4] == ["http://h'ost:1/predict", "--json", json.dumps({"rows": [row]})]
