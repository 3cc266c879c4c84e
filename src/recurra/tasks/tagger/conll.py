"""Tagged sentences: columns as in the CoNLL shared tasks, CoNLL-U, JSON lines.

| format  | a word                                             | a sentence ends at            |
|---------|----------------------------------------------------|-------------------------------|
| columns | a line of columns, parted by tabs, else by spaces; | an empty line                 |
|         | comments (`# text = …`), `#begin document` and     |                               |
|         | `-DOCSTART-` are no words                          |                               |
| conllu  | a line of ten columns parted by tabs; lines with   | an empty line                 |
|         | `#` and ids like 8-9 and 8.1 are no words          |                               |
| jsonl   | `{"words": ["A", "dog"], "tags": ["DET", "NOUN"]}` | the end of its line           |
| lines   | what white space parts; there are no tags          | the end of its line           |

CoNLL-U: https://universaldependencies.org/format.html.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recurra.bounded import is_folder
from recurra.checked import checked
from recurra.data.cells import read_bytes
from recurra.errors import InputError
from recurra.given import LeftOut, brief, path_of
from recurra.tasks.tagger.beside import NOTHING_BESIDE, Beside
from recurra.tasks.tagger.comments import first_word
from recurra.tasks.tagger.formats import (
    CONLLU as CONLLU,
)
from recurra.tasks.tagger.formats import (
    BadSentenceError,
    Columns,
    Conllu,
    Json,
    Lines,
    TaggedSentence,
    blocks,
    conllu_column,
)

FORMATS = ("columns", "conllu", "jsonl", "lines")
_SUFFIXES = {".conllu": "conllu", ".jsonl": "jsonl", ".ndjson": "jsonl"}


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
    _before: int = 0  # lines of the file before those

    @property
    def left_out(self) -> LeftOut:
        """How many sentences were wrong, and the first of them."""
        return LeftOut.of(self.skipped, kept=len(self.sentences), unit="sentences")

    @property
    def places(self) -> list[str]:
        """Where each sentence begins."""
        return [f"{self.name}:{sentence.lines[0]}" for sentence in self.sentences]

    @property
    def rest(self) -> str:
        """All lines, as they are."""
        return "\n".join(self._lines)

    def parts(self, tags: Sequence[Sequence[str]], more: Sequence[Beside] = ()) -> Iterator[str]:
        """The text of the file with these tags, a list for each of `sentences`.

        It comes in as many parts, each up to the end of a sentence (the last to the end of the
        file), without the line end after it. In CoNLL-U and JSON lines the tags take the place of
        the old ones; to columns they are added as the last, as conlleval wants them. All else is
        kept, sentences that were skipped included. What is given `more` of each sentence becomes
        further columns, in CoNLL-U comments before it, in JSON lines values of the object.
        """
        lines, start, before = list(self._lines), 0, self._before
        beside = more or [NOTHING_BESIDE] * len(tags)
        rows = zip(self.sentences, tags, beside, strict=True)
        for k, (sentence, new, extra) in enumerate(rows, 1):
            if self.format == "jsonl":
                at = sentence.lines[0] - 1 - before
                fields = {**json.loads(lines[at]), "tags": list(new), **extra.to_dict()}
                lines[at] = json.dumps(fields, ensure_ascii=False)
            elif self.format == "lines":
                sides = [" ".join(side) for side in zip(*extra.columns(len(new)), strict=True)]
                lines[sentence.lines[0] - 1 - before] = "\t".join([" ".join(new), *sides])
            else:
                cells = extra.columns(len(new)) if self.format == "columns" else [()] * len(new)
                for number, tag, others in zip(sentence.lines, new, cells, strict=True):
                    at = number - 1 - before
                    lines[at] = self._tagged(lines[at], tag, others)
            if self.format == "conllu":
                first = sentence.lines[0] - 1 - before
                lines[first] = "".join(f"{line}\n" for line in extra.comments()) + lines[first]
            end = sentence.lines[-1] - before if k < len(self.sentences) else len(lines)
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
    reader = SentenceReader(
        name,
        kind,
        tags=tags,
        word_column=word_column,
        tag_column=tag_column,
        skip_bad=skip_bad,
    )
    text = reader.read(*_decode(_read(source, name), name))
    if not text.sentences:
        raise reader.nothing(text.skipped)
    return text


class SentenceReader:
    """Reads lines of a file in one piece or in several; arguments are those of `read_tagged`."""

    def __init__(
        self,
        name: str,
        kind: str,
        *,
        tags: bool = True,
        word_column: int | None = None,
        tag_column: int | str | None = None,
        skip_bad: bool = False,
    ) -> None:
        if kind not in FORMATS:
            raise InputError(
                f"format: expected one of {', '.join(FORMATS)}, received {brief(kind)}"
            )
        if kind == "lines" and tags:
            raise InputError(
                "format lines has words alone: expected tags beside them, as in columns, conllu or "
                "jsonl"
            )
        self.name, self.kind, self._tags, self._skip_bad = name, kind, tags, skip_bad
        self._columns = word_column, tag_column
        self._column = conllu_column(tag_column) if kind == "conllu" else None
        self._parse: Callable[[Sequence[tuple[int, str]]], TaggedSentence | None] | None = None
        if kind == "lines":
            self._parse = Lines()
        elif kind == "jsonl":
            self._parse = Json(tags)
        elif self._column is not None:
            self._parse = Conllu(self._column, tags)

    @property
    def by_line(self) -> bool:
        """Whether each line is a sentence."""
        return self.kind in ("jsonl", "lines")

    def nothing(self, skipped: Sequence[str]) -> InputError:
        """The error of a file without sentences."""
        left_out = f" ({len(skipped)} were wrong: the first is {skipped[0]})" if skipped else ""
        return InputError(
            f"{self.name}: expected sentences in format {self.kind}, received none{left_out}: set "
            "--format"
        )

    def read(self, lines: Sequence[str], broken: Mapping[int, str], before: int = 0) -> TaggedText:
        """The sentences of whole lines, which `before` others precede.

        Args:
            lines: without their ends.
            broken: what is wrong with those that are not UTF-8, by number of the line in the file.
            before: lines of the file that were read already.
        """
        numbered = list(enumerate(lines, before + 1))
        words = ((n, line) for n, line in numbered if line.strip(" \t"))
        if self._parse is None:
            self._parse = Columns(*self._columns, self._tags, first_word(words))
        found = ([pair] for pair in words) if self.by_line else blocks(numbered)
        sentences, skipped = [], []
        for block in found:
            try:
                unread = next((n for n, _ in block if n in broken), None)
                if unread is not None:
                    raise BadSentenceError(unread, broken[unread])
                sentence = self._parse(block)
            except BadSentenceError as wrong:
                place = f"{self.name}:{wrong.line}: {wrong.told}"
                if not self._skip_bad:
                    cure = "correct it" if self._tags or self.by_line else "write a word a line"
                    raise InputError(f"{place}: {cure}, or skip it (--skip-bad)") from None
                skipped.append(place)
                continue
            if sentence is not None:
                sentences.append(sentence)
        return TaggedText(
            self.name,
            self.kind,
            tuple(sentences),
            tuple(skipped),
            tuple(lines),
            self._column,
            before,
        )


def _read(source: str | Path, name: str) -> bytes:
    if str(source) == "-":
        return sys.stdin.buffer.read()
    path = Path(source)
    if is_folder(path):
        raise InputError(f"{name}: is a folder: give the files in it")
    return read_bytes(path)


def _decode(content: bytes, name: str) -> tuple[list[str], dict[int, str]]:
    """The lines, and of those that are not UTF-8 what is wrong, by number."""
    if b"\0" in content[:4096]:
        raise InputError(
            f"{name}: expected text in UTF-8, received zero bytes in it: convert it, as with "
            "iconv -f "
            "UTF-16 -t UTF-8"
        )
    rows = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if rows and not rows[-1]:
        del rows[-1]
    return decoded(rows)


def decoded(rows: Sequence[bytes], before: int = 0) -> tuple[list[str], dict[int, str]]:
    """Lines as texts, and of those that are not UTF-8 what is wrong, by number; `before` others
    precede them."""
    lines, broken = [], {}
    for n, row in enumerate(rows, before + 1):
        row = row.removesuffix(b"\r")
        try:
            lines.append(row.decode())
        except UnicodeDecodeError as error:
            broken[n] = f"not UTF-8: byte {row[error.start]:#04x} at {error.start + 1}"
            lines.append(row.decode(errors="replace"))
    return lines, broken
