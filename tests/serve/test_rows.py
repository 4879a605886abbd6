"""``/predict``, ``/feedback``, ids: the plain face, through Tidemill's own client and without it."""

import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.serve.bundles import CLASSES, Bundle, Deploy, digest, images
from tidemill.core.errors import Conflict, Failed, InvalidInput, NotFound
from tidemill.serve.client import Status
from tidemill.serve.http_client import Client
from tidemill.serve.log_reader import LogReader, stack


def test_rows_are_answered_as_the_model_answers(live: Status, bundle: Bundle) -> None:
    sent = images(3, 11)
    with Client(live.address) as client:
        answers = client.predict([{"image": image.tolist()} for image in sent])
    expected = bundle.probabilities(sent)
    assert [a.values["label"] for a in answers] == [CLASSES[n] for n in expected.argmax(1)]
    for answer, row in zip(answers, expected, strict=True):
        assert list(answer.values["probabilities"]) == list(CLASSES)
        np.testing.assert_allclose(list(answer.values["probabilities"].values()), row, atol=1e-5)
        assert answer.release == digest(7) and answer.number == 7
    assert len({a.prediction for a in answers}) == 3


def test_both_faces_answer_the_same(live: Status) -> None:
    sent = images(5, 12)
    with Client(live.address) as client:
        rows = client.predict([{"image": image.tolist()} for image in sent])
        inferred = client.infer("ten", {"image": sent})
        assert client.ready() and client.model("ten")["name"] == "ten" and "tidemill_" in client.metrics()
    assert inferred.number == 7 and inferred.release == digest(7)
    assert [r.values["label"] for r in rows] == list(inferred.outputs["label"])
    probabilities = [list(r.values["probabilities"].values()) for r in rows]
    np.testing.assert_allclose(probabilities, inferred.outputs["probabilities"], atol=1e-6)


def test_every_answer_is_in_the_log_as_it_was_asked(deploy: Deploy, tmp_path: Path) -> None:
    live = deploy()
    sent = images(4, 13)
    with Client(live.address) as client:
        answers = client.predict([{"image": image.tolist()} for image in sent])
    with LogReader(tmp_path / "environments" / "prod.predictions.db") as log:
        assert log.count() == 4
        logged = list(log.predictions([a.prediction for a in answers]))
        assert [p.id for p in logged] == [a.prediction for a in answers]
        np.testing.assert_array_equal(stack(logged)["image"], sent)
        assert stack(logged)["image"].dtype == np.uint8
        for prediction, answer in zip(logged, answers, strict=True):
            assert prediction.outputs["label"] == answer.values["label"]
            assert prediction.release == digest(1) and prediction.number == 1
            np.testing.assert_array_equal(
                prediction.outputs["probabilities"],
                np.array(list(answer.values["probabilities"].values()), np.float32),
            )
        assert [p.id for p in log.predictions(after=logged[1].sequence)] == [p.id for p in logged[2:]]
        assert [p.id for p in log.predictions(limit=3)] == [p.id for p in logged[:3]]


def test_the_same_id_with_the_same_rows_gets_the_same_answer_logged_once(
    deploy: Deploy, other_bundle: Bundle, tmp_path: Path
) -> None:
    live = deploy()
    sent = [{"image": image.tolist()} for image in images(2, 14)]
    with Client(live.address) as client:
        first = client.predict(sent, id="order-1")
        assert [a.prediction for a in first] == ["order-1/0", "order-1/1"]
        # Even where another release answers by now.
        deploy(other_bundle, 2)
        assert client.predict(sent, id="order-1") == first
        assert client.predict(sent)[0].number == 2
        with pytest.raises(Conflict) as caught:
            client.predict(sent[::-1], id="order-1")
        assert caught.value.code == "request-id-reused"
        assert caught.value.details["field"] == "id"
    with LogReader(tmp_path / "environments" / "prod.predictions.db") as log:
        assert log.count() == 4


