"""What a comparison has finished, kept in its directory, so that it can go on after any end."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recurra.errors import FormatError, InputError
from recurra.storage import make_directory, read_json, write_json
from recurra.storage.disk import open_file, refusals_named

NAME = "finished.json"
_FORMAT, _VERSION = "recurra-comparison", 1


class Finished:
    """The rows of models that are trained and measured, each with the budget that it had.

    They are of one comparison: the same data and settings, by their hashes.
    """

    def __init__(self, out: Path, identity: Mapping[str, Any], *, fresh: bool = False) -> None:
        """Read what `out` holds, or begin.

        Raises:
            InputError: the directory holds a comparison that differs.
            FormatError: its file is damaged.
        """
        self.path, self.identity = out / NAME, dict(identity)
        self._rows: dict[str, dict[str, Any]] = {}
        with refusals_named(out):
            make_directory(out)
        if fresh or not self.path.exists():
            return
        held = read_json(self.path)
        if not isinstance(held, dict) or held.get("format") != _FORMAT:
            raise FormatError(
                f"{self.path}: expected what a comparison wrote, found another file: choose "
                "another --out"
            )
        dicts = (held.get("identity"), held.get("models"))
        if held.get("version") != _VERSION or not all(isinstance(d, dict) for d in dicts):
            raise FormatError(f"{self.path}: not laid out as this version writes it: use --fresh")
        before = held["identity"]
        names = sorted(before.keys() | self.identity.keys())
        different = [name for name in names if before.get(name) != self.identity.get(name)]
        if different:
            shown = "; ".join(
                f"{name} {_show(before.get(name))} there, {_show(self.identity.get(name))} now"
                for name in different
            )
            raise InputError(
                f"{out}: holds a comparison that differs: {shown}: use the same, start over with "
                "--fresh, or choose another --out"
            )
        self._rows = held["models"]

    def get(self, model: str, budget: Mapping[str, Any]) -> dict[str, Any] | None:
        """The row of a model that was trained with this budget; None where there is none.

        Raises:
            FormatError: the row is damaged.
        """
        row = self._rows.get(model)
        if row is None:
            return None
        if not isinstance(row, dict) or not isinstance(row.get("result"), dict):
            raise FormatError(f"{self.path}: the row of {model} is damaged: use --fresh")
        if row.get("budget") != dict(budget):
            return None
        found: dict[str, Any] = row["result"]
        return found

    def put(self, model: str, budget: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Keep a row, before anything else is begun. Raises InputError."""
        self._rows[model] = {"budget": dict(budget), "result": dict(result)}
        head = {"format": _FORMAT, "version": _VERSION, "identity": self.identity}
        write_json(self.path, {**head, "models": self._rows})


def digest(value: Any, name: str) -> str:
    """The SHA-256 of data in any form that tasks read: of files their bytes, else the values.

    Raises:
        InputError: data that have no such value.
    """
    hashed = hashlib.sha256()
    _update(hashed, value, name)
    return hashed.hexdigest()


def _update(hashed: Any, value: Any, name: str) -> None:
    if isinstance(value, str | Path) and _exists(value):
        _update_file(hashed, Path(value))
    elif isinstance(value, str | bytes | int | float | bool | None | Path):
        hashed.update(f"{type(value).__name__}:{value!r};".encode("utf-8", "surrogatepass"))
    elif isinstance(value, np.ndarray) and value.dtype != object:
        hashed.update(f"array:{value.dtype}{value.shape};".encode())
        hashed.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, np.ndarray):
        _update(hashed, value.tolist(), name)
    elif isinstance(value, np.generic):
        _update(hashed, value.item(), name)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _update(hashed, {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, name)
    elif isinstance(value, Mapping):
        hashed.update(f"mapping:{len(value)};".encode())
        for key, item in value.items():
            _update(hashed, (str(key), item), name)
    elif isinstance(value, Sequence):
        hashed.update(f"sequence:{len(value)};".encode())
        for item in value:
            _update(hashed, item, name)
    elif hasattr(value, "to_csv"):  # a DataFrame
        hashed.update(value.to_csv().encode())
    else:
        raise InputError(
            f"compare: {name}: expected files, lists, arrays or tables where out is to keep what "
            f"is finished, received {type(value).__name__}: give one of these, or no out"
        )


def _exists(path: str | Path) -> bool:
    try:
        return len(str(path)) < 4096 and Path(path).exists()
    except (OSError, ValueError):
        return False


def _update_file(hashed: Any, path: Path) -> None:
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        hashed.update(f"file:{file.name};".encode("utf-8", "surrogatepass"))
        with refusals_named(file), open_file(file) as opened:
            while part := opened.read(1 << 20):
                hashed.update(part)


def _show(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:20]}…"
