"""What a recurrent model does inside: a function a measure, which returns arrays and a figure.

Lies here: measures over models, layers and modules, hooks that change values, the report. Lies
elsewhere: what computes the values (`runtime`, `native`), and the page that shows them (`serve`).
"""

from recurra.inspect.gates import Gates, gates
from recurra.inspect.lag import GradientByLag, gradient_by_lag
from recurra.inspect.memory import ContextNeeded, Memory, context_needed, memory
from recurra.inspect.units import (
    EffectiveRank,
    Saturation,
    TimeConstant,
    effective_rank,
    saturation,
    time_constant,
)

__all__ = [
    "ContextNeeded",
    "EffectiveRank",
    "Gates",
    "GradientByLag",
    "Memory",
    "Saturation",
    "TimeConstant",
    "context_needed",
    "effective_rank",
    "gates",
    "gradient_by_lag",
    "memory",
    "saturation",
    "time_constant",
]
