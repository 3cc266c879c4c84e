"""How the sentences of each format are read, block by block of numbered lines."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from recurra.data.json_lines import BadJSONError, parse_object
from recurra.errors import InputError
from recurra.given import brief
from recurra.tasks.tagger.comments import is_comment

#: The columns of CoNLL-U, in their order.
CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")

_ID = re.compile(r"([1-9][0-9]*)|([1-9][0-9]*-[1-9][0-9]*|[0-9]+\.[1-9][0-9]*)")
_SPACES = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """Words, their tags (None where the text has none), and the lines they stand in, from 1."""

    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    lines: tuple[int, ...]


class BadSentenceError(Exception):
    """What is wrong with a sentence, and in which line."""

    def __init__(self, line: int, told: str) -> None:
        super().__init__(told)
        self.line, self.told = line, told


class Columns:
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
        """The sentence of some lines, None where they have no word."""
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
            raise BadSentenceError(
                n, f"expected {self._count} columns, as in line {self._first}, received {len(row)}"
            )
        if self._word >= self._count:
            raise BadSentenceError(
                n, f"there is no word column {self._word + 1}: it has {self._count}"
            )
        if not row[self._word]:
            raise BadSentenceError(
                n, f"expected a word in column {self._word + 1}, received nothing"
            )
        if not self._tags:
            return
        if self._tag is None and self._count < 2:
            raise BadSentenceError(n, "expected a tag beside the word, received one column")
        column = self._count if self._tag is None else self._tag
        if column > self._count:
            raise BadSentenceError(n, f"there is no tag column {column}: it has {self._count}")
        if not row[column - 1]:
            raise BadSentenceError(n, f"expected a tag in column {column}, received nothing")


class Conllu:
    """Reads sentences of CoNLL-U; `column` is that of the tags."""

    def __init__(self, column: int, tags: bool) -> None:
        self._column, self._tags = column, tags

    def __call__(self, block: Sequence[tuple[int, str]]) -> TaggedSentence | None:
        """The sentence of some lines, None where they have no word."""
        words: list[str] = []
        tags: list[str] = []
        lines: list[int] = []
        for n, line in block:
            if line.startswith("#"):
                continue
            row = line.split("\t")
            if len(row) != len(CONLLU):
                raise BadSentenceError(
                    n, f"expected 10 columns parted by tabs, received {len(row)}"
                )
            found = _ID.fullmatch(row[0])
            if found is None or (found[1] and found[1] != str(len(words) + 1)):
                raise BadSentenceError(
                    n, f"expected the id {len(words) + 1}, received {brief(row[0])}"
                )
            if found[2]:
                continue
            if not row[1]:
                raise BadSentenceError(n, "expected a word in column form, received nothing")
            tag = row[self._column]
            # An empty list of features is a value; no part of speech is none.
            if self._tags and (not tag or (tag == "_" and CONLLU[self._column] != "feats")):
                raise BadSentenceError(
                    n, f"expected a tag in column {CONLLU[self._column]}, received {tag!r}"
                )
            words.append(row[1])
            tags.append(tag)
            lines.append(n)
        if not words:
            return None
        return TaggedSentence(tuple(words), tuple(tags) if self._tags else None, tuple(lines))


class Json:
    """Reads sentences of JSON lines."""

    def __init__(self, tags: bool) -> None:
        self._tags = tags

    def __call__(self, block: Sequence[tuple[int, str]]) -> TaggedSentence | None:
        """The sentence of some lines, None where they have no word."""
        ((n, line),) = block
        try:
            fields = parse_object(line)
        except BadJSONError as error:
            raise BadSentenceError(n, str(error)) from None
        words = self._strings(n, fields, "words")
        if not self._tags:
            return TaggedSentence(words, None, (n,))
        tags = self._strings(n, fields, "tags")
        if len(tags) != len(words):
            raise BadSentenceError(
                n, f"expected a tag for each of {len(words)} words, received {len(tags)}"
            )
        return TaggedSentence(words, tags, (n,))

    def _strings(self, n: int, fields: dict[str, Any], key: str) -> tuple[str, ...]:
        if key not in fields:
            names = ", ".join(fields)[:100] or "nothing"
            raise BadSentenceError(n, f'expected "{key}", found {names}')
        found = fields[key]
        if not isinstance(found, list) or not found:
            raise BadSentenceError(
                n, f'"{key}": expected a list of strings, received {brief(found)}'
            )
        for item in found:
            if not isinstance(item, str) or not item:
                raise BadSentenceError(
                    n, f'"{key}": expected strings that are not empty, received {brief(item)}'
                )
        return tuple(found)


class Lines:
    """Reads sentences of a line each, whose words white space parts."""

    def __call__(self, block: Sequence[tuple[int, str]]) -> TaggedSentence | None:
        """The sentence of some lines, None where they have no word."""
        ((n, line),) = block
        return TaggedSentence(tuple(line.split()), None, (n,))


def conllu_column(column: int | str | None) -> int:
    """Where the tags stand in CoNLL-U, from 0; InputError for what is no column of tags."""
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


def blocks(numbered: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Numbered lines between those that are empty, or only spaces and tabs."""
    block: list[tuple[int, str]] = []
    for n, line in numbered:
        if line.strip(" \t"):
            block.append((n, line))
        elif block:
            yield block
            block = []
    if block:
        yield block
