"""Arrays of an `.npz` file, with their sizes checked before memory is taken. No pickle."""

import io
import lzma
import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.lib import format as npy

from recurra.data.cells import GROWTH, SMALL
from recurra.errors import InputError


def read_arrays(data: bytes, path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Those of the arrays `names` that a file has; others are not unpacked.

    Raises:
        InputError: the file is damaged, holds objects, or grows beyond what its size makes likely.
    """
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            for entry in file.infolist():
                name = entry.filename.removesuffix(".npy")
                if name not in names:
                    continue
                if entry.file_size > max(SMALL, GROWTH * len(data)):
                    raise ValueError(f"{name} takes {entry.file_size:,} bytes when it is unpacked")
                found[name] = _array(file.read(entry), name)
    except (ValueError, SyntaxError, TypeError, OSError, EOFError, NotImplementedError) as error:
        raise InputError(f"{path}: not an .npz file that can be read: {_line(error)}") from None
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError) as error:
        raise InputError(f"{path}: not an .npz file that can be read: {_line(error)}") from None
    except (TokenError, UnicodeError, KeyError, MemoryError) as error:
        raise InputError(f"{path}: not an .npz file that can be read: {_line(error)}") from None
    return found


def _array(data: bytes, name: str) -> np.ndarray:
    """The array of one member; ValueError where its header says more than there is."""
    stream = io.BytesIO(data)
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} has the version {version} of its format")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects: save numbers, or labels as text")
    size = math.prod(shape) * dtype.itemsize
    rest = data[stream.tell() :]
    if size != len(rest) or min(shape, default=0) < 0:
        raise ValueError(f"{name} has {len(rest):,} bytes where {dtype} {shape} takes {size:,}")
    return np.frombuffer(rest, dtype).reshape(shape, order="F" if fortran else "C")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
