"""Tensors in safetensors files, read strictly.

A file is 8 bytes (length of the header, little-endian), the header (JSON: name → dtype, shape,
data_offsets), and the bytes of the tensors, with no gap. Every rule is checked against the size
of the real file before anything is allocated. https://github.com/huggingface/safetensors
"""

import os
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import FormatError, InputError
from .disk import failure, open_file, write_file
from .foreign import looks_like
from .jsonfile import dump_json, parse_json

HEADER_LIMIT = 1 << 20
AXES_LIMIT = 32  # what every numpy can hold

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("bool"),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_BFLOAT16 = "BF16"  # read only, widened to float32: numpy has no such type


class Extent(NamedTuple):
    """Where a tensor lies: dtype by its name in the format, shape, first byte and one past last."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def write_tensors(
    path: str | Path,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write named arrays (any memory order and byte order) whole or not at all, and durably.

    Raises InputError for a dtype the format lacks, and for what the system refuses.
    """
    path = Path(path)
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    parts: list[bytes | memoryview] = []
    stop = 0
    # Wide types first: then each tensor is aligned to its type.
    for name, array in sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])):
        dtype = array.dtype.newbyteorder("<")
        if name == "__metadata__" or dtype not in _NAMES:
            what = "that name is reserved" if dtype in _NAMES else f"dtype {array.dtype}"
            raise InputError(f"{path}: tensor {name!r} cannot be stored: {what}")
        raw = np.ascontiguousarray(array, dtype=dtype).reshape(-1).view(np.uint8)
        start, stop = stop, stop + raw.size
        header[name] = {
            "dtype": _NAMES[dtype],
            "shape": list(array.shape),
            "data_offsets": [start, stop],
        }
        parts.append(raw.data)
    text = dump_json(header, where=str(path)).rstrip()
    text += b" " * (-len(text) % 8)
    if len(text) > HEADER_LIMIT:
        raise InputError(
            f"{path}: the names and shapes of {len(tensors):,} tensors take {len(text):,} bytes, "
            f"more than the {HEADER_LIMIT:,} that are read back: use fewer or shorter names"
        )
    write_file(path, [len(text).to_bytes(8, "little"), text, *parts])


def read_tensors(
    path: str | Path, *, header_limit: int = HEADER_LIMIT, finite: bool = False
) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file, by name, in the order of the file.

    They are writable views of one block of memory, read from the file, not mapped: a file changed
    in place later can then neither change a loaded model nor kill its process. bfloat16 is widened
    to float32. `finite`: refuse NaN and infinity.
    Raises FormatError naming the file and the tensor for whatever breaks a rule.
    """
    path = Path(path)
    with open_file(path) as file:
        try:
            extents, begin, _ = _read_header(file, path, header_limit)
            size = os.fstat(file.fileno()).st_size - begin
            block = np.empty(size, np.uint8)
            if file.readinto(block.data) != size:
                raise FormatError(
                    f"{path}: grew shorter while it was read: try again when nothing writes it"
                )
        except OSError as error:
            raise failure(path, error) from error
    tensors = {name: _view(block, extent, name, path) for name, extent in extents.items()}
    if finite:
        for name, array in tensors.items():
            check_finite(array, name, path)
    return tensors


def read_metadata(path: str | Path, *, header_limit: int = HEADER_LIMIT) -> dict[str, str]:
    """What the writer of a safetensors file noted in it. Raises FormatError."""
    path = Path(path)
    with open_file(path) as file:
        try:
            return _read_header(file, path, header_limit)[2]
        except OSError as error:
            raise failure(path, error) from error


def check_finite(array: np.ndarray, name: str, path: Path) -> None:
    """FormatError where a tensor of a file holds NaN or infinity."""
    # Both carry NaN through, and neither allocates an array of the same size.
    if array.dtype.kind == "f" and array.size:
        extremes = np.array([array.min(), array.max()])
        if not np.isfinite(extremes).all():
            raise FormatError(
                f"{path}: tensor {name!r} holds NaN or infinity: train the model anew"
            )


def _read_header(
    file: BufferedReader, path: Path, limit: int
) -> tuple[dict[str, Extent], int, dict[str, str]]:
    """The extents by name in the order of the data, where the data begins, and the metadata."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(300)
    length = int.from_bytes(head[:8], "little")
    if len(head) < 10 or length < 2 or length > min(limit, size - 8) or head[8:9] != b"{":
        raise FormatError(_not_ours(path, head, length, size, limit))
    file.seek(8)
    fields = parse_json(file.read(length), f"{path}: header", depth=4)
    metadata = fields.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FormatError(
            f"{path}: expected __metadata__ to be an object of strings, found another kind: "
            "restore "
            "the file from a copy"
        )
    extents = {name: _extent(entry, name, path) for name, entry in fields.items()}
    extents = dict(sorted(extents.items(), key=lambda item: (item[1].start, item[1].stop)))
    end = 0
    for name, extent in extents.items():
        if extent.start != end:
            what = "overlaps the one before" if extent.start < end else "leaves a gap"
            raise FormatError(
                f"{path}: tensor {name[:80]!r} {what}: starts at {extent.start}, not {end}: "
                "restore the file from a copy"
            )
        end = extent.stop
    if end != size - 8 - length:
        last = f"tensor {next(reversed(extents))[:80]!r}" if extents else "its header"
        raise FormatError(
            f"{path}: holds {size - 8 - length:,} bytes of data, but {last} says they end at "
            f"{end:,}: cut short or not written by a safetensors writer"
        )
    return extents, 8 + length, metadata


