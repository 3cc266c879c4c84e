"""What a recurrent model does inside: a function a measure, which returns arrays and a figure.

Lies here: measures over models, layers and modules, hooks that change values, the report. Lies
elsewhere: what computes the values (`runtime`, `native`), and the page that shows them (`serve`).
"""

from recurra.inspect.ablation import Ablation, ablation
from recurra.inspect.attention import Attention, attention
from recurra.inspect.calibration import Calibration, calibration
from recurra.inspect.fresh import at_initialisation
from recurra.inspect.gates import Gates, gates
from recurra.inspect.lag import GradientByLag, gradient_by_lag
from recurra.inspect.memory import ContextNeeded, Memory, context_needed, memory
from recurra.inspect.neurons import NeuronFinder, neuron_finder
from recurra.inspect.patching import Edit, ablate, clamp, exchange, patch, patched
from recurra.inspect.probes import MemorySignature, Probe, memory_signature, probe
from recurra.inspect.report import Report, report
from recurra.inspect.saliency import Saliency, saliency
from recurra.inspect.units import (
    EffectiveRank,
    Saturation,
    TimeConstant,
    effective_rank,
    saturation,
    time_constant,
)

__all__ = [
    "Ablation",
    "Attention",
    "Calibration",
    "ContextNeeded",
    "Edit",
    "EffectiveRank",
    "Gates",
    "GradientByLag",
    "Memory",
    "MemorySignature",
    "NeuronFinder",
    "Probe",
    "Report",
    "Saliency",
    "Saturation",
    "TimeConstant",
    "ablate",
    "ablation",
    "at_initialisation",
    "attention",
    "calibration",
    "clamp",
    "context_needed",
    "effective_rank",
    "exchange",
    "gates",
    "gradient_by_lag",
    "memory",
    "memory_signature",
    "neuron_finder",
    "patch",
    "patched",
    "probe",
    "report",
    "saliency",
    "saturation",
    "time_constant",
]
