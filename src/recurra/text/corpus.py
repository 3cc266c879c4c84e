"""A text of any size: read in chunks, counted, hashed, split."""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from recurra.bounded import exists, is_file, is_folder
from recurra.checked import checked
from recurra.errors import InputError
from recurra.given import is_path, listed, path_of, shown
from recurra.text.code_points import count_words
from recurra.text.sources import FileSource, Source, SpooledSource, TextSource, files_in
from recurra.text.tokenizer import utf8

CHUNK = 1 << 20
StrPath = str | os.PathLike[str]


class Tally:
    """Counts and hash of a text that goes by in chunks."""

    def __init__(self) -> None:
        self.characters = self.words = self.bytes = self.line_ends = 0
        self._hash = hashlib.sha256()
        self._in_word = False

    def add(self, text: str) -> None:
        """Count the next chunk, of at least one character."""
        encoded = text.encode()
        self.characters += len(text)
        self.bytes += len(encoded)
        self.line_ends += text.count("\n")
        # a word that the border between two chunks cuts counts once
        self.words += count_words(text) - (self._in_word and not text[0].isspace())
        self._in_word = not text[-1].isspace()
        self._hash.update(encoded)

    @property
    def sha256(self) -> str:
        """The hash of the text's UTF-8 bytes."""
        return self._hash.hexdigest()


