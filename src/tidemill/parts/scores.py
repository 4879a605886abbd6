"""Evaluating a model on test rows: its answers there, and the report made from them."""

from typing import TYPE_CHECKING

from tidemill.pipeline.components import step

if TYPE_CHECKING:
    from tidemill.evaluation.report import Report
    from tidemill.models.trained import TrainedModel
    from tidemill.store.table import Table


@step
def evaluate(model: "TrainedModel", test: "Table", name: str = "model") -> "Report":
    """Ask the model for each test row and make the report: a classifier's if it has classes, else a regressor's.

    Raises:
        InvalidInput: ``no-rows``, when there are no test rows.
    """
    from tidemill.evaluation.report import of_classifier, of_regressor  # noqa: PLC0415

    features = test.numpy_with_nan(model.features)
    answers = model.predict(features)
    truth = test.numpy(model.label)
    if model.classes is None:
        return of_regressor(name, truth, answers, curves=model.history)
    return of_classifier(
        name, truth, answers, model.classes, features=features, ids=test.ids, curves=model.history
    )
