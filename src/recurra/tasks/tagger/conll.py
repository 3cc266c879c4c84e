"""Tagged sentences: columns as in the CoNLL shared tasks, CoNLL-U, JSON lines.

| format  | a word                                             | a sentence ends at            |
|---------|----------------------------------------------------|-------------------------------|
| columns | a line of columns, parted by tabs, else by spaces; | an empty line                 |
|         | comments (`# text = …`), `#begin document` and     |                               |
|         | `-DOCSTART-` are no words                          |                               |
| conllu  | a line of ten columns parted by tabs; lines with   | an empty line                 |
|         | `#` and ids like 8-9 and 8.1 are no words          |                               |
| jsonl   | `{"words": ["A", "dog"], "tags": ["DET", "NOUN"]}` | the end of its line           |

CoNLL-U: https://universaldependencies.org/format.html.
"""

import gzip
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.bounded import gunzip, read_whole
from recurra.checked import checked
from recurra.data.json_lines import BadJSONError, parse_object
from recurra.errors import InputError
from recurra.given import LeftOut, brief, path_of
from recurra.tasks.tagger.beside import NOTHING_BESIDE, Beside
from recurra.tasks.tagger.comments import first_word, is_comment

FORMATS = ("columns", "conllu", "jsonl")
#: The columns of CoNLL-U, in their order.
CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")

