"""The report and its page: what is in it, that it stands alone, and that nothing in the data can break out."""

import base64
import json
import re
import struct
import zlib
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from tidemill.core.errors import InvalidInput
from tidemill.evaluation import Report, of_classifier, of_regressor, plots, png, render

CLASSES = ("coat", "bag", "<script>alert(1)</script>")
VERDICT = {
    "passed": False,
    "rules": [
        {"name": "accuracy >= 0.87", "passed": False, "reason": "0.8 is 0.07 below 0.87 & that is that."},
        {"name": "smoke", "passed": True, "reason": "All 20 sample rows agree."},
    ],
}


def pixels(image: bytes) -> "np.ndarray[Any, Any]":
    """What a PNG shows, read by hand: unfiltered, 8 bits."""
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    at, pieces = 8, {}
    while at < len(image):
        (length,) = struct.unpack(">I", image[at : at + 4])
        kind, data = image[at + 4 : at + 8], image[at + 8 : at + 8 + length]
        (check,) = struct.unpack(">I", image[at + 8 + length : at + 12 + length])
        assert check == zlib.crc32(kind + data)
        pieces[kind] = data
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", pieces[b"IHDR"][:10])
    channels = {0: 1, 2: 3}[colour]
    assert depth == 8 and list(pieces) == [b"IHDR", b"IDAT", b"IEND"]
    lines = np.frombuffer(zlib.decompress(pieces[b"IDAT"]), np.uint8).reshape(height, 1 + width * channels)
    assert (lines[:, 0] == 0).all()
    return lines[:, 1:].reshape(height, width, channels)


@pytest.fixture(scope="module")
def report() -> Report:
    random = np.random.default_rng(0)
    truth = np.array(CLASSES)[random.integers(0, 3, 90)]
    probabilities = random.dirichlet([1, 1, 1], 90)
    images = random.integers(0, 256, (90, 5, 4), dtype=np.uint8)
    return of_classifier(
        "fashion <1>",
        truth,
        probabilities,
        CLASSES,
        features=images,
        ids=np.arange(2**63, 2**63 + 90, dtype=np.uint64),
        curves={"loss": [0.9, 0.5, float("nan")], "val_loss": [1.0, 0.7, 0.6], "accuracy": [0.5, 0.6, 0.7]},
        notes=["Trained on <little>."],
        worst=7,
    )


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render(
        report, facts={"run": "2026-7f", "parameter": {"epochs": 3, "layers": [1, 2]}}, verdict=VERDICT
    )


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "link", "br", "line", "path", "rect"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in {"path", "line", "rect"}:
            return
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_a_report_comes_back_from_json(report: Report) -> None:
    body = json.loads(json.dumps(report.to_json(), allow_nan=False))
    back = Report.from_json(body)
    assert back.to_json() == report.to_json()
    assert (back.mistakes, back.per_class, back.confusion) == (
        report.mistakes,
        report.per_class,
        report.confusion,
    )
    assert np.isnan(back.curves["loss"][2])
    with pytest.raises(InvalidInput) as caught:
        Report.from_json(body | {"layout": 2})
    assert caught.value.code == "report-too-new"


def test_the_worst_mistakes_are_the_most_confident_ones(report: Report) -> None:
    found = report.mistakes
    assert len(found) == 7
    assert [m.confidence for m in found] == sorted((m.confidence for m in found), reverse=True)
    assert all(m.truth != m.predicted for m in found)
    images = np.random.default_rng(0)
    images.integers(0, 3, 90)
    images.dirichlet([1, 1, 1], 90)
    shown = images.integers(0, 256, (90, 5, 4), dtype=np.uint8)
    for mistake in found:
        assert mistake.image is not None and mistake.id is not None
        assert (pixels(mistake.image)[:, :, 0] == shown[mistake.id - 2**63]).all()


