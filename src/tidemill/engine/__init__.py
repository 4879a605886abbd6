"""Runs a graph: plans what is new, computes it in warm workers, records every step, and says why.

Importing it loads neither the catalog nor a framework.
"""

from tidemill.engine.artifacts import blobs_of, load_value
from tidemill.engine.run import RunResult, mark_interrupted, run
from tidemill.engine.why import Why, why

__all__ = ["RunResult", "Why", "blobs_of", "load_value", "mark_interrupted", "run", "why"]
