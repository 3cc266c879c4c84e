"""What a recurrent model does inside: a function a measure, which returns arrays and a figure.

Lies here: measures over models, layers and modules, hooks that change values, the report. Lies
elsewhere: what computes the values (`runtime`, `native`), and the page that shows them (`serve`).
"""

from recurra.inspect.gates import Gates, gates
from recurra.inspect.units import (
    EffectiveRank,
    Saturation,
    TimeConstant,
    effective_rank,
    saturation,
    time_constant,
)

__all__ = [
    "EffectiveRank",
    "Gates",
    "Saturation",
    "TimeConstant",
    "effective_rank",
    "gates",
    "saturation",
    "time_constant",
]
