"""Language models with every option, as a torch module and as what runs without torch."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.cells import BUILT_IN
from recurra.nn import Recurrent
from recurra.tasks.language_model import LanguageModelSettings
from recurra.tasks.language_model.network import RecurrentLM
from recurra.tasks.language_model.runtime import RuntimeLM
from recurra.tasks.language_model.training import build

V, H = 11, 6


@dataclass(frozen=True)
class Row:
    """Settings of a model, under a name for the test's id."""

    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return ",".join(f"{k}={v}" for k, v in self.settings.items()).replace("=True", "")

    @property
    def config(self) -> LanguageModelSettings:
        return LanguageModelSettings(hidden=H, **{"embedding": 5, **self.settings}).validate()

    def both(self) -> tuple[RecurrentLM, RuntimeLM]:
        """The module in eval mode, and the model over numpy with copies of its weights."""
        module = build(self.config, V, seed=0).eval()
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():  # no zero or one may hide a mistake
            for parameter in module.parameters():
                parameter.uniform_(-0.9, 0.9, generator=generator)
        return module, RuntimeLM(self.config.architecture(), tensors(module))


def tensors(module: RecurrentLM) -> dict[str, np.ndarray]:
    """The weights as a model directory has them: tied ones once."""
    state = {name: value.numpy().copy() for name, value in module.state_dict().items()}
    if module.tied:
        del state["head.weight"]
    return state


def states(module: Recurrent, state: Tensor | tuple[Tensor, ...]) -> list[list[np.ndarray]]:
    """torch's states (L, B, ·) a state, as the runtime has them: by layer, then by state."""
    parts = (state,) if isinstance(state, Tensor) else state
    return [[part[k].numpy() for part in parts] for k in range(module.num_layers)]


ROWS = [
    Row({"cell": cell, **more})
    for cell in BUILT_IN
    for more in (
        {},
        {"layers": 2},
        {"layers": 2, "residual": True, "embedding": H},
        {"layers": 3, "residual": True, "learn_initial_state": True},
        {"zoneout": 0.3},
        {"layers": 2, "layer_norm": True},
        {"embedding": 0},
        {"embedding": 0, "layers": 2, "learn_initial_state": True},
        {"tied": True, "embedding": H},
        {"activation": "relu"},
        {"activation": "identity", "layer_norm": True},
    )
    if "layer_norm" not in more or "norm" in BUILT_IN[cell].options
]
ROWS += [
    Row({"cell": "lstm", "peephole": True}),
    Row({"cell": "lstm", "peephole": True, "layer_norm": True, "layers": 2, "zoneout": 0.2}),
    Row({"cell": "lstm", "projection": 4, "layers": 2}),
    Row({"cell": "lstm", "projection": 4, "tied": True, "embedding": 4, "peephole": True}),
    Row(
        {
            "cell": "lstm",
            "projection": 4,
            "layers": 3,
            "residual": True,
            "layer_norm": True,
            "learn_initial_state": True,
            "zoneout": 0.1,
        }
    ),
    Row({"cell": "gru", "reset": "before"}),
    Row({"cell": "gru", "reset": "before", "layer_norm": True, "layers": 2, "zoneout": 0.2}),
]
