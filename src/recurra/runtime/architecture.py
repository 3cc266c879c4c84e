"""What running recurrent layers needs to know, and their weights by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra import native
from recurra.cells import CellData, CellName, data_of, find, find_program, known
from recurra.cells.graph import Program
from recurra.errors import FormatError, InputError
from recurra.given import brief, reason


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the weights do not say about a model, as its `config.json` has it.

    `equations` is the digest of a program that is not the package's own: a model is not run by a
    cell that has only the name in common with the one that it was trained with. Such a cell is
    written down whole, so that the model runs where its definition is not; `cell` is then the
    `CellName` of what was read.
    """

    cell: str
    layers: int
    residual: bool
    zoneout: tuple[float, ...]
    options: dict[str, Any]  # arguments of `Cell.program`
    bidirectional: bool = False
    equations: str = ""

    @property
    def program(self) -> Program:
        """The cell's program; InputError where it is not defined here, or by other equations."""
        digests = {"meaning": self.equations} if self.equations else {}
        return find_program(self.cell, self.options, digests)

    @classmethod
    def from_json(cls, values: Any) -> "Architecture":
        """Read what `to_json` wrote; FormatError where it cannot be that."""
        own = carried_cell(values)
        try:
            made = cls(
                cell=str(values["cell"]) if own is None else own,
                layers=int(values["layers"]),
                residual=bool(values["residual"]),
                zoneout=tuple(float(rate) for rate in values["zoneout"]),
                options=dict(values["options"]),
                bidirectional=bool(values.get("bidirectional", False)),
                equations=str(values.get("equations", "")),
            )
            states = made.program.states
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(
                f'config.json, "architecture": {reason(error)}: restore the file from a copy'
            ) from error
        if made.layers < 1:
            raise FormatError(
                f"config.json: expected layers from 1 on, received {made.layers}: restore the "
                "file from a copy"
            )
        if len(made.zoneout) != len(states) or not all(0 <= rate < 1 for rate in made.zoneout):
            raise FormatError(
                f"config.json: expected {len(states)} zoneout rates in [0, 1), "
                f"received {list(made.zoneout)}: restore the file from a copy"
            )
        return made

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        program = self.program
        own: dict[str, Any] = {}
        if not native.built_in(program):
            data = data_of(find(self.cell), program)
            own = {"equations": program.meaning(), "program": data.to_json()}
        return {
            "cell": str(self.cell),
            "layers": self.layers,
            "residual": self.residual,
            "zoneout": list(self.zoneout),
            "options": dict(self.options),
            **({"bidirectional": True} if self.bidirectional else {}),
            **own,
        }


def carried_cell(values: Any) -> CellName | None:
    """The cell that an architecture written as JSON brings along; None where it brings none.

    Also of an architecture of several parts, as an encoder and a decoder, which have one cell.

    Raises:
        FormatError: it is no cell, or its name stands for other equations here.
    """
    if not isinstance(values, Mapping):
        return None
    if "program" in values:
        where = 'config.json, "architecture", "program"'
        data = CellData.from_json(values["program"], where)
        if data.name != values.get("cell"):
            raise FormatError(
                f"{where}: expected the cell {brief(values.get('cell'))}, received {data.name!r}"
            )
        try:
            return CellName(known(data, "config.json"))
        except InputError as error:
            raise FormatError(str(error)) from error
    parts = [carried_cell(part) for part in values.values() if isinstance(part, Mapping)]
    return next((part for part in parts if part is not None), None)


_LARGEST = float(np.finfo(np.float32).max)


class Weights:
    """Tensors by name, with errors that say which is missing or misshapen.

    Raises:
        FormatError: one is not of float32, or of float64 within its range: what is computed of it
            would be no number.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray]) -> None:
        self._tensors = tensors
        for name, tensor in tensors.items():
            if tensor.dtype not in (np.float32, np.float64):
                raise FormatError(
                    f"model.safetensors, {name}: expected weights of float32, "
                    f"received {tensor.dtype}: restore the file from a copy"
                )
            wide = tensor.dtype == np.float64 and tensor.size > 0
            if wide and max(-tensor.min(), tensor.max()) > _LARGEST:
                raise FormatError(
                    f"model.safetensors, {name}: expected weights within ±{_LARGEST:.2g}, as "
                    f"float32 has them, received one of {max(-tensor.min(), tensor.max()):.2g}: "
                    "restore the file from a copy"
                )

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of the tensor of that name; (0, 0) where there is none, which `get` refuses."""
        found = self._tensors.get(name)
        return (0, 0) if found is None else (*found.shape, 0, 0)

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """The tensor of that name, of that shape (None: any matrix); FormatError if it is not."""
        if name not in self._tensors:
            raise FormatError(
                f"model.safetensors: expected a tensor {name!r}; there is none: restore the file "
                "from a copy"
            )
        found = self._tensors[name]
        if found.shape != (shape or found.shape) or (shape is None and found.ndim != 2):
            raise FormatError(
                f"model.safetensors, {name}: expected shape {shape or '(·, ·)'}, "
                f"received {found.shape}: restore the file from a copy"
            )
        return found


def layer_weights(
    program: Program, weights: Weights, form: str, features: int
) -> tuple[dict[str, np.ndarray], tuple[int, ...]]:
    """The weights of one layer and direction, and the sizes of its states.

    `form` makes of a parameter's name the tensor's: "rnn.{}_l0".
    """
    if any(p.name == "weight_hh" for p in program.parameters):
        weights.get(form.format("weight_hh"))  # whose shape is the first to be believed
    shapes = [weights.shape(form.format(p.name)) for p in program.parameters]
    hidden, recurrent = program.widths(shapes)
    projected = any(p.name == "weight_hr" for p in program.parameters)
    found = {}
    for parameter in program.parameters:
        shape = parameter.shape(
            gates=len(program.gates),
            inputs=features,
            hidden=hidden,
            projection=recurrent if projected else 0,
        )
        found[parameter.name] = weights.get(form.format(parameter.name), shape)
    return found, (recurrent, *(hidden,) * (len(program.states) - 1))
