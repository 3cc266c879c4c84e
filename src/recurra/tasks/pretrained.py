"""Begin from a language model: its tokenizer, its embedding and its layers (ULMFiT; Howard & Ruder
2018). Needs no torch."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.runtime.architecture import carried_cell
from recurra.storage import ModelFiles, read_model
from recurra.tasks.network import NetworkConfig
from recurra.text import UNK, Tokenizer

C = TypeVar("C", bound=NetworkConfig)

#: What the weights of layers are for; noise in training is for the new task to choose.
_SHAPE = (
    "cell",
    "layers",
    "hidden",
    "zoneout",
    "layer_norm",
    "peephole",
    "projection",
    "reset",
    "activation",
    "residual",
    "learn_initial_state",
)


def read_pretrained(directory: str) -> ModelFiles:
    """Read the language model to begin from.

    Raises:
        InputError: there is none at that path, or it has no embedding to carry over.
        FormatError: it is damaged.
    """
    files = read_model(directory)
    if files.config["task"] != "language_model" or files.tokenizer is None:
        raise InputError(
            f"pretrained: {files.path}: expected a language model, found a model of the task "
            f"{files.config['task']!r}"
        )
    if "embedding.weight" not in files.tensors:
        raise InputError(
            f"pretrained: {files.path}: this language model reads one-hot vectors and has no "
            "embedding to begin from: train one with an embedding"
        )
    return files


def adopt(config: C, files: ModelFiles) -> C:
    """The settings of a task, with the tokenizer and the layers of the language model.

    Layers read in one direction, since a language model's do, and words without their characters.

    Raises:
        InputError: the task reads words, and the language model reads something else.
    """
    model = files.config.get("model")
    if not isinstance(model, Mapping) or not {"tokenizer", *_SHAPE} <= model.keys():
        missing = sorted({"tokenizer", *_SHAPE} - set(model if isinstance(model, Mapping) else ()))
        raise FormatError(
            f'{files.path}: config.json, "model": expected the settings of its layers, found none '
            f"of {', '.join(missing)}: restore the file from a copy"
        )
    wanted: dict[str, Any] = {name: model[name] for name in _SHAPE}
    own = carried_cell(files.config.get("architecture"))
    wanted |= {"cell_options": model.get("cell_options"), **({"cell": own} if own else {})}
    wanted |= {
        "tokenizer": model["tokenizer"],
        "vocab_size": None,
        "embedding": files.tensors["embedding.weight"].shape[1],
        "bidirectional": False,
        "subwords": 0,
        "characters": 0,
    }
    known = config.names()
    if "tokenizer" not in known and model["tokenizer"] != "word":
        raise InputError(
            f"pretrained: {files.path}: expected a language model of words, as the task reads "
            f"them, found one of tokens of the kind {model['tokenizer']!r}"
        )
    return replace(config, **{n: v for n, v in wanted.items() if n in known}).validate()


def words_of(files: ModelFiles) -> tuple[str, ...]:
    """The words of a language model in the order of its embedding, the first for unknown ones.

    Raises:
        FormatError: it has no token for unknown words, or that is not the first.
    """
    assert files.tokenizer is not None
    tokenizer = Tokenizer.from_json(files.tokenizer)
    if tokenizer.unk_id != 0:
        raise FormatError(
            f"{files.path}: tokenizer.json: expected {UNK} as the first token: restore the file "
            "from a copy"
        )
    return tuple(tokenizer.token(id) for id in range(len(tokenizer)))


def carried_over(files: ModelFiles) -> dict[str, np.ndarray]:
    """The weights that a new task begins with: all but the output layer's."""
    return {name: t for name, t in files.tensors.items() if not name.startswith("head.")}


def weights_sha256(files: ModelFiles) -> str:
    """The hash that tells weights apart."""
    found = hashlib.sha256()
    for name in sorted(files.tensors):
        found.update(name.encode())
        found.update(np.ascontiguousarray(files.tensors[name]).tobytes())
    return found.hexdigest()
