"""A text as tokens on disk, mapped into memory: as long as it may be, it takes none.

Two files, or three with lines, whose names begin with the token file's path:

    PATH         the tokens, little-endian uint8, uint16 or uint32: the smallest that holds V
    PATH.lines   int64, the place of the <eos> before each line, and of the one after the last
    PATH.json    counts, hashes, the format's version; written last: where it is, the rest is whole

With lines, the tokens are `<eos> line <eos> line <eos> …`: what stands before a line's first token,
for it to be predicted from, is `<eos>`. Blank lines are left out.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from recurra.bounded import open_regular, read_whole
from recurra.errors import FormatError, InputError
from recurra.given import brief
from recurra.text.corpus import Corpus, StrPath, Tally
from recurra.text.tokenizer import Tokenizer

VERSION = 1
DTYPES = ("|u1", "<u2", "<u4")
LINES_HELD = 1 << 16


@dataclass(frozen=True)
class Header:
    """What the sidecar tells of a token file.

    characters, words, bytes: of the text; with lines, of the lines kept, each with its line end.
    line_count: None where the file was written without lines.
    """

    version: int
    dtype: str
    tokens: int
    characters: int
    words: int
    bytes: int
    line_count: int | None
    vocab_size: int
    eos_id: int | None
    tokenizer_sha256: str
    corpus_sha256: str
    corpus_name: str


@dataclass(frozen=True, eq=False)
class TokenFile:
    """Tokens on disk. data: (tokens,) unsigned. line_starts: (line_count + 1,) int64, or None."""

    path: Path
    header: Header
    data: np.ndarray
    line_starts: np.ndarray | None

    def __len__(self) -> int:
        return self.header.tokens

    @property
    def eos_id(self) -> int | None:
        """The token that ends a sequence."""
        return self.header.eos_id

    @property
    def characters(self) -> int:
        """The characters of the text."""
        return self.header.characters

    @property
    def words(self) -> int:
        """The words of the text, as white space parts them."""
        return self.header.words

    @property
    def bytes(self) -> int:
        """The bytes of the text in UTF-8."""
        return self.header.bytes

    @classmethod
    def write(
        cls, path: StrPath, corpus: Corpus, tokenizer: Tokenizer, *, lines: bool = False
    ) -> TokenFile:
        """Tokenize a corpus in one pass and constant memory, and open the result.

        InputError where the text has unknown symbols (which, and where), where lines are asked for
        without `<eos>`, or where the disk is full; what stood at `path` before is then still there.
        """
        target = Path(path)
        if lines and tokenizer.eos_id is None:
            raise InputError(
                f"{corpus.name}: lines=True: expected a tokenizer with <eos>, received "
                f"{tokenizer!r}: "
                "train it with eos=True"
            )
        writing = _Writing(target, tokenizer)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as stack:
                file = stack.enter_context(writing.data.open("wb"))
                if lines:
                    starts = stack.enter_context(writing.lines.open("wb"))
                    writing.write_lines(corpus, file, starts)
                else:
                    writing.write_stream(corpus, file)
            writing.commit(corpus)
        except OSError as error:
            raise InputError(
                f"{target}: the tokens cannot be written: {error.strerror}: check the path, its "
                "permissions and the free space"
            ) from error
        finally:
            writing.discard()
        return cls.open(target)

    @classmethod
    def open(cls, path: StrPath) -> TokenFile:
        """Map a token file. InputError where it is missing, FormatError where it is damaged."""
        target = Path(path)
        header = _read_header(target)
        data = _map(target, header.dtype, header.tokens)
        starts = None
        if header.line_count is not None:
            starts = _map(_beside(target, "lines"), "<i8", header.line_count + 1)
        return cls(target, header, data, starts)

    @classmethod
    def prepare(
        cls, path: StrPath, corpus: Corpus, tokenizer: Tokenizer, *, lines: bool = False
    ) -> TokenFile:
        """Open the token file where it is this corpus in these tokens; write it where it is not."""
        try:
            found = cls.open(path)
        except (InputError, FormatError):
            return cls.write(path, corpus, tokenizer, lines=lines)
        if found.matches(corpus, tokenizer, lines=lines):
            return found
        return cls.write(path, corpus, tokenizer, lines=lines)

    def matches(self, corpus: Corpus, tokenizer: Tokenizer, *, lines: bool = False) -> bool:
        """Whether `write` with these arguments would give this file."""
        return (
            self.header.tokenizer_sha256 == tokenizer.sha256
            and (self.header.line_count is not None) == lines
            and self.header.corpus_sha256 == corpus.sha256
        )


class _Writing:
    """The temporary files of one token file, and what has been counted so far."""

    def __init__(self, target: Path, tokenizer: Tokenizer) -> None:
        self.target = target
        self.data = target.with_name(f".{target.name}.{os.getpid()}")
        self.lines = _beside(self.data, "lines")
        self.header = _beside(self.data, "json")
        self._tokenizer = tokenizer
        self._dtype = _smallest(len(tokenizer))
        self._tokens = 0
        self._line_count: int | None = None
        self._corpus_sha256 = ""
        self._tally = Tally()

    def write_stream(self, corpus: Corpus, file: BinaryIO) -> None:
        """The whole text, one token after the other."""
        line, column = 1, 1
        for text in self._tokenizer.regroup(corpus.chunks()):
            self._tally.add(text)
            self._put(self._encode(text, corpus, line, column), file)
            ends = text.count("\n")
            line += ends
            column = len(text) - text.rfind("\n") if ends else column + len(text)
        self._corpus_sha256 = self._tally.sha256

    def write_lines(self, corpus: Corpus, file: BinaryIO, starts: BinaryIO) -> None:
        """`<eos>`, then each line that is not blank with an `<eos>` after it."""
        eos = np.array([self._tokenizer.eos_id], self._dtype)
        held = [0]
        self._line_count = 0
        self._put(eos, file)
        for number, line in enumerate(corpus.lines(), 1):
            if not line.strip():
                continue
            self._tally.add(f"{line}\n")
            ids = self._encode(line, corpus, number, 1)
            self._put(np.append(ids.astype(self._dtype), eos), file)
            held.append(self._tokens - 1)
            self._line_count += 1
            if len(held) >= LINES_HELD:
                starts.write(np.array(held, "<i8").tobytes())
                held.clear()
        starts.write(np.array(held, "<i8").tobytes())
        if not self._line_count:
            raise InputError(
                f"{corpus.name}: expected lines of text, received blank lines alone: give more text"
            )
        self._corpus_sha256 = corpus.sha256

    def commit(self, corpus: Corpus) -> None:
        """Flush the files and put them in place, the sidecar last."""
        header = Header(
            version=VERSION,
            dtype=self._dtype.str,
            tokens=self._tokens,
            characters=self._tally.characters,
            words=self._tally.words,
            bytes=self._tally.bytes,
            line_count=self._line_count,
            vocab_size=len(self._tokenizer),
            eos_id=self._tokenizer.eos_id,
            tokenizer_sha256=self._tokenizer.sha256,
            corpus_sha256=self._corpus_sha256,
            corpus_name=corpus.name,
        )
        self.header.write_text(json.dumps(asdict(header), indent=2) + "\n", encoding="utf-8")
        for path in (self.data, self.lines, self.header):
            if path.exists():
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        # an old sidecar must not stand beside new tokens, should the process die between the two
        _beside(self.target, "json").unlink(missing_ok=True)
        self.data.replace(self.target)
        if self._line_count is None:
            _beside(self.target, "lines").unlink(missing_ok=True)
        else:
            self.lines.replace(_beside(self.target, "lines"))
        self.header.replace(_beside(self.target, "json"))

    def discard(self) -> None:
        """Remove what is left of the temporary files."""
        for path in (self.data, self.lines, self.header):
            path.unlink(missing_ok=True)

    def _encode(self, text: str, corpus: Corpus, line: int, column: int) -> np.ndarray:
        try:
            return self._tokenizer.encode(text)
        except InputError:
            if not self._tokenizer.unknown(text):
                raise
            places = self._tokenizer.explain_unknown(text, line=line, column=column)
            raise InputError(f"{corpus.name}: {places}") from None

    def _put(self, ids: np.ndarray, file: BinaryIO) -> None:
        file.write(ids.astype(self._dtype, copy=False).tobytes())
        self._tokens += len(ids)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


def _smallest(vocab_size: int) -> np.dtype[Any]:
    """The smallest unsigned type for the tokens 0 … V-1."""
    return np.dtype(DTYPES[(vocab_size > 1 << 8) + (vocab_size > 1 << 16)])


#: What mends a damaged token file.
_AGAIN = "write the token file anew with TokenFile.write"


def _read_header(target: Path) -> Header:
    path = _beside(target, "json")
    try:
        content = json.loads(read_whole(path, "json"))
    except OSError as error:
        raise InputError(
            f"{path}: the token file cannot be read: {error.strerror}: check the path and its "
            "permissions"
        ) from None
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{path}: expected JSON, received what cannot be read as JSON ({error}): {_AGAIN}"
        ) from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        version = content.get("version") if isinstance(content, dict) else content
        raise FormatError(
            f"{path}: expected a token file of version {VERSION}, received {brief(version)}: "
            f"{_AGAIN}"
        )
    if set(content) != {field.name for field in fields(Header)}:
        odd = sorted(set(content) ^ {field.name for field in fields(Header)})
        raise FormatError(
            f"{path}: expected the entries of a token file, received one more or less: "
            f"{brief(odd)}: {_AGAIN}"
        )
    header = Header(**content)
    if header.dtype not in DTYPES or not _counts(header):
        raise FormatError(
            f"{path}: expected a dtype of {', '.join(DTYPES)}, whole numbers of at least one token "
            f"and what it is of, and names as texts, received {brief(content)}: {_AGAIN}"
        )
    return header


def _counts(header: Header) -> bool:
    """Whether all of its numbers are such, and all of its hashes texts."""
    numbers = [header.tokens, header.characters, header.words, header.bytes, header.vocab_size]
    numbers += [n for n in (header.line_count, header.eos_id) if n is not None]
    texts = (header.tokenizer_sha256, header.corpus_sha256, header.corpus_name)
    whole = all(type(n) is int and 0 <= n < 1 << 60 for n in numbers)
    return whole and header.tokens > 0 and all(isinstance(text, str) for text in texts)


def _map(path: Path, dtype: str, count: int) -> np.ndarray:
    expected = count * np.dtype(dtype).itemsize
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise FormatError(
            f"{path}: expected this part of the token file, which cannot be read "
            f"({error.strerror}): {_AGAIN}"
        ) from None
    if size != expected:
        raise FormatError(f"{path}: expected {expected:,} bytes, received {size:,}: {_AGAIN}")
    # a plain view: indexing the memmap class itself costs several microseconds more
    return np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=(count,)))
