"""What a trainer may say of the model that it makes: the columns that it learns from what."""

from collections.abc import Mapping
from typing import Any

from tidemill.core import codes
from tidemill.core.errors import InvalidInput


def check_columns(options: Mapping[str, Any], where: str) -> None:
    """Refuse several columns of features, or several labels, before anything runs.

    Args:
        options: ``features`` and ``label``, where they are given; others are not looked at.
        where: What gives them, for the error.

    Raises:
        InvalidInput: ``wrong-definition``.
    """
    for name in ("features", "label"):
        value = options.get(name)
        if value is None or isinstance(value, str):
            continue
        columns = [str(c) for c in value] if isinstance(value, (list, tuple)) else []
        hint = f"Say {name}='...', the name of one column."
        if name == "features" and columns:
            arguments = ", ".join(columns) if all(c.isidentifier() for c in columns) else "*columns"
            hint = (
                f"Make them one column before: @tm.row_step(columns={tuple(columns)!r}, to='features') def "
                f"features({arguments}): return np.stack([{arguments}], axis=1); then say features='features'."
            )
        raise InvalidInput(
            f"{where} gets {name}={value!r}, and a model takes one column.",
            why="It is served with one array of features and answers with one label.",
            hint=hint,
            code=codes.WRONG_DEFINITION,
        )
