"""What a user may choose about recurrent layers: the settings every task's network has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from recurra import native
from recurra.cells import FUNCTIONS, Cell, CellName, find, names
from recurra.cells.matrices import plain
from recurra.errors import InputError
from recurra.given import brief
from recurra.runtime import Architecture
from recurra.runtime.architecture import carried_cell
from recurra.settings import Settings, option

#: Settings that ask for an option of the cell, by the name of the option.
_SWITCHES = {"layer_norm": "norm", "peephole": "peephole", "projection": "projection"}


def cell_option(default: str) -> Any:
    """A setting that names a cell, or is one."""
    known = ", ".join(native.BUILT_IN)
    return option(default, f"recurrent cell: {known}, or one of your own", text=True)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Settings):
    """The recurrent layers. A task's settings add to these, and may have other defaults."""

    cell: str = cell_option("lstm")
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
    peephole: bool = option(False, "peephole connections, where the cell has them (lstm)")
    projection: int = option(
        0, "project the output to so many units, where the cell can (lstm)", least=0, whole=True
    )
    reset: str = option(
        "after", "the reset gate, where the cell has the option (gru)", choices=("after", "before")
    )
    cell_options: str | None = option(
        None, "further options of the cell, as name=value name=value", text=True, later=True
    )
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

    @property
    def has_further_inputs(self) -> bool:
        """Whether the last features of the data may be further inputs of a cell."""
        return False

    def __post_init__(self) -> None:
        """Settle which cell is meant: a definition may be replaced by another of its name."""
        cell: Any = self.cell
        if isinstance(cell, Cell) or (type(cell) is str and cell in names()):
            meant = find(cell)
            ours = native.BUILT_IN.get(meant.name) is meant
            object.__setattr__(self, "cell", meant.name if ours else CellName(meant))
        if isinstance(self.cell_options, Mapping):
            text = " ".join(f"{name}={value}" for name, value in self.cell_options.items())
            object.__setattr__(self, "cell_options", text or None)

    @classmethod
    def from_files(cls, config: Mapping[str, Any]) -> Self:
        """The settings in the `config.json` of a model, whose cell may have come with it.

        Raises:
            KeyError: there are none.
            InputError: they are not of this version.
            FormatError: the cell is damaged, or its name stands for other equations here.
        """
        values, own = config["model"], carried_cell(config.get("architecture"))
        if own is not None and isinstance(values, Mapping):
            values = {**values, "cell": own}
        return cls.from_json(values)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values; what only cells of one's own need, where it is used."""
        found = {**super().to_json(), "cell": str(self.cell)}
        return {n: v for n, v in found.items() if n != "cell_options" or v is not None}

    def own_cell(self) -> dict[str, Any]:
        """What a run has to hold of a cell that is not the package's, as {"program": …}."""
        found = self.architecture().to_json()
        return {"program": found["program"]} if "program" in found else {}

    def mistakes(self) -> list[str]:
        """What is wrong with the values one by one, or else together."""
        found = super().mistakes()
        if isinstance(self.cell, str) and not isinstance(self.cell, CellName):
            known = dict.fromkeys([*native.BUILT_IN, *names()])
            if self.cell not in known:
                found.append(
                    f"cell must be one of {', '.join(known)}, received {brief(str(self.cell))}: a "
                    "cell of your own is given itself, or its file with --cells FILE.py"
                )
        return found or self.clashes()

    def clashes(self) -> list[str]:
        """What is wrong with the values together, where each is right by itself."""
        cell, found = find(self.cell), []
        for setting, option_name in _SWITCHES.items():
            if getattr(self, setting) and option_name not in cell.options:
                has = " ".join(cell.options) or "none"
                found.append(
                    f"{setting}: the cell {cell.name} has no option {option_name} (its options: "
                    f"{has})"
                )
        if self.reset != "after" and "reset" not in cell.options:
            found.append(f"reset: the cell {self.cell} has no option reset")
        if self.projection >= self.hidden:
            found.append(f"projection must be below hidden ({self.hidden})")
        if isinstance(self.cell, CellName) and str(self.cell) in native.BUILT_IN:
            found.append(
                f"cell: {cell.name} is the name of one of the package's own cells: rename yours"
            )
        if cell.inputs and not self.has_further_inputs:
            found.append(
                f"cell: {cell.name} reads further inputs ({' '.join(cell.inputs)}), which the data "
                "of this task have none of: use it in a classifier of numbers (inputs=numbers), or "
                "in recurra.nn.Recurrent; their input has them as its last features"
            )
        try:
            _ = found or cell.program(**self._options())
        except InputError as error:
            found.append(str(error))
        return found

    def _options(self) -> dict[str, Any]:
        """Options of the cell, where they are not the defaults of every cell."""
        options: dict[str, Any] = {"activation": self.activation, "norm": self.layer_norm}
        if self.peephole:
            options["peephole"] = True
        if self.projection:
            options["projection"] = True
        if self.reset != "after":
            options["reset"] = self.reset
        return {**options, **self._further()}

    def _further(self) -> dict[str, Any]:
        """Options of the cell that have no setting of their own; InputError for what is none."""
        found: dict[str, Any] = {}
        for item in (self.cell_options or "").split():
            name, equals, value = item.partition("=")
            if not equals or name in (*_SWITCHES.values(), "reset", "bias", "activation"):
                raise InputError(
                    f"cell_options: expected name=value of the cell's further options, received "
                    f"{brief(item)}"
                )
            found[name] = value  # numbers as texts, too: the cell reads them
        return found

    def architecture(self) -> Architecture:
        """What running the weights needs to know."""
        options = self._options()
        rates = find(self.cell).rates(self.zoneout)
        return Architecture(
            self.cell, self.layers, self.residual, rates, options, self.is_bidirectional
        )

    def check_precision(self, device: str) -> None:
        """Raise InputError where a device, such as "cpu", has no products of that precision."""
        if self.precision == "float32":
            return
        missing = native.without_half(plain(self.architecture().program))
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
            "options": {
                **({"reset": self.reset} if "reset" in find(self.cell).options else {}),
                **self._further(),
            },
            "recurrent_dropout": self.recurrent_dropout,
            "zoneout": self.zoneout,
            "weight_drop": self.weight_drop,
            "residual": self.residual,
            "learn_initial_state": self.learn_initial_state,
            "init": self.init,
            "precision": self.precision,
        }
