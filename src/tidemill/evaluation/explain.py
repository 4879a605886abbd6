"""The paragraph that explains why one model has two accuracies, with the report's own figures."""

import html

from tidemill.core.percent import percent
from tidemill.evaluation.report import Report

STUDY_ACCURACY = 0.89
STUDY_ELEMENTWISE = 0.98


def two_accuracies(report: Report) -> str:
    """A section of the page: this model's two numbers beside those of a study that met both."""
    accuracy, elementwise = report.metrics["accuracy"], report.metrics["elementwise_accuracy"]
    rows, classes = int(report.metrics["n"]), len(report.classes)
    right, cells = round(accuracy * rows), rows * classes
    agreeing = round(elementwise * cells)
    idle = (classes - 1) / classes
    return (
        '<section><h2>One model, two accuracies</h2><div class="two"><div>'
        f"<p><b>Accuracy</b> asks once a row: is the class it answers the true one? It was for {right:,} of "
        f"{rows:,} rows, <b>{html.escape(percent(accuracy, 2))}</b>. <b>Element-wise accuracy</b> (“binary accuracy”) asks "
        f"once a row <i>and class</i>: is “this class, yes or no”, cut at a probability of ½, right? That makes "
        f"{rows:,} &times; {classes} = {cells:,} questions, of which {agreeing:,} came out right, "
        f"<b>{html.escape(percent(elementwise, 2))}</b>. Most of them are easy: answering “no” to every one, which recognises "
        f"nothing at all, already scores {html.escape(percent(idle, 0))}. Both numbers describe these same answers of this same "
        "model; only the first says how often it is right, and only it is what the gate means by accuracy.</p>"
        "<p class=muted>Why it is shown: a study of 2019 built one Fashion-MNIST pipeline on two platforms and "
        "reported 89 % from one and 98 % from the other. The Keras of that time took “accuracy” to mean the "
        "element-wise one when the loss was binary cross-entropy. The two figures are thus what one and the same "
        "quality of model gives under the two definitions, which fits the study but does not prove what it "
        "computed.</p></div>"
        '<div class="scroll"><table><thead><tr><th></th><th class="n">this model</th><th class="n">the study</th>'
        "</tr></thead><tbody>"
        f'<tr><th scope=row>accuracy</th><td class="n">{html.escape(percent(accuracy, 2))}</td>'
        f'<td class="n">{STUDY_ACCURACY * 100:.0f} %</td></tr>'
        f'<tr><th scope=row>element-wise accuracy</th><td class="n">{html.escape(percent(elementwise, 2))}</td>'
        f'<td class="n">{STUDY_ELEMENTWISE * 100:.0f} %</td></tr>'
        f'<tr><th scope=row class="muted">always “no”</th><td class="n muted">{html.escape(percent(idle, 2))}</td>'
        '<td class="n"></td></tr></tbody></table></div></div></section>'
    )
