"""Archives of strangers, read in memory: what they unpack to is bounded by how large they are."""

import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from recurra.bounded import Counted, limit, may_unpack_to, open_regular, read_at_most

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "lzma"}


class ArchiveError(ValueError):
    """What is wrong with an archive, in a few words, without its name."""


def npz_arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file by name; ArchiveError for what is none, or is too large."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            left = may_unpack_to(len(data))
            arrays = {}
            for entry in file.infolist():
                if not entry.filename.endswith(".npy"):
                    continue
                left -= entry.file_size
                if left < 0:
                    raise ArchiveError(
                        f"unpacks to more than the {may_unpack_to(len(data)):,} bytes that are "
                        "allowed for its size (RECURRA_LIMIT_EXPANSION changes that)"
                    )
                with file.open(entry) as member:
                    raw = read_at_most(member, entry.file_size, "unpacked")
                arrays[entry.filename.removesuffix(".npy")] = _array(raw, entry.filename)
            return arrays
    except MemoryError:
        raise ArchiveError("there is not enough memory for its arrays") from None
    # What zipfile raises: KeyError and RuntimeError for a broken or encrypted member,
    # NotImplementedError (a RuntimeError) for a way of packing that it does not know.
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise ArchiveError(str(error)) from None
    except (KeyError, RuntimeError, UnicodeError) as error:
        raise ArchiveError(str(error)) from None


def _array(raw: bytes, name: str) -> np.ndarray:
    """One `.npy`, whose header is held against its size before anything is allocated."""
    file = io.BytesIO(raw)
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ArchiveError(f"{name}: an unknown version {version} of .npy")
        shape, turned, dtype = read(file)
    except (ValueError, TypeError, EOFError, SyntaxError, RecursionError, TokenError) as error:
        told = str(error).splitlines()[0] if str(error) else "damaged"
        raise ArchiveError(f"{name}: no .npy that can be read: {told[:200]}") from None
    if dtype.hasobject:
        raise ArchiveError(f"{name}: holds Python objects, which are never loaded: save it as text")
    size, volume = dtype.itemsize, dtype.itemsize
    for axis in shape:
        size, volume = size * axis, volume * (axis or 1)
    if len(shape) > 32 or min(shape, default=0) < 0 or volume >= 1 << 63:
        raise ArchiveError(f"{name}: no array can have its shape")
    if size != len(raw) - file.tell() or not dtype.itemsize:
        raise ArchiveError(
            f"{name}: {dtype} of shape {shape} takes {size:,} bytes, and there are "
            f"{len(raw) - file.tell():,}"
        )
    found = np.frombuffer(raw, dtype, offset=file.tell()).copy()
    return found.reshape(shape[::-1]).transpose() if turned else found.reshape(shape)


def tar_members(path: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """The regular members with these suffixes, in a tar archive packed in any way or none.

    They are never unpacked to disk, whatever their names. ArchiveError; OSError.
    """
    with open_regular(path) as raw:
        head = raw.peek(8)
        size = raw.seek(0, io.SEEK_END)
        raw.seek(0)
        if size > limit("unpacked"):
            raise ArchiveError(
                f"longer than the {limit('unpacked'):,} bytes that are read "
                "(RECURRA_LIMIT_UNPACKED changes that)"
            )
        packed = next((way for magic, way in _MAGIC.items() if head.startswith(magic)), None)
        stream = _unpacked(raw, packed)
        most = may_unpack_to(size) if packed else size
        try:
            counted: Any = Counted(stream, most + (1 << 20))  # the padding at the end
            with tarfile.open(fileobj=counted, mode="r|") as file:
                for member in file:
                    if member.isreg() and member.name.lower().endswith(suffixes):
                        yield member.name.removeprefix("./"), _member(file, member, most)
        except MemoryError:
            raise ArchiveError("there is not enough memory for it") from None
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
            raise ArchiveError(str(error)) from None


def _member(file: tarfile.TarFile, member: tarfile.TarInfo, most: int) -> bytes:
    if member.issparse():
        raise ArchiveError(f"{member.name[:80]!r} is a file with holes: pack it whole")
    if member.size > most:
        raise EOFError("unexpected end of data")
    part = file.extractfile(member)
    assert part is not None
    content = read_at_most(part, member.size, "unpacked")
    if len(content) < member.size:
        raise EOFError("unexpected end of data")
    return content


def _unpacked(raw: IO[bytes], packed: str | None) -> IO[bytes]:
    if packed is None:
        return raw
    import importlib

    # gzip, bz2 and lzma have the same `open`; each is loaded where it is needed.
    opened: IO[bytes] = importlib.import_module(packed).open(raw, "rb")
    return opened
