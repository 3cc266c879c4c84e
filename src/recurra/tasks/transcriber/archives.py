"""Archives of strangers, read in memory: what they unpack to is bounded by how large they are."""

import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from recurra.bounded import Counted, limit, may_unpack_to, open_regular, read_at_most

_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "lzma"}


class ArchiveError(ValueError):
    """What is wrong with an archive, in a few words, without its name."""


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
