"""The rivals of recurrent models, behind the classes' protocol, and how they are compared."""

from recurra.baselines.compare import Comparison, Result, compare
from recurra.baselines.protocol import Budget, Contender

__all__ = ["Budget", "Comparison", "Contender", "Result", "compare"]