def test_one_id_sent_at_once_by_many_is_logged_once(deploy: Deploy, tmp_path: Path) -> None:
    live = deploy()
    row, answers = {"image": images(1, 15)[0].tolist()}, list[object]()
    barrier = threading.Barrier(8)

    def ask() -> None:
        with Client(live.address) as client:
            barrier.wait()
            answers.append(client.predict([row], id="same"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8 and all(a == answers[0] for a in answers)
    with LogReader(tmp_path / "environments" / "prod.predictions.db") as log:
        assert log.count() == 1


def test_feedback_is_kept_and_the_later_label_wins(deploy: Deploy, tmp_path: Path) -> None:
    live = deploy()
    with Client(live.address) as client:
        answers = client.predict([{"image": image.tolist()} for image in images(3, 16)])
        ids = [a.prediction for a in answers]
        assert client.feedback({ids[0]: "a", ids[1]: "b"}) == 2
        # Each for itself: what is refused holds up nothing.
        found = client.send_labels([("nobody", "d"), (ids[0], "c"), (ids[2], "zebra")])
        assert found.recorded == 1
        assert [(e.code, e.details["row"]) for e in found.refused] == [
            ("prediction-not-found", 0),
            ("unknown-class", 2),
        ]
        with pytest.raises(NotFound) as caught:
            client.feedback({"nobody": "d"})
        assert caught.value.code == "prediction-not-found"
    with LogReader(tmp_path / "environments" / "prod.predictions.db") as log:
        given = log.feedback()
        assert [(f.prediction, f.label) for f in given] == [(ids[0], "a"), (ids[1], "b"), (ids[0], "c")]
        assert {i: f.label for i, f in log.labels(ids).items()} == {ids[0]: "c", ids[1]: "b"}
        assert [f.label for f in log.feedback(after=given[1].sequence)] == ["c"]


def test_a_label_that_is_no_class_is_refused_with_the_classes_named(asked: httpx.Client) -> None:
    answers = asked.post("/predict", json={"rows": [{"image": i.tolist()} for i in images(2, 5)]}).json()
    ids = [p["prediction"] for p in answers["predictions"]]

    def send(*items: object) -> httpx.Response:
        return asked.post("/feedback", json={"feedback": list(items)})

    refused = send({"prediction": ids[0], "label": "zebra"})
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["row"]) == (400, "unknown-class", 0)
    assert error["classes"] == list(CLASSES)
    assert ", ".join(CLASSES) in error["why"]
    mixed = send(
        {"prediction": ids[0], "label": "a"},
        {"prediction": ids[1], "label": True},
        {"prediction": ids[1], "label": [1]},
        {"prediction": 7, "label": "a"},
        {"prediction": ids[1]},
        {"prediction": ids[1], "label": "b", "who": "me"},
        "text",
        {"prediction": ids[1], "label": "zebra", "new_class": True},
        {"prediction": ids[1], "label": " ", "new_class": True},
        {"prediction": ids[1], "label": "b", "new_class": 1},
    )
    assert mixed.status_code == 200
    assert mixed.json()["recorded"] == 2
    told = [(r["item"], r["code"]) for r in mixed.json()["refused"]]
    assert told == [
        (1, "unknown-class"),
        *((item, "wrong-field") for item in (2, 3, 4, 5, 6)),
        (8, "unknown-class"),
        (9, "wrong-field"),
    ]
    # Where none is taken it is an error, with the reason of each.
    none = send({"prediction": ids[0], "label": "x"}, {"prediction": "nobody", "label": "a"})
    assert none.status_code == 400
    assert [r["code"] for r in none.json()["error"]["refused"]] == ["unknown-class", "prediction-not-found"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"feedback": []}, "feedback"),
        ({"feedback": [{"prediction": "x"}]}, "label"),
        ({"feedback": [{"prediction": "x", "label": None}]}, "feedback[0].label"),
        ({"rows": []}, "rows"),
    ],
)
def test_feedback_that_is_not_as_it_must_be(asked: httpx.Client, body: object, field: str) -> None:
    response = asked.post("/feedback", json=body)
    assert response.status_code == 400
    assert field in response.json()["error"]["field"] or field in response.json()["error"]["message"]


def test_the_client_has_words_for_a_server_that_is_not_there(live: Status) -> None:
    with pytest.raises(InvalidInput):
        Client("localhost:80")
    with Client("http://127.0.0.1:1") as client, pytest.raises(Failed) as caught:
        client.predict([{"image": []}])
    assert caught.value.code == "server-unreachable" and "127.0.0.1:1" in caught.value.message


def test_the_client_turns_refusals_into_errors(live: Status) -> None:
    with Client(live.address) as client:
        with pytest.raises(InvalidInput) as caught:
            client.predict([{"image": images(1)[0].tolist()}, {"imege": 1}])
        assert caught.value.code == "unknown-column"
        assert caught.value.details == {
            "field": "imege",
            "row": 1,
            "expects": {"rows": [{"image": "UINT8 28x28"}]},
        }
        with pytest.raises(NotFound):
            client.infer("nine", {"image": images(1)})
        with pytest.raises(InvalidInput):
            client.infer("ten", {"image": np.ma.MaskedArray(images(1), mask=images(1) > 9)})
