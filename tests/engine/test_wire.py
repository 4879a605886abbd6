"""Orders and outcomes as JSON: what comes out is what went in, and it holds no secret."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.core.errors import InvalidInput
from tidemill.engine import wire
from tidemill.engine.orders import Chunk, ChunkTask, Memo, Order, Outcome, Ref, Saved
from tidemill.pipeline.resources import Resources
from tidemill.pipeline.secret import Secret
from tidemill.store.blobs import Place

LOCAL = Path("/local")

words = st.text(st.characters(exclude_categories=["Cs"]))
# Of any characters, single surrogates too: an exception's message may have them, from the name of a file.
any_text = st.text(st.characters(exclude_categories=[]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | any_text | st.binary()
names = any_text | st.sampled_from(["$ref", "$secret", "$dict", "$", "plain"])
metas = st.dictionaries(names, scalars, max_size=3)
refs = st.builds(Ref, words, words, metas)
secrets = st.just(Secret("env", "A_TOKEN")) | st.builds(Secret, st.just("file"), words.filter(bool))
values = st.recursive(
    scalars | refs | secrets,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(names | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)
texts = st.dictionaries(words, words, max_size=3)
small = st.integers(0, 2**40)
chunks: st.SearchStrategy[Any] = st.builds(
    lambda digest, rows, dropped: Chunk(digest=digest, rows=rows, dropped=dropped),
    words,
    small,
    st.none() | words,
)
columns: Any = st.dictionaries(
    words, st.lists(st.fixed_dictionaries({"name": words, "shape": st.lists(small)}))
)
memos: st.SearchStrategy[Any] = st.builds(
    lambda outputs, cells, without: Memo(outputs=outputs, columns=cells, without=without),
    st.dictionaries(words, chunks, max_size=2),
    columns,
    st.none() | words,
)
tasks = st.builds(ChunkTask, small, chunks, st.none() | memos)
orders = st.builds(
    Order,
    step=words,
    role=words,
    module=words,
    variable=words,
    file=st.none() | words,
    folder=st.none() | words,
    files=texts,
    packages=texts,
    environment=texts,
    settings=st.dictionaries(names, values, max_size=3),
    inputs=st.dictionaries(words, values, max_size=3),
    outputs=st.lists(words, max_size=3).map(tuple),
    table=st.none() | words,
    tasks=st.lists(tasks, max_size=3).map(tuple),
    seed=small,
    blobs=words.map(lambda address: Place(address, str(LOCAL))),
    timeout_seconds=st.none() | st.floats(0.001, 1e9),
    resources=st.builds(Resources, st.none() | st.floats(0.1, 1e3), st.none() | small, st.integers(0, 16)),
)
outcomes = st.builds(
    Outcome,
    saved=st.dictionaries(words, st.builds(Saved, words, words, small, metas), max_size=2),
    chunks=st.dictionaries(small, st.dictionaries(words, chunks, max_size=2), max_size=2),
    memos=st.dictionaries(small, memos, max_size=2),
    rows_in=st.none() | small,
    rows_computed=st.none() | small,
    seconds=st.floats(0, 1e9),
    peak_bytes=st.none() | small,
    log=st.none() | words,
    error=st.none() | st.dictionaries(names, values, max_size=3),
)


@given(orders)
def test_an_order_is_what_it_was(order: Order):
    line = wire.order_to_json(order)
    assert b"\n" not in line
    assert wire.order_from_json(line, LOCAL) == order


@given(outcomes)
def test_an_outcome_is_what_it_was(outcome: Outcome):
    line = wire.outcome_to_json(outcome)
    assert b"\n" not in line
    assert wire.outcome_from_json(line) == outcome


@given(st.floats(), st.booleans())
def test_numbers_keep_their_kind(number: float, sign: bool):
    sent = {"number": number, "zero": -0.0 if sign else 0.0, "whole": 1.0, "int": 1, "yes": True}
    back = wire.outcome_from_json(wire.outcome_to_json(Outcome(error=sent))).error
    assert repr(back) == repr(sent)


def order(**changed: Any) -> Order:
    place = Place("s3://bucket/prefix", "/here", {"secret_access_key": "hush"})
    made: dict[str, Any] = {
        "step": "a",
        "role": "call",
        "module": "m",
        "variable": "a",
        "file": None,
        "folder": None,
        "files": {},
        "packages": {},
        "environment": {},
        "settings": {},
        "inputs": {},
        "outputs": ("result",),
        "table": None,
        "tasks": (),
        "seed": 0,
        "blobs": place,
    }
    return Order(**(made | changed))


def test_credentials_and_this_machines_folders_are_not_sent():
    line = wire.order_to_json(order())
    assert b"hush" not in line
    assert b"/here" not in line
    place = wire.order_from_json(line, LOCAL).blobs
    assert place == Place("s3://bucket/prefix", str(LOCAL))
    assert place.options is None


def test_a_plain_order_reads_as_json_does():
    sent = order(settings={"rate": 0.5, "layers": [8, 8]}, inputs={"x": Ref("sha256:0", "array", {})})
    body = json.loads(wire.order_to_json(sent))
    assert body["version"] == 1
    assert body["order"]["settings"] == {"rate": 0.5, "layers": [8, 8]}
    assert body["order"]["inputs"] == {"x": {"$ref": ["sha256:0", "array", {}]}}


@pytest.mark.parametrize("value", [object(), {1, 2}, print, 1j])
def test_what_has_no_form_is_an_error(value: object):
    with pytest.raises(InvalidInput) as caught:
        wire.order_to_json(order(settings={"x": [value]}))
    assert caught.value.code == "no-wire-form"
    assert type(value).__qualname__ in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line[:-1],
        lambda line: b"",
        lambda line: b"\xff",
        lambda line: line.replace(b'"version":1', b'"version":2'),
        lambda line: line.replace(b'"seed":0', b'"seed":"0"'),
        lambda line: line.replace(b'"settings":{}', b'"settings":{"x":{"$new":1}}'),
        lambda line: line.replace(b'"settings":{}', b'"settings":{"x":{"$ref":[1]}}'),
        lambda line: line.replace(b'"settings":{}', b'"settings":{"x":{"$bytes":"*"}}'),
    ],
)
def test_what_is_no_order_is_refused(change: Any):
    with pytest.raises(InvalidInput) as caught:
        wire.order_from_json(change(wire.order_to_json(order())), LOCAL)
    assert caught.value.code == "invalid-order"
