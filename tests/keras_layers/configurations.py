"""Random configurations of Keras' recurrent layers, and one of our layers beside one of Keras'.

Keras multiplies matrices of float64 in float32, so that it judges to float32's tolerance.
"""

import random
from typing import Any

import numpy as np
import torch

import recurra.keras  # before keras: chooses its backend

import keras  # isort: skip

KINDS = ("SimpleRNN", "LSTM", "GRU")
#: `activation` and `recurrent_activation`: few, since the kernels of each pair are compiled.
ACTIVATIONS = (
    *[("tanh", "sigmoid")] * 4,
    ("softsign", "hard_sigmoid"),
    (None, "tanh"),
    ("elu", "sigmoid"),
    ("tanh", "hard_silu"),
)
INITIALIZERS = ("glorot_uniform", "orthogonal", "random_normal")
REGULARIZERS = (None, "l1", "l2")
CONSTRAINTS = (None, "non_neg", "unit_norm")
MASKS = (None, None, "right", "left", "any", "any", "column")


def arguments(draw: random.Random) -> tuple[str, dict[str, Any]]:
    """Draw a kind of layer and its arguments."""
    kind, choose = draw.choice(KINDS), draw.choice
    activation, recurrent_activation = choose(ACTIVATIONS)
    found: dict[str, Any] = {
        "units": choose((1, 3, 5, 16, 17)),
        "activation": activation,
        "use_bias": choose((True, True, False)),
        "bias_initializer": choose(("zeros", "normal")),
        "dropout": choose((0.0, 0.0, 0.4)),
        "recurrent_dropout": choose((0.0, 0.0, 0.4)),
        "seed": draw.randrange(1000),
        "return_sequences": choose((True, False)),
        "return_state": choose((True, False)),
        "go_backwards": choose((True, False)),
        "stateful": choose((True, False, False)),
        "unroll": choose((True, False)),
        "zero_output_for_mask": choose((True, False)),
        "activity_regularizer": choose(REGULARIZERS),
        "dtype": choose(("float32", "float32", "float64")),
    }
    for part in ("kernel", "recurrent", "bias"):
        if part != "bias":
            found[f"{part}_initializer"] = choose(INITIALIZERS)
        found[f"{part}_regularizer"] = choose(REGULARIZERS)
        found[f"{part}_constraint"] = choose(CONSTRAINTS)
    if kind != "SimpleRNN":
        found["recurrent_activation"] = recurrent_activation
        found["use_cudnn"] = choose(("auto", False))
        found["implementation"] = choose((1, 2))
    if kind == "LSTM":
        found["unit_forget_bias"] = choose((True, False))
    if kind == "GRU":
        found["reset_after"] = choose((True, False))
    return kind, found


def call(draw: random.Random) -> dict[str, Any]:
    """Draw what one call is given, but for the values."""
    return {
        "mask": draw.choice(MASKS),
        "initial_state": draw.choice((True, False)),
        "training": draw.choice((True, False)),
        "shape": (draw.randint(1, 4), draw.randint(1, 5), draw.randint(1, 4)),
    }


def refused_by_keras(kind: str, given: dict[str, Any], asked: dict[str, Any]) -> bool:
    """Whether Keras 3.15 itself stops with an error, where ours computes what its cell would."""
    # It flips a list of masks as if that were a tensor.
    if given["unroll"] and given["go_backwards"] and asked["mask"] is not None:
        return True
    if kind == "SimpleRNN" or given["use_cudnn"] is False or given["recurrent_dropout"]:
        return False
    # It spreads the list of the gates' masks over the steps as if that were one mask.
    if given["implementation"] == 1 and given["dropout"] and asked["training"]:
        return True
    # It writes the states over those that the gradient needs.
    return bool(given["stateful"] and asked["mask"] is None and given.get("reset_after", True))


def mask_of(name: str | None, batch: int, steps: int, numbers: np.random.Generator) -> Any:
    """Return a mask (B, T) of that kind: rows without a valid step occur."""
    lengths = numbers.integers(0, steps + 1, (batch, 1))
    places = np.arange(steps)
    match name:
        case None:
            return None
        case "right":
            return torch.from_numpy(places < lengths)
        case "left":
            return torch.from_numpy(places >= lengths)
    found = torch.from_numpy(numbers.random((batch, steps)) < 0.5)
    return found[..., None] if name == "column" else found


class Pair:
    """A layer of Keras and ours, with the same arguments, weights and seeds."""

    def __init__(self, kind: str, given: dict[str, Any], features: int, batch: int) -> None:
        self.layers = [getattr(m, kind)(**given) for m in (keras.layers, recurra.keras)]
        for layer in self.layers:
            layer.build((batch, None, features))
        self.layers[1].set_weights(self.layers[0].get_weights())

    def outcomes(self, asked: dict[str, Any], seed: int) -> list[dict[str, torch.Tensor]]:
        """Return for each layer everything a call gives: results, losses, gradients."""
        return [self._outcome(layer, asked, np.random.default_rng(seed)) for layer in self.layers]

    def _outcome(
        self, layer: Any, asked: dict[str, Any], numbers: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        batch, steps, _ = asked["shape"]
        dtype = getattr(torch, layer.compute_dtype)

        def leaf(*shape: int) -> torch.Tensor:
            return torch.from_numpy(numbers.normal(size=shape)).to(dtype).requires_grad_()

        leaves = {"x": leaf(*asked["shape"])}
        states = None
        if asked["initial_state"]:
            states = [leaf(batch, size) for size in layer.state_size]
            leaves |= {f"initial {k}": s for k, s in enumerate(states)}
        result = layer(
            leaves["x"],
            mask=mask_of(asked["mask"], batch, steps, numbers),
            initial_state=states,
            training=asked["training"],
        )
        given = result if isinstance(result, tuple) else (result,)
        found = {"outputs": given[0]} | {f"state {k}": s for k, s in enumerate(given[1:])}
        loss = 0
        for value in found.values():
            loss = loss + (value * torch.from_numpy(numbers.normal(size=value.shape))).sum()
        loss = loss + sum(layer.losses)
        leaves |= {v.path.split("/")[-1]: v.value for v in layer.trainable_weights}
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        found["losses"] = loss
        for name, gradient in zip(leaves, gradients, strict=True):
            if gradient is not None:
                found[f"d {name}"] = gradient
        if layer.stateful:
            found |= {f"kept {k}": s.value for k, s in enumerate(layer.states)}
        return {name: value.detach().clone() for name, value in found.items()}