_SUFFIXES = {".conllu": "conllu", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_ID = re.compile(r"([1-9][0-9]*)|([1-9][0-9]*-[1-9][0-9]*|[0-9]+\.[1-9][0-9]*)")
_SPACES = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """Words, their tags (None where the text has none), and the lines they stand in, from 1."""

    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    lines: tuple[int, ...]


@dataclass(frozen=True)
class TaggedText:
    """The sentences of one file.

    name: the file. format: one of `FORMATS`. sentences: those that are right. skipped: of each one
    that is not, one line of what is wrong with it, with its place.
    """

    name: str
    format: str
    sentences: tuple[TaggedSentence, ...]
    skipped: tuple[str, ...]
    _lines: tuple[str, ...]
    _tag_column: int | None

    @property
    def left_out(self) -> LeftOut:
        """How many sentences were wrong, and the first of them."""
        return LeftOut.of(self.skipped, kept=len(self.sentences), unit="sentences")

    @property
    def places(self) -> list[str]:
        """Where each sentence begins."""
        return [f"{self.name}:{sentence.lines[0]}" for sentence in self.sentences]

    def parts(self, tags: Sequence[Sequence[str]], more: Sequence[Beside] = ()) -> Iterator[str]:
        """The text of the file with these tags, a list for each of `sentences`.

        It comes in as many parts, each up to the end of a sentence (the last to the end of the
        file), without the line end after it. In CoNLL-U and JSON lines the tags take the place of
        the old ones; to columns they are added as the last, as conlleval wants them. All else is
        kept, sentences that were skipped included. What is given `more` of each sentence becomes
        further columns, in CoNLL-U comments before it, in JSON lines values of the object.
        """
        lines, start = list(self._lines), 0
        beside = more or [NOTHING_BESIDE] * len(tags)
        rows = zip(self.sentences, tags, beside, strict=True)
        for k, (sentence, new, extra) in enumerate(rows, 1):
            if self.format == "jsonl":
                (number,) = sentence.lines
                fields = {**json.loads(lines[number - 1]), "tags": list(new), **extra.to_dict()}
                lines[number - 1] = json.dumps(fields, ensure_ascii=False)
            else:
                cells = extra.columns(len(new)) if self.format == "columns" else [()] * len(new)
                for number, tag, others in zip(sentence.lines, new, cells, strict=True):
                    lines[number - 1] = self._tagged(lines[number - 1], tag, others)
            if self.format == "conllu":
                first = sentence.lines[0] - 1
                lines[first] = "".join(f"{line}\n" for line in extra.comments()) + lines[first]
            end = sentence.lines[-1] if k < len(self.sentences) else len(lines)
            yield "\n".join(lines[start:end])
            start = end

    def _tagged(self, line: str, tag: str, others: Sequence[str]) -> str:
        if self.format == "columns":
            between = "\t" if "\t" in line or " " not in line else " "
            return between.join([line, tag, *others])
        fields = line.split("\t")
        assert self._tag_column is not None
        fields[self._tag_column] = tag
        return "\t".join(fields)


@checked
def read_tagged(
    source: str | Path,
    *,
    tags: bool = True,
    format: str | None = None,
    word_column: int | None = None,
    tag_column: int | str | None = None,
    skip_bad: bool = False,
) -> TaggedText:
    """Read a file of sentences, gzipped or not, in UTF-8.

    Args:
        source: its path, or "-" for standard input.
        tags: whether it must have tags; else they are not looked at.
        format: one of `FORMATS`; by default as the name ends, and columns where that says nothing.
        word_column: of columns: where the words stand, from 1; the first by default.
        tag_column: where the tags stand: of columns a number from 1, by default the last; of
            CoNLL-U the name of a column, by default `upos`.
        skip_bad: leave out sentences that are wrong, and say so in `skipped`.

    Raises:
        InputError: the file cannot be read, has no sentences, or is wrong; one line with its name
            and the number of the line.
    """
    source = path_of(source, "sentences", "a file of sentences, or -")
    name = "standard input" if str(source) == "-" else str(source)
    kind = format or _SUFFIXES.get(Path(name.removesuffix(".gz")).suffix, "columns")
    if kind not in FORMATS:
        raise InputError(f"format: expected one of {', '.join(FORMATS)}, received {brief(kind)}")
    lines, broken = _decode(_read(source, name), name)
    parse: Callable[[Sequence[tuple[int, str]]], TaggedSentence | None]
    column: int | None = None
    blocks: Iterator[list[tuple[int, str]]]
    if kind == "jsonl":
        blocks = ([(n, line)] for n, line in enumerate(lines, 1) if line.strip(" \t"))
        parse = _Json(tags)
    elif kind == "conllu":
        column = _conllu_column(tag_column)
        blocks = _blocks(lines)
        parse = _Conllu(column, tags)
    else:
        blocks = _blocks(lines)
        words = ((n, line) for n, line in enumerate(lines, 1) if line.strip(" \t"))
        parse = _Columns(word_column, tag_column, tags, first_word(words))
    sentences, skipped = [], []
    for block in blocks:
        try:
            unread = next((n for n, _ in block if n in broken), None)
            if unread is not None:
                raise _BadSentenceError(unread, broken[unread])
            sentence = parse(block)
        except _BadSentenceError as wrong:
            place = f"{name}:{wrong.line}: {wrong.told}"
            if not skip_bad:
                raise InputError(
                    f"{place}: mend it, or leave such sentences out with skip_bad"
                ) from None
            skipped.append(place)
            continue
        if sentence is not None:
            sentences.append(sentence)
    if not sentences:
        left_out = f" ({len(skipped)} were wrong: the first is {skipped[0]})" if skipped else ""
        raise InputError(f"{name}: expected sentences as {kind}, there is none{left_out}")
    return TaggedText(name, kind, tuple(sentences), tuple(skipped), tuple(lines), column)


class _BadSentenceError(Exception):
    """What is wrong with a sentence, and in which line."""

    def __init__(self, line: int, told: str) -> None:
        super().__init__(told)
        self.line, self.told = line, told


class _Columns:
    """Reads sentences of columns; how many there are, and what parts them, the first word says."""

    def __init__(
        self,
        word_column: int | None,
        tag_column: int | str | None,
        tags: bool,
        first: tuple[int, str] | None,
    ) -> None:
        if isinstance(tag_column, str):
            raise InputError(
                f"tag_column: expected a number from 1 (names are for CoNLL-U), "
                f"received {brief(tag_column)}"
            )
        self._word, self._tag, self._tags = (word_column or 1) - 1, tag_column, tags
        self._first, line = first or (0, "")
        self._tabs = "\t" in line
        self._count = len(self._split(line))

    def __call__(self, block: Sequence[tuple[int, str]]) -> TaggedSentence | None:
        fields: list[tuple[int, list[str]]] = []
        for n, line in block:
            row = self._split(line)
            if not is_comment(line, len(row), self._count, tabs=self._tabs, first=not fields):
                fields.append((n, row))
        if not fields:
            return None
        for n, row in fields:
            self._check(n, row)
        words = tuple(row[self._word] for _, row in fields)
        lines = tuple(n for n, _ in fields)
        if not self._tags:
            return TaggedSentence(words, None, lines)
        column = self._count if self._tag is None else self._tag
        return TaggedSentence(words, tuple(row[column - 1] for _, row in fields), lines)

    def _split(self, line: str) -> list[str]:
        return line.split("\t") if self._tabs else _SPACES.split(line.strip(" \t"))

    def _check(self, n: int, row: list[str]) -> None:
        if len(row) != self._count:
            raise _BadSentenceError(
                n, f"expected {self._count} columns, as in line {self._first}, received {len(row)}"
            )
        if self._word >= self._count:
            raise _BadSentenceError(
                n, f"there is no word column {self._word + 1}: it has {self._count}"
            )
        if not row[self._word]:
            raise _BadSentenceError(
                n, f"expected a word in column {self._word + 1}, received nothing"
            )
        if not self._tags:
            return
        if self._tag is None and self._count < 2:
            raise _BadSentenceError(n, "expected a tag beside the word, received one column")
        column = self._count if self._tag is None else self._tag
        if column > self._count:
            raise _BadSentenceError(n, f"there is no tag column {column}: it has {self._count}")
        if not row[column - 1]:
            raise _BadSentenceError(n, f"expected a tag in column {column}, received nothing")


class _Conllu:
    """Reads sentences of CoNLL-U; `column` is that of the tags."""

    def __init__(self, column: int, tags: bool) -> None:
        self._column, self._tags = column, tags

    def __call__(self, block: Sequence[tuple[int, str]]) -> TaggedSentence | None:
        words: list[str] = []
        tags: list[str] = []
        lines: list[int] = []
        for n, line in block:
            if line.startswith("#"):
                continue
            row = line.split("\t")
            if len(row) != len(CONLLU):
                raise _BadSentenceError(
                    n, f"expected 10 columns parted by tabs, received {len(row)}"
                )
            found = _ID.fullmatch(row[0])
            if found is None or (found[1] and found[1] != str(len(words) + 1)):
                raise _BadSentenceError(
                    n, f"expected the id {len(words) + 1}, received {brief(row[0])}"
                )
            if found[2]:
                continue
            if not row[1]:
                raise _BadSentenceError(n, "expected a word in column form, received nothing")
            tag = row[self._column]
            # An empty list of features is a value; no part of speech is none.
            if self._tags and (not tag or (tag == "_" and CONLLU[self._column] != "feats")):
                raise _BadSentenceError(
                    n, f"expected a tag in column {CONLLU[self._column]}, received {tag!r}"
                )
            words.append(row[1])
            tags.append(tag)
            lines.append(n)
        if not words:
            return None
        return TaggedSentence(tuple(words), tuple(tags) if self._tags else None, tuple(lines))


class _Json:
    """Reads sentences of JSON lines."""

    def __init__(self, tags: bool) -> None:
        self._tags = tags

    def __call__(self, block: Sequence[tuple[int, str]]) -> TaggedSentence | None:
        ((n, line),) = block
        try:
            fields = parse_object(line)
        except BadJSONError as error:
            raise _BadSentenceError(n, str(error)) from None
        words = self._strings(n, fields, "words")
        if not self._tags:
            return TaggedSentence(words, None, (n,))
        tags = self._strings(n, fields, "tags")
        if len(tags) != len(words):
            raise _BadSentenceError(
                n, f"expected a tag for each of {len(words)} words, received {len(tags)}"
            )
        return TaggedSentence(words, tags, (n,))

    def _strings(self, n: int, fields: dict[str, Any], key: str) -> tuple[str, ...]:
        if key not in fields:
            names = ", ".join(fields)[:100] or "nothing"
            raise _BadSentenceError(n, f'expected "{key}", found {names}')
        found = fields[key]
        if not isinstance(found, list) or not found:
            raise _BadSentenceError(
                n, f'"{key}": expected a list of strings, received {brief(found)}'
            )
        for item in found:
            if not isinstance(item, str) or not item:
                raise _BadSentenceError(
                    n, f'"{key}": expected strings that are not empty, received {brief(item)}'
                )
        return tuple(found)


def _conllu_column(column: int | str | None) -> int:
    if isinstance(column, int):
        raise InputError(
            f"tag_column: expected the name of a column of CoNLL-U, received {brief(column)}"
        )
    name = column or "upos"
    if name not in CONLLU[2:]:
        raise InputError(
            f"tag_column: expected one of {', '.join(CONLLU[2:])}, received {brief(name)}"
        )
    return CONLLU.index(name)


def _blocks(lines: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Lines with their numbers, between lines that are empty, or only spaces and tabs."""
    block: list[tuple[int, str]] = []
    for n, line in enumerate(lines, 1):
        if line.strip(" \t"):
            block.append((n, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _read(source: str | Path, name: str) -> bytes:
    if str(source) == "-":
        return sys.stdin.buffer.read()
    path = Path(source)
    if path.is_dir():
        raise InputError(f"{name}: is a folder: give the files in it")
    try:
        content = read_whole(path)
        return gunzip(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise InputError(f"{name}: no such file: check the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{name}: the gzip file is damaged or cut short: {error}") from None
    except OSError as error:
        raise InputError(
            f"{name}: cannot be read: {error.strerror or error}: check the path and its permissions"
        ) from None


def _decode(content: bytes, name: str) -> tuple[list[str], dict[int, str]]:
    """The lines, and of those that are not UTF-8 what is wrong, by number."""
    if b"\0" in content[:4096]:
        raise InputError(f"{name}: is no text: it has zero bytes")
    rows = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if rows and not rows[-1]:
        del rows[-1]
    lines, broken = [], {}
    for n, row in enumerate(rows, 1):
        row = row.removesuffix(b"\r")
        try:
            lines.append(row.decode())
        except UnicodeDecodeError as error:
            broken[n] = f"not UTF-8: byte {row[error.start]:#04x} at {error.start + 1}"
            lines.append(row.decode(errors="replace"))
    return lines, broken
