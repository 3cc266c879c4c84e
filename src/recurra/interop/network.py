"""What an export writes, as numbers alone: recurrent layers, embedding, output layer."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from recurra.cells import Program
from recurra.cells.matrices import plain
from recurra.errors import InputError
from recurra.matrices import plain_parameters
from recurra.runtime import Architecture
from recurra.storage import ModelFiles, dump_json, read_model
from recurra.tasks.language_model.runtime import RuntimeLM

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Network:
    """Recurrent layers, and around them, where it is a language model, embedding and output layer.

    Attributes:
        program: the cell, over plain matrices.
        weights: by layer and direction, parameters by the names of the program.
        initial: per state what it starts from (L * D, R or H), or None for zeros.
        keep: per state the share of its old value that stays (zoneout), or empty.
        residual: layers above the first add their input to their output.
        reverse: the one direction runs from the end to the start.
        merge: what becomes of two directions: `concat`, `sum`, `mul` or `ave`.
        batch_first: inputs and outputs are (B, T, ·) instead of (T, B, ·).
        vocabulary: V, where the input is tokens; 0 where it is features.
        embedding: (V, E), or None for one-hot input.
        head: (V, D * R), or None.
        head_bias: (V,), or None.
        tied: whether the head is the embedding.
        notes: what else a reader of the file may want to know, by name.
        features: I, for a cell that reads nothing of its input.
        further: how many of the features are further inputs, which every layer reads.
    """

    program: Program
    weights: tuple[tuple[Arrays, ...], ...]
    initial: tuple[np.ndarray | None, ...]
    keep: tuple[float, ...] = ()
    residual: bool = False
    reverse: bool = False
    merge: str = "concat"
    batch_first: bool = False
    vocabulary: int = 0
    embedding: np.ndarray | None = None
    head: np.ndarray | None = None
    head_bias: np.ndarray | None = None
    tied: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)
    features: int = 1
    further: int = 0

    @property
    def directions(self) -> int:
        """D."""
        return len(self.weights[0])

    @property
    def inputs(self) -> int:
        """Features that the first layer reads."""
        first = self.weights[0][0].get("weight_ih")
        return self.features if first is None else int(first.shape[1])

    @property
    def hidden(self) -> int:
        """H."""
        return self._widths()[0]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each state."""
        hidden, recurrent = self._widths()
        return (recurrent, *(hidden,) * (len(self.program.states) - 1))

    def _widths(self) -> tuple[int, int]:
        first = self.weights[0][0]
        return self.program.widths([first[p.name].shape for p in self.program.parameters])

    @property
    def dtype(self) -> np.dtype:
        """Of all the weights."""
        return next(iter(self.weights[0][0].values())).dtype


def describe(model: Any) -> Network:
    """Describe what can be exported.

    Args:
        model: a recurrent layer of `recurra.nn`; a `RecurrentLM` of a language model; a
            trained `LanguageModel`; or the path of a model directory or of a run.

    Raises:
        InputError: it is none of these, or its weights are neither float32 nor float64.
        FormatError: the directory is damaged.
    """
    if isinstance(model, str | Path):
        return _of_files(read_model(model))
    if hasattr(model, "runtime") and hasattr(model, "tokenizer"):
        return _of_files(model.files)
    if _is_language_model(model):
        return _of_module(model)
    if hasattr(model, "all_weights") and hasattr(model, "program"):
        return _of_layer(model)
    raise InputError(
        "expected a recurrent layer of recurra.nn, a language model, or the path of one, "
        f"received {type(model).__name__}: give inputs= with an example, where it is a torch module"
    )


def _is_language_model(model: Any) -> bool:
    """Whether it is our module; nobody has one who did not import it."""
    home = sys.modules.get("recurra.tasks.language_model.network")
    return home is not None and isinstance(model, home.RecurrentLM)


def _of_layer(layer: Any) -> Network:
    program = layer.program
    names = [p.name for p in program.parameters]
    given = [dict(zip(names, map(_array, row), strict=True)) for row in layer.all_weights]
    flat = [plain_parameters(program, one) for one in given]
    wide = layer.num_directions
    learnt = [getattr(layer, f"initial_{state}") for state in layer.cell.states]
    sizes = [(size, given[0][names[0]].dtype) for size in layer.state_sizes]
    return Network(
        plain(program),
        tuple(tuple(flat[k : k + wide]) for k in range(0, len(flat), wide)),
        _starts(program, [None if s is None else _array(s) for s in learnt], len(flat), sizes),
        keep=layer.zoneout if any(layer.zoneout) else (),
        residual=layer.residual,
        reverse=layer.reverse,
        merge=layer.merge,
        batch_first=layer.batch_first,
        features=layer.input_size,
        further=program.further,
    )


def _starts(
    program: Program,
    learnt: Sequence[np.ndarray | None],
    rows: int,
    sizes: Sequence[tuple[int, Any]],
) -> tuple[np.ndarray | None, ...]:
    """What each state starts from, (rows, units): what is learnt, or the cell's; None for zeros."""
    return tuple(
        np.full((rows, size), start, dtype) if given is None and start else given
        for given, start, (size, dtype) in zip(learnt, program.first, sizes, strict=True)
    )


def _of_module(model: Any) -> Network:
    layer = _of_layer(model.rnn)
    embedding = None if model.embedding is None else _array(model.embedding.weight)
    return replace(
        layer,
        batch_first=True,
        vocabulary=model.vocabulary,
        embedding=embedding,
        head=_array(model.head.weight),
        head_bias=_array(model.head.bias),
        tied=model.tied,
    )


def _of_files(files: ModelFiles) -> Network:
    if files.config["task"] != "language_model":
        raise InputError(
            f"{files.path}: expected a language model, received a model of the task "
            f"{files.config['task']!r}, of which no ONNX file can be written"
        )
    architecture, tensors = Architecture.from_json(files.config.get("architecture")), files.tensors
    RuntimeLM(architecture, tensors)  # which says of every weight what is missing or misshapen
    program = architecture.program
    names = [p.name for p in program.parameters]
    given = [{n: tensors[f"rnn.{n}_l{k}"] for n in names} for k in range(architecture.layers)]
    flat = [plain_parameters(program, one) for one in given]
    hidden, recurrent = program.widths([given[0][n].shape for n in names])
    sizes = [(size, np.float32) for size in (recurrent, *[hidden] * (len(program.states) - 1))]
    learnt = [tensors.get(f"rnn.initial_{state}") for state in program.states]
    embedding, head = tensors.get("embedding.weight"), tensors.get("head.weight")
    tied = head is None
    notes = {"task": str(files.config["task"])}
    if files.tokenizer is not None:
        notes["tokenizer"] = dump_json(files.tokenizer).decode()
    return Network(
        plain(program),
        tuple((one,) for one in flat),
        _starts(program, learnt, len(flat), sizes),
        keep=architecture.zoneout if any(architecture.zoneout) else (),
        residual=architecture.residual,
        batch_first=True,
        vocabulary=len(tensors["head.bias"]),
        embedding=embedding,
        head=embedding if tied else head,
        head_bias=tensors["head.bias"],
        tied=tied,
        notes=notes,
    )


def _array(tensor: Any) -> np.ndarray:
    name = str(tensor.dtype).removeprefix("torch.")
    if name not in ("float32", "float64"):
        raise InputError(f"expected weights of float32 or float64, received {name}: cast it first")
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array
