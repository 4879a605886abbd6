"""``tm.model("fashion@3")``: a reference to a registered model, as a pipeline's parameter or inside its body."""

from dataclasses import dataclass

from tidemill.core import codes
from tidemill.core.errors import InvalidInput
from tidemill.core.names import check_name


@dataclass(frozen=True, slots=True)
class Model:
    """A registered model by name and number. In a pipeline it stands for that model.

    Not the model: a step receives it as ``tm.TrainedModel``, or as the framework's own by its annotation.

    Attributes:
        name: The pipeline that made it.
        version: None is the newest when the run starts.
    """

    name: str
    version: int | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}@{self.version}"


def model(reference: str) -> Model:
    """The model that ``name`` or ``name@version`` names: the one parser of such references.

    ``name/version`` is taken too, as a release is named; it is never shown so.

    Raises:
        InvalidInput: ``invalid-reference`` or ``invalid-name``.
    """
    name, separator, version = reference.partition("@" if "@" in reference else "/")
    check_name("model", name)
    if separator and not (version.isdecimal() and int(version) > 0):
        raise InvalidInput(
            f"'{reference}' does not name a model.",
            why=f"After the '{separator}' stands the model's number.",
            hint=f"Type '{name}' for the newest, or '{name}@1'. 'tidemill models' shows them.",
            code=codes.INVALID_REFERENCE,
        )
    return Model(name, int(version) if separator else None)
