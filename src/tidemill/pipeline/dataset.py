"""``tm.dataset("fashion@main")``: a reference to a dataset, as a pipeline's parameter or inside its body."""

from dataclasses import dataclass

from tidemill.core.names import Reference


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset at a point of its history, by name. In a pipeline it stands for that dataset's rows.

    Not the rows: a step receives them in the form of its annotation.
    """

    reference: Reference

    def __str__(self) -> str:
        return str(self.reference)


def dataset(reference: str) -> Dataset:
    """The dataset that ``name``, ``name@branch``, ``name@tag`` or ``name@commit`` names.

    Raises:
        InvalidInput: ``invalid-reference`` or ``invalid-name``.
    """
    return Dataset(Reference.parse(reference))
