"""The cut into words against Hugging Face's, and the tables of Unicode against both sources."""

import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from tokenizers import Regex, pre_tokenizers

from recurra.text import splitter, unicode_classes
from text.strategies import texts

CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
TABLES = {
    "letters": (unicode_classes.LETTERS, r"\p{L}", "L"),
    "numbers": (unicode_classes.NUMBERS, r"\p{N}", "N"),
    "spaces": (unicode_classes.SPACES, r"\s", None),
}
LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def members(table: str) -> set[int]:
    found: set[int] = set()
    for item in table.split():
        first, _, last = item.partition("-")
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return found


def hugging_face(text: str) -> list[str]:
    return [text[begin:end] for _, (begin, end) in LEVEL.pre_tokenize_str(text)]


@pytest.mark.parametrize(("table", "pattern", "category"), TABLES.values(), ids=TABLES)
def test_tables_are_those_of_hugging_face_and_of_unicode(table, pattern, category):
    ours = members(table)
    outside = pre_tokenizers.Split(Regex(pattern), "removed")
    kept = {ord(c) for word, _ in outside.pre_tokenize_str("".join(map(chr, CODES))) for c in word}
    assert ours == set(CODES) - kept
    if category:
        # a later Unicode only assigns what an earlier one left open
        names = {code: unicodedata.category(chr(code)) for code in CODES}
        assert {code for code in CODES if names[code][0] == category} <= ours
        assert {names[code] for code in ours if names[code][0] != category} <= {"Cn"}


@given(texts)
@settings(max_examples=200)
@example("I'll say 'twas 123abc  \n\n they're  ")
@example("a\x1cb \x1c\n c")
def test_words_are_those_of_hugging_face(text):
    assert splitter.split(text) == hugging_face(text)
    assert "".join(splitter.split(text)) == text


def test_words_of_real_texts(data_dir):
    for path in ("tinyshakespeare/input.txt", "don-quijote/quijote.txt", "wikitext-2/valid.txt"):
        text = (data_dir / path).read_bytes().decode()[:150_000]
        assert splitter.split(text) == hugging_face(text)


@given(texts, texts)
@settings(max_examples=200)
@example("!\x1c \n", "!")
@example("x'l", "l y")
def test_a_safe_cut_is_safe_whatever_follows(text, more):
    end = splitter.safe_cut(text)
    whole = splitter.split(text + more)
    assert splitter.split(text[:end]) + splitter.split(text[end:] + more) == whole


@given(texts, texts)
@settings(max_examples=200)
@example("x'l", "l y")
@example("'", "ve")
@example("'l", "l")
def test_a_safe_cut_without_white_space(text, more):
    text = re.sub(r"[ \n]", "", text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splitter, "FULL_SEARCH", 0)
        end = splitter.safe_cut(text)
    assert splitter.split(text[:end]) + splitter.split(text[end:] + more) == splitter.split(
        text + more
    )


def test_a_long_text_without_white_space_is_cut():
    assert splitter.safe_cut("字,1" * 30_000) >= 90_000 - 2 * splitter.LOOK