@dataclass(frozen=True)
class Corpus:
    """The characters `start` to `stop` (None: the end) of the texts of `sources`, in order.

    Made by `Corpus.open` or `Corpus.of`. Nothing is kept in memory: each pass reads anew. Line ends
    are kept exactly; between two files one is added where the first does not end in one.
    """

    sources: tuple[Source, ...]
    name: str
    start: int = 0
    stop: int | None = None

    @classmethod
    @checked
    def open(cls, sources: Any, *, spool: StrPath | None = None) -> Corpus:
        """The text of files, of folders (their *.txt, *.txt.gz and *.md, sorted by path) or of "-".

        "-" is standard input; it is copied to the file `spool`, or else to a temporary one.
        Open files are read, too; a corpus is itself.
        InputError where a source is missing, empty, or not text in UTF-8.
        """
        if isinstance(sources, Corpus):
            return sources
        expected = "the path of a file or folder, - for standard input, or several"
        several = listed([sources] if is_path(sources) else sources, "text", expected)
        cure = "give it as text=, or write it to a file"
        given: list[StrPath] = [path_of(item, "text", expected, text=cure) for item in several]
        if not given:
            raise InputError(
                "text: expected a file, a folder, or - for standard input, received none"
            )
        if [os.fspath(item) for item in given].count("-") > 1:
            raise InputError(
                "standard input can be read once: expected one - among the texts, received "
                "several: leave out all but one"
            )
        parts: list[Source] = []
        for item in given:
            parts.extend(_sources(item, spool))
        names = ["standard input" if os.fspath(item) == "-" else Path(item).name for item in given]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return cls(tuple(parts), names[0] + more)

    @classmethod
    @checked
    def of(cls, text: str, *, name: str = "text") -> Corpus:
        """A corpus of one string. InputError where it is empty, or no string."""
        if not isinstance(text, str):
            raise InputError(f"{name}: expected a text, received {shown(text)}")
        if not text:
            raise InputError(f"{name}: expected some text, received an empty one: give more")
        utf8(text, where=name)
        return cls((TextSource(text, name),), name)

    def chunks(self, size: int = CHUNK) -> Iterator[str]:
        """The text in pieces of 1 to `size` characters."""
        position = 0
        for piece in self._join(size):
            begin = max(self.start - position, 0)
            end = len(piece) if self.stop is None else self.stop - position
            position += len(piece)
            if end <= 0:
                return
            if piece[begin:end]:
                yield piece[begin:end]

    def lines(self) -> Iterator[str]:
        """The lines, empty ones too, without their line ends (LF or CR LF)."""
        held: list[str] = []
        for chunk in self.chunks():
            first, *others = chunk.split("\n")
            held.append(first)
            if others:
                yield "".join(held).removesuffix("\r")
                yield from (line.removesuffix("\r") for line in others[:-1])
                held = [others[-1]]
        last = "".join(held)
        if last:
            yield last.removesuffix("\r")

    @cached_property
    def tally(self) -> Tally:
        """All counts and the hash, from one pass that is made once."""
        tally = Tally()
        for chunk in self.chunks():
            tally.add(chunk)
        return tally

    @property
    def characters(self) -> int:
        """The number of Unicode code points."""
        return self.tally.characters

    @property
    def words(self) -> int:
        """The number of words, as white space parts them."""
        return self.tally.words

    @property
    def bytes(self) -> int:
        """The number of bytes of the text in UTF-8."""
        return self.tally.bytes

    @property
    def sha256(self) -> str:
        """The hash of the text's UTF-8 bytes."""
        return self.tally.sha256

    @checked
    def split(self, share: float | Fraction, by: str = "characters") -> tuple[Corpus, Corpus]:
        """The text before the last `share` of its characters, and that last share.

        by: "characters" cuts there exactly; "lines" after the first line end from there on;
        "words" before the first white space from there on (or, if none follows, after the last
        before), where a word would be cut.
        InputError where the share is not between 0 and 1 or leaves a side without text.
        """
        if not 0 < share < 1:
            raise InputError(
                f"{self.name}: share={share}: expected a share between 0 and 1 to hold out"
            )
        if by not in ("characters", "words", "lines"):
            raise InputError(
                f'{self.name}: split by {by!r}: expected "characters", "words" or "lines"'
            )
        total = self.characters
        # in decimals, as the caller wrote it: 0.9 of 10 characters leaves 1 and not 0.9999…
        cut = math.floor(total * (1 - Fraction(str(share))))
        if by == "lines":
            cut = self._line_start(cut)
        if by == "words":
            cut = self._word_border(cut)
        if not 0 < cut < total:
            raise InputError(
                f"{self.name}: {total} characters cannot be split by {by} to hold out {share}: "
                f"one side would be empty; give more text, or the held-out text as a file"
            )
        middle = self.start + cut
        return (
            Corpus(self.sources, f"{self.name} (training part)", self.start, middle),
            Corpus(self.sources, f"{self.name} (held-out part)", middle, self.stop),
        )

    def _line_start(self, cut: int) -> int:
        """The first start of a line at `cut` or after it; without one, the end of the text."""
        position = 0
        for chunk in self.chunks():
            found = chunk.find("\n", max(cut - 1 - position, 0))
            if found >= 0:
                return position + found + 1
            position += len(chunk)
        return position

    def _word_border(self, cut: int) -> int:
        """`cut`, unless it is inside a word: then the word's end; of the last word, its start."""
        position, start = 0, 0
        for chunk in self.chunks():
            at = min(max(cut - position, 0), len(chunk))
            begin = _last_word(chunk[:at])
            start = position + begin if begin else start
            if at < len(chunk):
                if start == cut:
                    return cut
                rest = chunk[at:]
                size = 0 if rest[0].isspace() else len(rest.split(None, 1)[0])
                if size < len(rest):
                    return position + at + size
            position += len(chunk)
        return start

    def _join(self, size: int) -> Iterator[str]:
        """The texts of all sources, one after the other."""
        last = ""
        for source in self.sources:
            fresh = True
            for piece in source.read(size):
                if fresh and last and last != "\n":
                    yield "\n"
                fresh, last = False, piece[-1]
                yield piece


def _sources(item: StrPath, spool: StrPath | None) -> list[FileSource]:
    """What one argument of `Corpus.open` stands for; the start of each file is read as a trial."""
    path, name = Path(item), os.fspath(item)
    kept_in = None if spool is None else Path(spool)
    if name == "-":
        name = "standard input"
        files: list[FileSource] = [SpooledSource(sys.stdin.buffer, name=name, path=kept_in)]
    elif is_folder(path):
        files = [FileSource(file) for file in files_in(path)]
    elif is_file(path):
        files = [FileSource(path)]
    elif exists(path):
        try:
            with path.open("rb") as pipe:
                files = [SpooledSource(pipe, name=name)]
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read: {error.strerror}: check the path and its permissions"
            ) from error
    else:
        raise InputError(f"{path}: no such file or folder: check the path")
    kept = [file for file in files if next(file.read(CHUNK), "")]
    if not kept:
        raise InputError(f"{name}: expected some text, received an empty one: give more")
    return kept


def _last_word(text: str) -> int:
    """Where the word begins that a text ends in; the end of a text that ends in white space."""
    if not text or text[-1].isspace():
        return len(text)
    return len(text) - len(text.rsplit(None, 1)[-1])
