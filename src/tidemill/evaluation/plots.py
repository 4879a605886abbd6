"""The report's plots: one Vega-Lite description each, drawn to SVG without a browser or the network.

Colours are CSS variables of the page, so that one SVG serves light and dark.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.evaluation.report import ClassScore

Spec = dict[str, Any]

_CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelLimit": 140,
        "gridColor": "var(--line)",
        "domain": False,
        "ticks": False,
        "labelPadding": 8,
        "titlePadding": 12,
    },
    "legend": {"labelColor": "var(--muted)", "labelFontSize": 12, "title": None, "symbolStrokeWidth": 0},
}
_MANY_CLASSES = 25


def confusion(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Spec:
    """A heat map: each cell the share of its true class, with the count written in it."""
    cells: list[Spec] = []
    for truth, row in zip(classes, counts, strict=True):
        total = sum(row) or 1
        for predicted, count in zip(classes, row, strict=True):
            cells.append(
                {
                    "truth": truth,
                    "predicted": predicted,
                    "count": count,
                    "share": count / total,
                    "right": truth == predicted,
                }
            )
    size = 46 if len(classes) <= _MANY_CLASSES else 14
    axis = {"orient": "top", "labelAngle": -40} if len(classes) > 4 else {"orient": "top", "labelAngle": 0}
    order = list(classes)
    layers: list[Spec] = [
        {
            "mark": {"type": "rect", "cornerRadius": 3},
            "encoding": {
                "color": {
                    "condition": {"test": "datum.right", "value": "var(--c1)"},
                    "value": "var(--c2)",
                },
                # A square root lifts the rare mistakes, which is what one looks for, out of the background.
                "opacity": {
                    "field": "share",
                    "type": "quantitative",
                    "scale": {"type": "sqrt", "domain": [0, 1], "range": [0.04, 1]},
                    "legend": None,
                },
            },
        }
    ]
    if len(classes) <= _MANY_CLASSES:
        layers.append(
            {
                "transform": [{"filter": "datum.count > 0"}],
                "mark": {"type": "text", "fontSize": 12},
                "encoding": {
                    "text": {"field": "count", "type": "quantitative", "format": ",d"},
                    "color": {
                        "condition": {"test": "datum.share > 0.3", "value": "var(--on-c1)"},
                        "value": "var(--ink)",
                    },
                },
            }
        )
    return {
        "data": {"values": cells},
        "width": {"step": size},
        "height": {"step": size if len(classes) > _MANY_CLASSES else 34},
        "encoding": {
            "x": {
                "field": "predicted",
                "type": "nominal",
                "sort": order,
                "title": "predicted",
                "axis": axis | {"grid": False},
                "scale": {"paddingInner": 0.06},
            },
            "y": {
                "field": "truth",
                "type": "nominal",
                "sort": order,
                "title": "true",
                "axis": {"grid": False},
                "scale": {"paddingInner": 0.06},
            },
        },
        "layer": layers,
    }


def per_class(scores: Sequence[ClassScore]) -> Spec:
    """A bar of F1 for each class, with precision and recall as points on it; the weakest class first."""
    ranked = sorted(scores, key=lambda s: s.f1)
    names = [s.name for s in ranked]
    values: list[Spec] = [
        {"class": s.name, "metric": metric, "value": value}
        for s in ranked
        for metric, value in (("F1", s.f1), ("precision", s.precision), ("recall", s.recall))
    ]
    colour = {
        "field": "metric",
        "type": "nominal",
        "scale": {
            "domain": ["F1", "precision", "recall"],
            "range": ["var(--c1-soft)", "var(--c1)", "var(--c2)"],
        },
        "legend": {"orient": "bottom", "direction": "horizontal"},
    }
    return {
        "data": {"values": values},
        "width": 330,
        "height": {"step": 28},
        "encoding": {
            "y": {"field": "class", "type": "nominal", "sort": names, "title": None, "axis": {"grid": False}},
            "x": {
                "field": "value",
                "type": "quantitative",
                "title": None,
                # A stacked bar with round ends brings a clip path, whose id counts up with each drawing.
                "stack": None,
                "scale": {"domain": [0, 1]},
                "axis": {"format": ".0%", "tickCount": 5},
            },
            "color": colour,
        },
        "layer": [
            {
                "transform": [{"filter": "datum.metric == 'F1'"}],
                "mark": {"type": "bar", "height": 16, "cornerRadiusEnd": 3},
            },
            {
                "transform": [{"filter": "datum.metric != 'F1'"}],
                "mark": {"type": "point", "filled": True, "size": 62, "opacity": 1},
                "encoding": {
                    "shape": {
                        "field": "metric",
                        "type": "nominal",
                        "scale": {
                            "domain": ["F1", "precision", "recall"],
                            "range": ["square", "circle", "diamond"],
                        },
                        "legend": {"orient": "bottom", "direction": "horizontal"},
                    }
                },
            },
        ],
    }


def curves(history: Mapping[str, Sequence[float]]) -> dict[str, Spec]:
    """A plot for each measure of the training, with training and validation in it, by the measure's name."""
    plots: dict[str, Spec] = {}
    for name in history:
        measure = name.removeprefix("val_")
        if measure in plots:
            continue
        lines = {
            part: history[key]
            for part, key in (("training", measure), ("validation", f"val_{measure}"))
            if key in history
        }
        values: list[Spec] = [
            {"epoch": epoch, "value": value, "rows": part}
            for part, line in lines.items()
            for epoch, value in enumerate(line, start=1)
            if math.isfinite(value)
        ]
        if values:
            plots[measure] = _curve(values, max(len(line) for line in lines.values()))
    return plots


def _curve(values: list[Spec], epochs: int) -> Spec:
    return {
        "data": {"values": values},
        "width": 300,
        "height": 180,
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 28} if 1 <= epochs <= 30 else False},
        "encoding": {
            "x": {
                "field": "epoch",
                "type": "quantitative",
                "title": "epoch",
                "scale": {"domain": [1, max(epochs, 2)], "nice": False},
                "axis": {"grid": False, "tickMinStep": 1, "tickCount": 10, "format": "d"},
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": None,
                "scale": {"zero": False},
                "axis": {"tickCount": 5},
            },
            "color": {
                "field": "rows",
                "type": "nominal",
                "scale": {"domain": ["training", "validation"], "range": ["var(--c1)", "var(--c2)"]},
                "legend": {
                    "orient": "bottom",
                    "direction": "horizontal",
                    "symbolType": "stroke",
                    "symbolStrokeWidth": 2,
                },
            },
        },
    }


def svg(spec: Spec) -> str:
    """Draw a description. Equal descriptions give equal text."""
    import vl_convert  # noqa: PLC0415 - starts a JavaScript engine, half a second

    return vl_convert.vegalite_to_svg({**spec, "config": _CONFIG}, vl_version="v6.1", allowed_base_urls=[])
