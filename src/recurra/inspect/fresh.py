"""A trained model as it was before training: the same network, weights drawn anew."""

import re
from dataclasses import replace
from typing import Any

import numpy as np

from recurra.inspect.differentiable import need_torch
from recurra.tasks.language_model.runtime import RuntimeLM


def at_initialisation(model: Any, *, seed: int = 0) -> Any:
    """The model with weights drawn anew, as its settings say. Needs torch.

    Of a language model all of them; of other tasks those of the recurrent layers, which is what
    their measures are about, the rest as trained.

    Args:
        model: a trained model.
        seed: of the draw; a training with this seed began with these very weights if it is a
            language model's.

    Raises:
        InputError: torch is not installed.
    """
    need_torch("at initialisation")
    files = model.files
    tensors = dict(files.tensors)
    if isinstance(getattr(model, "runtime", None), RuntimeLM):
        from recurra.tasks.language_model.training import build

        drawn = build(model.config, len(model.tokenizer), seed).state_dict()
        tensors = {name: drawn[name].numpy().astype(t.dtype) for name, t in tensors.items()}
    else:
        tensors |= _layers_drawn(model, tensors, seed)
    return type(model).from_files(replace(files, tensors=tensors))


def _layers_drawn(model: Any, tensors: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """New weights of all stacks of layers, by the tensors' names."""
    import torch

    from recurra.nn.initial import initialise

    found = {}
    pattern = re.compile(r"^(?:.*\.)?(.+)_l\d+(?:_reverse)?$")
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        for name in sorted(tensors):
            match = pattern.match(name)
            if match is None:
                continue
            hidden = model.config.hidden
            layer = _Layer(model, hidden)
            made = torch.empty(tensors[name].shape)
            initialise(made, match[1], layer)
            found[name] = made.numpy().astype(tensors[name].dtype)
    return found


class _Layer:
    """What of a layer decides how its weights are drawn."""

    def __init__(self, model: Any, hidden: int) -> None:
        from recurra.cells import find

        self.cell = find(model.config.cell)
        self.program = model.config.architecture().program
        self.hidden_size = hidden
        self.init = getattr(model.config, "init", "uniform")
