"""Models of any framework, and the predictor: what is cut out of the training graph and served.

Importing it loads no framework, and no NumPy.
"""

from tidemill.models.bundle import Parity, build_predictor
from tidemill.models.predictor import Predictor
from tidemill.models.signature import Signature, Tensor
from tidemill.models.trained import TrainedModel

__all__ = ["Parity", "Predictor", "Signature", "Tensor", "TrainedModel", "build_predictor"]
