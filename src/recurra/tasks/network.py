"""What a user may choose about recurrent layers: the settings every task's network has."""

from dataclasses import dataclass
from typing import Any

from recurra import native
from recurra.cells import FUNCTIONS, find
from recurra.errors import InputError
from recurra.runtime import Architecture
from recurra.settings import Settings, option


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Settings):
    """The recurrent layers. A task's settings add to these, and may have other defaults."""

    cell: str = option("lstm", "recurrent cell", choices=("rnn", "lstm", "gru"))
    layers: int = option(1, "recurrent layers", least=1, whole=True)
    hidden: int = option(256, "units of a layer", least=1, whole=True)
    dropout: float = option(
        0.1, "dropout between layers and before the output layer", least=0, below=1
    )
    recurrent_dropout: float = option(
        0.0, "dropout of the recurrent input, one mask a segment", least=0, below=1
    )
    weight_drop: float = option(0.0, "dropout of recurrent weights", least=0, below=1)
    zoneout: float = option(0.0, "probability that a unit keeps its state", least=0, below=1)
    layer_norm: bool = option(False, "layer norm in the cell")
    peephole: bool = option(False, "peephole connections (lstm)")
    projection: int = option(0, "project the output to so many units (lstm)", least=0, whole=True)
    reset: str = option("after", "reset gate of the gru", choices=("after", "before"))
    activation: str = option("tanh", "function in place of tanh", choices=FUNCTIONS)
    residual: bool = option(False, "add a layer's input to its output, above the first")
    learn_initial_state: bool = option(False, "learn the state that streams begin from")
    init: str = option("uniform", "how weights are drawn", choices=("uniform", "orthogonal"))
    precision: str = option(
        "float32",
        "of products in training: bf16 needs AVX512-BF16 or AMX, and saves time with AMX alone, in "
        "layers of hundreds of units",
        choices=native.PRECISIONS,
    )

    @property
    def output_size(self) -> int:
        """Features of the last layer's output."""
        return (self.projection or self.hidden) * (1 + self.is_bidirectional)

    @property
    def is_bidirectional(self) -> bool:
        """Whether each layer also reads from the end to the start: where a task offers it."""
        return bool(getattr(self, "bidirectional", False))

    def mistakes(self) -> list[str]:
        """What is wrong with the values one by one, or else together."""
        return super().mistakes() or self.clashes()

    def clashes(self) -> list[str]:
        """What is wrong with the values together, where each is right by itself."""
        cell = find(self.cell)
        found = [
            f"{name}: the cell {self.cell} has none (the lstm has)"
            for name in ("peephole", "projection")
            if getattr(self, name) and name not in cell.options
        ]
        if self.reset != "after" and "reset" not in cell.options:
            found.append(f"reset: the cell {self.cell} has no reset gate (the gru has)")
        if self.projection >= self.hidden:
            found.append(f"projection must be below hidden ({self.hidden})")
        return found

    def architecture(self) -> Architecture:
        """What running the weights needs to know."""
        options: dict[str, Any] = {"activation": self.activation, "norm": self.layer_norm}
        if self.peephole:
            options["peephole"] = True
        if self.projection:
            options["projection"] = True
        if self.reset != "after":
            options["reset"] = self.reset
        rates = (self.zoneout,) * len(find(self.cell).states)
        return Architecture(
            self.cell, self.layers, self.residual, rates, options, self.is_bidirectional
        )

    def check_precision(self, device: str) -> None:
        """Raise InputError where a device, such as "cpu", has no products of that precision."""
        if self.precision == "float32":
            return
        missing = native.without_half(self.architecture().program)
        if device != "cpu":
            missing = f"device {device}"
        if missing:
            raise InputError(
                f"precision {self.precision}: expected a CPU with bfloat16 products, and a cell "
                f"that has kernels; received {missing}: use precision float32"
            )

    def arguments(self) -> dict[str, Any]:
        """Arguments of `recurra.nn.Recurrent` by name, but for the sizes and the cell."""
        return {
            "num_layers": self.layers,
            "dropout": self.dropout if self.layers > 1 else 0.0,
            "bidirectional": self.is_bidirectional,
            "proj_size": self.projection,
            "activation": self.activation,
            "layer_norm": self.layer_norm,
            "peephole": self.peephole,
            "options": {"reset": self.reset} if self.cell == "gru" else None,
            "recurrent_dropout": self.recurrent_dropout,
            "zoneout": self.zoneout,
            "weight_drop": self.weight_drop,
            "residual": self.residual,
            "learn_initial_state": self.learn_initial_state,
            "init": self.init,
            "precision": self.precision,
        }