def _not_ours(path: Path, head: bytes, length: int, size: int, limit: int) -> str:
    look = looks_like(head)
    if look:
        return (
            f"{path}: not a safetensors file: it looks like {look}; pickles and other foreign "
            "files are never loaded: convert it to safetensors where it was made"
        )
    if not size:
        return f"{path}: empty, a safetensors file was expected"
    if limit < length <= size - 8:
        return f"{path}: its header has {length:,} bytes, more than the {limit:,} that are allowed"
    return (
        f"{path}: not a safetensors file, or cut short: a header of {length:,} bytes is announced "
        f"in a file of {size:,}"
    )


def _extent(entry: object, name: str, path: Path) -> Extent:
    """One tensor's entry in the header, with every rule about it alone checked."""

    def wrong(what: str) -> FormatError:
        return FormatError(f"{path}: tensor {name[:80]!r}: {what}: restore the file from a copy")

    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise wrong("expected dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or (dtype not in DTYPES and dtype != _BFLOAT16):
        known = ", ".join((*DTYPES, _BFLOAT16))
        raise wrong(f"unknown dtype {str(dtype)[:80]!r}, known are {known}")
    if not _naturals(shape) or len(shape) > AXES_LIMIT:
        raise wrong(f"the shape is not a list of at most {AXES_LIMIT} sizes")
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise wrong("data_offsets are not the first byte and one past the last")
    # An axis of length 0 makes the product 0 and hides the others, which numpy still multiplies.
    volume, product = _itemsize(dtype), _itemsize(dtype)
    for axis in shape:
        product *= axis
        volume *= axis or 1
        if volume >= 1 << 63:
            raise wrong("the product of the shape exceeds 63 bits")
    if product != offsets[1] - offsets[0]:
        raise wrong(
            f"{dtype} of shape {shape} takes {product} bytes, "
            f"data_offsets give {offsets[1] - offsets[0]}"
        )
    return Extent(dtype, tuple(shape), offsets[0], offsets[1])


def _naturals(value: object) -> bool:
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 1 << 63 for v in value)


def _itemsize(dtype: str) -> int:
    return 2 if dtype == _BFLOAT16 else DTYPES[dtype].itemsize


def _view(block: np.ndarray, extent: Extent, name: str, path: Path) -> np.ndarray:
    raw = block[extent.start : extent.stop]
    if extent.dtype == "BOOL" and raw.size and raw.max() > 1:
        raise FormatError(
            f"{path}: tensor {name!r}: a BOOL byte is neither 0 nor 1: restore the file from a copy"
        )
    if extent.dtype == _BFLOAT16:
        array = (raw.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    else:
        array = raw.view(DTYPES[extent.dtype])
    if not array.flags.aligned:  # only in files by other writers
        array = array.copy()
    return array.reshape(extent.shape)
