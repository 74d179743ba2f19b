"""How many bytes each codec needs for the same look, and how long it takes."""

from picolab.evaluation.images import find
from picolab.evaluation.runner import evaluate

__all__ = ["evaluate", "find"]
