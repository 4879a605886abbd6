"""Evaluation: metrics from answers on held-out rows, the paired comparisons, and the report with its page.

Importing it loads no NumPy and draws nothing.
"""

from tidemill.evaluation.metrics import classification, regression
from tidemill.evaluation.page import render
from tidemill.evaluation.paired import Comparison, compared, paired, resampled
from tidemill.evaluation.report import ClassScore, Mistake, Report, of_classifier, of_regressor

__all__ = [
    "ClassScore",
    "Comparison",
    "Mistake",
    "Report",
    "classification",
    "compared",
    "of_classifier",
    "of_regressor",
    "paired",
    "regression",
    "render",
    "resampled",
]
