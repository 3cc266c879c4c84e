"""Where a stream stands, as a value: in memory, and as a bounded, hashed file."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from recurra.bounded import limit
from recurra.errors import FormatError, InputError
from recurra.given import brief, path_of
from recurra.storage import (
    NewerFormatError,
    dump_json,
    parse_json,
    read_metadata,
    read_tensors,
    write_tensors,
)

FORMAT, VERSION = "recurra-stream", 1
#: The JSON values among the arrays of a file.
_VALUES = "values"


@dataclass(frozen=True, eq=False)
class StreamState:
    """Where a stream stands. Immutable: two that are equal go on alike.

    Attributes:
        kind: what the stream reads with, as `language_model`.
        model: what tells that model from others.
        arrays: by name; read-only copies.
        values: JSON values by name.
    """

    kind: str
    model: str
    arrays: Mapping[str, np.ndarray]
    values: Mapping[str, Any]

    def __post_init__(self) -> None:
        kept = {}
        for name, array in self.arrays.items():
            kept[name] = np.array(array, order="C")
            kept[name].flags.writeable = False
        object.__setattr__(self, "arrays", MappingProxyType(kept))
        # What JSON makes of them: nobody else holds these lists.
        values = parse_json(dump_json(dict(self.values), where="state"), "state")
        object.__setattr__(self, "values", MappingProxyType(values))

    @cached_property
    def sha256(self) -> str:
        """The hash of everything."""
        found = hashlib.sha256()
        for part in (FORMAT, self.kind, self.model):
            found.update(part.encode() + b"\0")
        found.update(dump_json(dict(sorted(self.values.items())), where="state"))
        for name, array in sorted(self.arrays.items()):
            found.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
            found.update(array.tobytes())
        return found.hexdigest()

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays and of the values as JSON."""
        return sum(array.nbytes for array in self.arrays.values()) + len(self._json)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StreamState) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"<StreamState: {self.kind}, {self.nbytes:,} bytes, {self.sha256[:12]}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.kind, self.model, dict(self.arrays), dict(self.values))

    def save(self, path: str | Path) -> Path:
        """Write a file of its own, whole or not at all; returns its path.

        Raises:
            InputError: it is larger than what `load` takes, or cannot be written there.
        """
        path = path_of(path, "save", "the path of a file", new=True)
        most = limit("stream")
        if self.nbytes > most:
            raise InputError(
                f"{path}: the state takes {self.nbytes:,} bytes, more than the {most:,} that are "
                "read back: raise RECURRA_LIMIT_STREAM here and there"
            )
        head = {"format": FORMAT, "version": str(VERSION), "kind": self.kind, "model": self.model}
        values = np.frombuffer(self._json, np.uint8)
        arrays = {**{f"array.{name}": array for name, array in self.arrays.items()}}
        write_tensors(path, {**arrays, _VALUES: values}, {**head, "sha256": self.sha256})
        return path

    @classmethod
    def load(cls, path: str | Path) -> "StreamState":
        """Read what `save` wrote.

        Raises:
            InputError: it cannot be read.
            FormatError: it is damaged, foreign, too large, or from a newer version.
        """
        path = path_of(path, "load", "the path of a saved state")
        most = limit("stream") + (1 << 21)
        metadata = read_metadata(path)
        if metadata.get("format") != FORMAT:
            raise FormatError(
                f"{path}: expected a state that StreamState.save wrote, received another file"
            )
        if metadata.get("version") != str(VERSION):
            raise NewerFormatError(
                f"{path}: a state of version {brief(metadata.get('version'))}, this program reads "
                f"{VERSION}: upgrade"
            )
        if path.stat().st_size > most:
            raise FormatError(
                f"{path}: expected at most {most:,} bytes, received more: raise "
                "RECURRA_LIMIT_STREAM if it comes from a source you trust"
            )
        arrays = read_tensors(path)
        text = arrays.pop(_VALUES, np.zeros(0, np.uint8))
        values = parse_json(text.astype(np.uint8).tobytes(), f"{path}: values", depth=16)
        if not isinstance(values, dict):
            raise FormatError(f"{path}: values: expected an object: restore the file from a copy")
        named = {name.removeprefix("array."): array for name, array in arrays.items()}
        made = cls(metadata.get("kind", ""), metadata.get("model", ""), named, values)
        if made.sha256 != metadata.get("sha256"):
            raise FormatError(
                f"{path}: its bytes are not those that were written: restore the file from a copy"
            )
        return made

    @cached_property
    def _json(self) -> bytes:
        return dump_json(dict(self.values), where="state")


class Saved:
    """What a state holds, by name; FormatError for what is missing or is not what it should be."""

    def __init__(self, state: StreamState) -> None:
        self._state = state

    def array(self, name: str, shape: tuple[int | None, ...], dtype: Any) -> np.ndarray:
        """An array of that dtype and shape (None: any length), with finite numbers; the dtype
        `float` stands for float32 and float64."""
        found = self._state.arrays.get(name)
        kinds = (np.float32, np.float64) if dtype is float else (np.dtype(dtype),)
        right = (
            found is not None
            and found.dtype in kinds
            and found.ndim == len(shape)
            and all(want is None or want == n for n, want in zip(found.shape, shape, strict=True))
        )
        if not right or found is None:
            wanted = tuple("·" if n is None else n for n in shape)
            raise FormatError(
                f"state: {name}: expected {np.dtype(kinds[0])} of shape "
                f"({', '.join(map(str, wanted))}), received "
                f"{'nothing' if found is None else f'{found.dtype} of shape {found.shape}'}: take "
                "it anew"
            )
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise FormatError(f"state: {name}: expected finite numbers: take it anew")
        return found

    def value(self, name: str) -> Any:
        """A JSON value."""
        if name not in self._state.values:
            raise FormatError(f"state: expected {name!r}, received none: take it anew")
        return self._state.values[name]

    def has(self, name: str) -> bool:
        """Whether there is an array of that name."""
        return name in self._state.arrays

    def whole(self, name: str, least: int, most: int = 1 << 62) -> int:
        """A whole number in a range."""
        found = self.value(name)
        if type(found) is not int or not least <= found <= most:
            raise self.wrong(name, f"a whole number from {least} to {most}")
        return found

    def number(self, name: str) -> float:
        """A finite number."""
        found = self.value(name)
        if type(found) not in (int, float) or not math.isfinite(found):
            raise self.wrong(name, "a number")
        return float(found)

    def text(self, name: str) -> str:
        """A text."""
        found = self.value(name)
        if not isinstance(found, str):
            raise self.wrong(name, "a text")
        return found

    def flag(self, name: str) -> bool:
        """True or false."""
        found = self.value(name)
        if type(found) is not bool:
            raise self.wrong(name, "true or false")
        return found

    def wrong(self, name: str, expected: str) -> FormatError:
        """The error of a value that is not what was expected."""
        return FormatError(
            f"state: {name}: expected {expected}, received {brief(self._state.values.get(name))}: "
            "take it anew"
        )