def test_the_page_stands_alone(page: str) -> None:
    tags = read(page).tags
    assert not [t for t, _ in tags if t in {"script", "link", "iframe", "object"}]
    for _, attributes in tags:
        assert not [n for n in attributes if n.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    addresses = set(re.findall(r"https?://[^\s\"'<]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "url(" not in page
    assert any(t == "meta" and a.get("name") == "viewport" for t, a in tags)
    assert "prefers-color-scheme: dark" in page


def test_the_page_says_what_the_report_holds(report: Report, page: str) -> None:
    text = read(page).text
    metrics = report.metrics
    for name in ("accuracy", "elementwise_accuracy", "f1_macro", "precision_macro", "recall_macro"):
        assert f"{metrics[name] * 100:.2f} %" in text
    right, cells = round(metrics["accuracy"] * 90), round(metrics["elementwise_accuracy"] * 270)
    assert f"{right} of 90 rows" in text
    assert f"{cells} came out right" in text
    assert "89 %" in text and "98 %" in text
    assert "Gate failed" in text and "0.8 is 0.07 below 0.87 & that is that." in text
    assert "parameter epochs" in text and "1, 2" in text
    assert "Trained on <little>." in text
    assert page.count("<svg") == 4
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert [base64.b64decode(i) for i in images] == [m.image for m in report.mistakes]
    assert str(report.mistakes[0].id) in text


def test_the_same_report_gives_the_same_page(report: Report, page: str) -> None:
    again = render(
        report, facts={"run": "2026-7f", "parameter": {"epochs": 3, "layers": [1, 2]}}, verdict=VERDICT
    )
    assert again == page


def test_a_report_without_extras_is_a_page_too() -> None:
    right = of_classifier("m", np.array(["a", "b"]), np.eye(2), ["a", "b"])
    assert "It made no mistake" in render(right)
    values = of_regressor(
        "prices", np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0]), curves={"loss": [2.0]}
    )
    text = read(render(values)).text
    assert "mean absolute error" in text and "two accuracies" not in text
    flat = of_classifier("m", np.array(["a", "b"]), np.eye(2)[::-1], ["a", "b"], features=np.ones((2, 9)))
    assert flat.mistakes[0].image is None
    assert "<img" not in render(flat)


def test_many_classes_are_drawn_without_numbers() -> None:
    names = [f"class {i}" for i in range(40)]
    spec = plots.confusion(np.eye(40, dtype=int).tolist(), names)
    assert len(spec["layer"]) == 1
    assert "<svg" in plots.svg(spec)


@pytest.mark.parametrize(
    ("image", "shown"),
    [
        (np.array([[0, 255]], np.uint8), [0, 255]),
        (np.array([[0.0, 0.5, 1.0]]), [0, 128, 255]),
        (np.array([[0.0, 16.0]]), [0, 16]),
        (np.array([[-1.0, 0.0, 1.0]]), [0, 128, 255]),
        (np.array([[-3.0, -3.0]]), [0, 0]),
        (np.arange(6, dtype=np.uint8).reshape(1, 2, 3), [0, 1, 2, 3, 4, 5]),
    ],
)
def test_an_image_is_drawn_as_its_numbers_mean(image: "np.ndarray[Any, Any]", shown: list[int]) -> None:
    assert pixels(png.encode(image)).reshape(-1).tolist() == shown


def test_what_is_no_image_is_refused() -> None:
    for shape in ((4,), (2, 2, 2), (0, 3), (1, 2, 3, 3)):
        with pytest.raises(InvalidInput) as caught:
            png.encode(np.zeros(shape))
        assert caught.value.code == "not-an-image"


def test_values_of_each_row_come_back_and_must_fit() -> None:
    ids = np.array([2**63 + 1, 7, 3], np.uint64)
    made = Report("own", {"cost": 2.0}, per_row={"cost": np.array([1.0, 2.0, 3.0])}, ids=ids)  # pyright: ignore[reportArgumentType]
    again = Report.from_json(json.loads(json.dumps(made.to_json())))
    assert again == made
    assert again.ids == (2**63 + 1, 7, 3)
    assert "per_row" not in Report("own", {"cost": 2.0}).to_json()
    for metrics, values, given in (
        ({"cost": 2.0}, {"cost": (1.0, 2.0)}, (1, 2, 3)),
        ({"cost": 2.0}, {"cost": (1.0, 3.0)}, (1, 1)),
        ({"cost": 2.5}, {"cost": (1.0, 3.0)}, (1, 2)),
        ({"cost": 2.0}, {"price": (1.0, 3.0)}, (1, 2)),
    ):
        with pytest.raises(InvalidInput) as caught:
            Report("own", metrics, per_row=values, ids=given)
        assert caught.value.code == "wrong-report"


def test_the_page_shows_the_metrics_that_tidemill_does_not_know_by_name() -> None:
    page = render(Report("own", {"n": 10, "silhouette": 0.4321, "<b>": 12345.0, "mae": 2.5}))
    assert "silhouette" in page
    assert "0.4321" in page
    assert "&lt;b&gt;" in page
    assert "<b>mean" not in page
    assert "mean absolute error" in page
    assert "10 test rows" in page
    # A report that does not count its rows does not claim that there were none.
    alone = render(Report("own", {"silhouette": 0.4321}))
    assert "test rows</span>" not in alone
    assert "computed from the answers" not in alone
    assert "Metrics of its own" not in render(Report("known", {"n": 1, "mae": 1.0, "f1_micro": 1.0}))
