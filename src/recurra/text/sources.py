"""Where text comes from: plain and gzipped files, folders, standard input, strings."""

from __future__ import annotations

import codecs
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from recurra.bounded import (
    GZIP,
    Counted,
    PackedError,
    Readable,
    Unpacked,
    is_file,
    may_grow_to,
    open_regular,
)
from recurra.errors import InputError

SUFFIXES = (".txt", ".txt.gz", ".md")
SPOOL_BLOCK = 1 << 20


class Source(Protocol):
    """Text that can be read more than once."""

    name: str

    def read(self, size: int) -> Iterator[str]:
        """The text in pieces of 1 to `size` characters."""


class TextSource:
    """A string."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._text = text

    def read(self, size: int) -> Iterator[str]:
        """The string in pieces of at most `size` characters."""
        for start in range(0, len(self._text), size):
            yield self._text[start : start + size]


class FileSource:
    """A file of UTF-8, gzipped or not. A byte order mark at its start is dropped."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.name = name or str(path)
        self._path = path

    def read(self, size: int) -> Iterator[str]:
        """The text in pieces of at most `size` characters, line ends as they are.

        InputError where the file cannot be read, is damaged, or is not text in UTF-8.
        """
        try:
            with self._opened() as file:
                yield from self._decode(file, size)
        except PackedError as error:
            raise InputError(f"{self.name}: {error}: restore it from a copy") from None
        except OSError as error:
            raise InputError(
                f"{self.name}: cannot be read: {error.strerror or error}: check the path and its "
                "permissions"
            ) from None

    @contextmanager
    def _opened(self) -> Iterator[Readable]:
        with open_regular(self._path) as file:
            magic = file.read(len(GZIP))
            file.seek(0)
            if magic == GZIP:
                yield Counted(Unpacked(file), may_grow_to(os.fstat(file.fileno()).st_size))
                return
            if self._path.suffix == ".gz" and magic:
                raise InputError(
                    f"{self.name}: expected a gzip file, as its name says, received another: "
                    "rename it"
                )
            yield file

    def _decode(self, file: Readable, size: int) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        offset = 0
        while True:
            block = file.read(size)
            if offset == 0 and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise InputError(
                    f"{self.name}: the text is in UTF-16; convert it, "
                    f"as with iconv -f UTF-16 -t UTF-8"
                )
            zero = block.find(b"\0")
            if zero >= 0:
                raise InputError(
                    f"{self.name}: a zero byte at offset {offset + zero}: "
                    f"this is binary data; expected text in UTF-8"
                )
            pending = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{self.name}: byte {error.object[error.start]:#04x} at offset "
                    f"{offset - pending + error.start} is not UTF-8; convert the file, as with "
                    f"iconv -f CP1252 -t UTF-8 where it was written by Windows in western Europe"
                ) from None
            if offset - pending == 0:
                text = text.removeprefix("\ufeff")
            if text:
                yield text
            if not block:
                return
            offset += len(block)


class SpooledSource(FileSource):
    """A stream that can be read once, copied to a file so that it can be read again.

    The file lies at `path`; without one it is temporary, and goes when the source does.
    """

    def __init__(self, stream: BinaryIO, *, name: str, path: Path | None = None) -> None:
        if path is None:
            handle, temporary = tempfile.mkstemp(prefix="recurra-", suffix=".txt")
            os.close(handle)
            path = Path(temporary)
            weakref.finalize(self, path.unlink, missing_ok=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(stream, file, SPOOL_BLOCK)
        except OSError as error:
            raise InputError(
                f"{name}: cannot be kept in {path}: {error.strerror}: free some space, or set "
                "TMPDIR"
            ) from error
        super().__init__(path, name)


def files_in(folder: Path) -> list[Path]:
    """The text files in a folder and the folders in it, sorted by path. InputError without any."""
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(SUFFIXES) and is_file(path) and not path.name.startswith(".")
    )
    if not found:
        expected = ", ".join(f"*{suffix}" for suffix in SUFFIXES)
        raise InputError(
            f"{folder}: expected files named {expected}, received a folder without: name the files"
        )
    return found
