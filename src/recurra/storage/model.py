"""A model directory: data, never code."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..bounded import exists, is_file, is_folder, limit
from ..errors import FormatError, InputError
from ..given import brief
from . import manifest
from .directory import atomic_directory
from .disk import open_file, read_file, write_file
from .foreign import looks_like
from .jsonfile import SIZE_LIMIT, dump_json, read_json
from .tensors import read_metadata, read_tensors, write_tensors

FORMAT = "recurra-model"
VERSION = 1

CONFIG = "config.json"
TENSORS = "model.safetensors"
TOKENIZER = "tokenizer.json"
CARD = "README.md"
BEST = "best"  # the model directory inside a run directory
_KIND = "model"
#: What a configuration says beside what the model is.
_TOLD = ("format", "version", "training")
_ATTEMPTS = 10


@dataclass(frozen=True)
class ModelFiles:
    """What a model directory holds; `path` is the directory it was read from."""

    config: dict[str, Any]
    tensors: dict[str, np.ndarray]
    tokenizer: dict[str, Any] | None
    card: str
    path: Path

    def save(self, directory: str | Path) -> Path:
        """Write all of it as a model directory: see `save_model`."""
        return save_model(
            directory,
            config=self.config,
            tensors=self.tensors,
            tokenizer=self.tokenizer,
            card=self.card,
        )

    @cached_property
    def sha256(self) -> str:
        """The hash of whatever changes an answer: weights, tokenizer, and the configuration but
        for the account of the training."""
        found = hashlib.sha256()
        told = {k: v for k, v in sorted(self.config.items()) if k not in _TOLD}
        for part in (told, {} if self.tokenizer is None else self.tokenizer):
            found.update(dump_json(part, where="model"))
        for name, tensor in sorted(self.tensors.items()):
            found.update(f"{name}\0{tensor.dtype.str}\0{tensor.shape}\0".encode())
            found.update(np.ascontiguousarray(tensor).data.cast("B") if tensor.size else b"")
        return found.hexdigest()


def save_model(
    directory: str | Path,
    *,
    config: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    tokenizer: Mapping[str, Any] | None = None,
    card: str = "",
) -> Path:
    """Write a model directory whole or not at all; an older model there is replaced.

    `config` must say its "task"; format and version are added. `card` is the text of README.md.
    Raises InputError (see `atomic_directory`).
    """
    directory = Path(directory)
    if not isinstance(config.get("task"), str):
        raise InputError(
            f'{directory}: config: expected the name of a "task", received '
            f"{brief(config.get('task'))}"
        )
    head = {"format": FORMAT, "version": VERSION}
    with atomic_directory(directory, kind=_KIND) as folder:
        write_file(folder / CONFIG, [_readable(CONFIG, {**head, **config, **head}, indent=2)])
        write_tensors(folder / TENSORS, tensors, {"format": "np"})
        if tokenizer is not None:
            write_file(folder / TOKENIZER, [_readable(TOKENIZER, tokenizer)])
        # Half of a surrogate pair, as of a name that is not UTF-8, has no bytes of its own.
        write_file(folder / CARD, [card.encode(errors="backslashreplace")])
    return directory


def _readable(name: str, value: Mapping[str, Any], *, indent: int | None = None) -> bytes:
    """JSON that `read_model` will take."""
    data = dump_json(value, indent=indent, where=name)
    if len(data) > SIZE_LIMIT:
        raise InputError(
            f"{name}: {len(data):,} bytes, and the most that is read is {SIZE_LIMIT:,}: use a "
            "smaller vocabulary (vocab_size, min_count)"
        )
    return data


def read_model(directory: str | Path, *, verify: bool = True) -> ModelFiles:
    """Read a model directory, or the best model of a run directory (see the `path` returned).

    `verify` hashes every file against the manifest first; without it a directory edited by hand
    is read. All values must be finite. A model that is replaced meanwhile is read again, so that
    its files always belong together.
    Raises InputError for a wrong path, FormatError for what is damaged, foreign or newer.
    """
    path = _model_directory(Path(directory))
    for _ in range(_ATTEMPTS):
        before = _seal(path)
        try:
            files = _read(path, verify=verify)
        except FormatError:
            if _seal(path) == before:
                raise
        else:
            if _seal(path) == before:
                return files
    raise InputError(f"{path}: changes faster than it can be read: try again")


def _read(path: Path, *, verify: bool) -> ModelFiles:
    sealed = None
    if verify and exists(path / manifest.NAME):
        manifest.read_manifest(path, kind=_KIND)
        read_metadata(path / TENSORS)  # first, to say of a pickle that it is one
        sealed = manifest.verify_manifest(path, kind=_KIND)
    config = _read_config(path / CONFIG)
    if verify and sealed is None:
        raise FormatError(f"{path}: no {manifest.NAME}: copied in part? Copy all of its files")
    names = [name for name in (CONFIG, TENSORS, TOKENIZER, CARD) if exists(path / name)]
    for name in names:
        if sealed is not None and name not in sealed.files:
            raise FormatError(
                f"{path / name}: {manifest.NAME} does not name it: "
                "put there later, so it is not part of the model: remove it"
            )
    tokenizer = read_json(path / TOKENIZER) if TOKENIZER in names else None
    if tokenizer is not None and not isinstance(tokenizer, dict):
        raise FormatError(
            f"{path / TOKENIZER}: expected a JSON object, found {brief(tokenizer)}: restore it "
            "from a "
            "copy"
        )
    card = read_file(path / CARD, limit=16 << 20) if CARD in names else b""
    return ModelFiles(
        config=config,
        tensors=read_tensors(path / TENSORS, finite=True),
        tokenizer=tokenizer,
        card=card.decode("utf-8", "replace"),
        path=path,
    )


def _read_config(path: Path) -> dict[str, Any]:
    config = read_json(path)
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise FormatError(
            f'{path}: expected "format": "{FORMAT}", received another file: give the directory '
            "that "
            "`save` or `train` made"
        )
    manifest.check_version(config.get("version"), VERSION, str(path))
    if not isinstance(config.get("task"), str):
        raise FormatError(
            f'{path}: expected the name of a "task", found {brief(config.get("task"))}: restore '
            "the "
            "file from a copy"
        )
    return config


def _model_directory(path: Path) -> Path:
    """The directory itself, or `best/` in a run directory; InputError where it can be neither."""
    if is_file(path):
        with open_file(path) as file:
            look = looks_like(file.read(300))
        seems = f" (it looks like {look})" if look else ""
        raise InputError(
            f"{path}: is a file{seems}: give the directory that `save` or `train` made"
        )
    if not is_folder(path):
        raise InputError(f"{path}: no such directory: give the one that `save` or `train` made")
    if exists(path / TENSORS):
        return path
    if is_folder(path / BEST):
        return path / BEST
    if is_folder(path / "checkpoints"):
        raise InputError(f"{path}: this run has no {BEST}/ yet: let it reach a first validation")
    if exists(path / manifest.NAME):
        return path  # a model that lost its tensors: the manifest tells which file is missing
    raise InputError(
        f"{path}: expected a model or a run, received a directory without {TENSORS} and {BEST}/: "
        "give the directory that `save` or `train` made"
    )


def _seal(path: Path) -> bytes:
    try:
        return read_file(path / manifest.NAME, limit=limit("manifest"))
    except (FormatError, InputError):
        return b""  # which reading it says
