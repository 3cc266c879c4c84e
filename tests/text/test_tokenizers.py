"""Round trips, unknown symbols, training, and what arrives in pieces."""

import itertools
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recurra.errors import InputError
from recurra.text import (
    KINDS,
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    Tokenizer,
    WordTokenizer,
    train_tokenizer,
)
from recurra.text.byte_level import merge
from recurra.text.kinds import class_of
from text.strategies import PARTS, cut, sizes, texts

SAMPLE = "the cat's there, the theatre; déjà vu: 10 000 中文 \U0001f600\n" * 30 + "".join(PARTS)
TRAINED = {
    kind: train_tokenizer(kind, [SAMPLE], vocab_size=300 if kind == "bpe" else None, eos=True)
    for kind in KINDS
}
BYTE_LEVEL = ("byte", "bpe")
tables = pytest.mark.parametrize("kind", KINDS)


@tables
def test_a_row_of_the_table_names_the_class_of_its_kind(kind):
    cls = class_of(kind)
    assert cls.kind == kind, f"text/kinds.py: the row {kind} names {cls.__name__}"
    assert "learn" in vars(cls), f"{cls.__name__} lacks `learn`, which makes it from text"
    assert "from_layout" in vars(cls), f"{cls.__name__} lacks `from_layout`, which reads it back"


@pytest.mark.parametrize("kind", BYTE_LEVEL)
@given(text=texts)
@settings(max_examples=100)
def test_byte_level_gives_every_text_back(kind, text):
    tokenizer = TRAINED[kind]
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int32
    assert ids.ndim == 1
    assert tokenizer.decode(ids) == text
    assert tokenizer.unknown(text) == []


@given(text=texts)
@settings(max_examples=100)
def test_char_gives_known_text_back(text):
    tokenizer = train_tokenizer("char", ["x", text], unk=False)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(text)) == len(text)


@given(text=texts)
@settings(max_examples=100)
def test_word_gives_the_words_back(text):
    tokenizer = train_tokenizer("word", ["x ", text], eos=True)
    expected = [[word for word in line.split() if word != "<eos>"] for line in text.split("\n")]
    if "<eos>" not in text.split():  # which, written out, is a line end
        shown = tokenizer.decode(tokenizer.encode(text))
        assert [line.split() for line in shown.split("\n")] == expected


@tables
@given(text=texts, sizes=sizes)
@settings(max_examples=100)
def test_chunks_are_encoded_as_the_whole(kind, text, sizes):
    tokenizer = TRAINED[kind]
    parts = [part.tolist() for part in tokenizer.encode_chunks(cut(text, sizes))]
    assert list(itertools.chain(*parts)) == tokenizer.encode(text).tolist()


@tables
@given(data=st.data())
@settings(max_examples=100)
def test_a_stream_decoder_writes_what_decode_does(kind, data):
    tokenizer = TRAINED[kind]
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=30))
    whole = tokenizer.decode(ids)
    for split in {0, len(ids) // 2}:
        decoder, before = tokenizer.decoder(after=ids[:split]), tokenizer.decoder()
        start = "".join(map(before.push, ids[:split]))
        pieces = [decoder.push(id) for id in ids[split:]]
        assert start + "".join(pieces) + decoder.finish() == whole
        assert decoder.finish() == ""


def test_a_stream_decoder_holds_half_a_character_back():
    decoder = TRAINED["byte"].decoder()
    assert [decoder.push(byte) for byte in "é😀".encode()] == ["", "é", "", "", "", "😀"]
    assert [decoder.push(byte) for byte in b"\xe4\xb8"] == ["", ""]
    assert decoder.finish() == "\ufffd"
    assert decoder.push(ord("a")) == "a"


@given(st.binary(max_size=30))
@example(b"\xf0\x9f\x98a\xc0\xaf\xed\xa0\x80")
def test_bytes_that_are_no_text_are_shown_as_python_shows_them(data):
    expected = data.decode("utf-8", "replace")
    decoder = ByteTokenizer().decoder()
    assert ByteTokenizer().decode(list(data)) == expected
    assert "".join(map(decoder.push, data)) + decoder.finish() == expected


def test_special_tokens_are_never_made_from_text_and_shown_by_decode():
    for kind in ("char", *BYTE_LEVEL):
        tokenizer = TRAINED[kind]
        ids = tokenizer.encode("<eos><unk>").tolist()
        assert not {tokenizer.eos_id, tokenizer.unk_id} & set(ids)
        assert tokenizer.decode(ids) == "<eos><unk>"
        a = tokenizer.encode("a").tolist()
        assert tokenizer.decode([*a, tokenizer.eos_id, *a]) == "aa"
    char, word = TRAINED["char"], TRAINED["word"]
    assert char.decode([char.unk_id]) == "<unk>"
    ids = word.encode("the <unk>\n\nnowhere cat's").tolist()
    the, cats = word.id("the"), word.id("cat's")
    assert ids == [the, word.unk_id, word.eos_id, word.eos_id, word.unk_id, cats]
    assert word.decode(ids) == "the <unk>\n\n<unk> cat's"


def test_words_without_line_ends():
    tokenizer = train_tokenizer("word", ["a b\nc"])
    assert tokenizer.eos_id is None
    assert tokenizer.decode(tokenizer.encode(" a\n b  c\n")) == "a b c"


@tables
def test_tokens_have_names(kind):
    tokenizer = TRAINED[kind]
    names = [tokenizer.token(id) for id in range(len(tokenizer))]
    assert [tokenizer.id(name) for name in names] == list(range(len(tokenizer)))
    assert tokenizer.id("no such token") is None
    assert isinstance(tokenizer, Tokenizer)
    assert tokenizer.kind == kind


@tables
def test_empty_text(kind):
    assert TRAINED[kind].encode("").tolist() == []
    assert TRAINED[kind].decode([]) == ""
    assert list(TRAINED[kind].encode_chunks([])) == []


@tables
@pytest.mark.parametrize("wrong", [-1, 100_000])
def test_numbers_outside_the_vocabulary(kind, wrong):
    tokenizer = TRAINED[kind]
    calls = (tokenizer.token, tokenizer.decoder().push, lambda id: tokenizer.decode([0, id]))
    for call in calls:
        with pytest.raises(InputError, match=rf"token {wrong}: expected 0 to {len(tokenizer) - 1}"):
            call(wrong)
    with pytest.raises(InputError, match="float64"):
        tokenizer.decode(np.zeros(2))


def test_unknown_symbols_are_named_with_their_places():
    char = train_tokenizer("char", ["abc \n"], unk=False)
    text = "ab\ncé zé\nX12345"
    assert char.unknown(text) == ["é", "z", "X", "1", "2", "3", "4", "5"]
    with pytest.raises(InputError) as caught:
        char.encode(text)
    assert "'é' (line 2, column 2), 'z' (line 2, column 4), 'X' (line 3, column 1)" in str(
        caught.value
    )
    assert "and 3 more" in str(caught.value)
    assert "\n" not in str(caught.value)
    word = train_tokenizer("word", ["a ab\n"], unk=False, eos=True)
    assert word.unknown("a abc ab b\n a c abc") == ["abc", "b", "c"]
    with pytest.raises(InputError, match=r"'b' \(line 2, column 4\)"):
        word.encode("ab\nab b b")


def test_unknown_symbols_are_listed_where_unk_takes_them():
    char = train_tokenizer("char", ["abc"])
    assert char.unknown("a\U0001f600bz") == ["\U0001f600", "z"]
    assert char.encode("az").tolist() == [char.id("a"), char.unk_id]
    word = train_tokenizer("word", ["a <unk> b"])
    assert word.unknown("a q <unk>") == ["q"]


@pytest.mark.parametrize("kind", BYTE_LEVEL)
def test_half_a_surrogate_pair_is_no_text(kind):
    with pytest.raises(InputError, match=r"offset 1 holds half of a surrogate pair \(U\+D83D\)"):
        TRAINED[kind].encode("a\ud83d")


def test_a_lone_surrogate_is_an_unknown_character():
    assert TRAINED["char"].unknown("a\ud83d") == ["\ud83d"]


VOCABULARIES = {  # kind, text, options, expected tokens
    "frequency, then code point": ("char", "bbcaac d", {}, ["<unk>", "a", "b", "c", " ", "d"]),
    "no specials": ("char", "ba", {"unk": False}, ["a", "b"]),
    "both specials": ("char", "ba", {"eos": True}, ["<unk>", "<eos>", "a", "b"]),
    "size counts specials": ("char", "aaabbc", {"vocab_size": 3}, ["<unk>", "a", "b"]),
    "min_count": ("char", "aaabbc", {"min_count": 2}, ["<unk>", "a", "b"]),
    "words": ("word", "b a\nb  c b\ta", {}, ["<unk>", "b", "a", "c"]),
    "equal words": ("word", "c b a c", {}, ["<unk>", "c", "a", "b"]),
    "words of min_count": ("word", "b a b c b a", {"min_count": 2}, ["<unk>", "b", "a"]),
    "literal unk": ("word", "<unk> <unk> a", {"eos": True}, ["<unk>", "<eos>", "a"]),
    "literal unk as a word": ("word", "<unk> a", {"unk": False}, ["<unk>", "a"]),
    "pruning that prunes nothing": ("char", "aabb", {"unk": False, "min_count": 2}, ["a", "b"]),
}


@pytest.mark.parametrize(
    ("kind", "text", "options", "expected"), VOCABULARIES.values(), ids=VOCABULARIES
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_vocabularies(kind, text, options, expected, size):
    tokenizer = train_tokenizer(kind, cut(text, [size]), **options)
    assert [tokenizer.token(id) for id in range(len(tokenizer))] == expected


MISTAKES = {
    "kind": ("syllable", "a", {}, "expected one of char, byte, word, bpe"),
    "empty char": ("char", "", {}, "empty"),
    "empty word": ("word", " \n", {}, "empty"),
    "min_count": ("char", "a", {"min_count": 0}, "min_count=0"),
    "vocab_size": ("char", "a", {"vocab_size": -3}, "vocab_size=-3"),
    "room for specials only": ("char", "a", {"vocab_size": 1}, "more than the 1 special tokens"),
    "prune without unk": ("char", "aab", {"min_count": 2, "unk": False}, "1 of 2 symbols"),
    "size without unk": ("word", "a b c", {"vocab_size": 1, "unk": False}, "2 of 3 symbols"),
    "byte size": ("byte", "a", {"vocab_size": 300}, "a byte tokenizer has 256 tokens"),
    "bpe size": ("bpe", "a", {"vocab_size": 256, "eos": True}, "needs 257 tokens"),
}


@pytest.mark.parametrize(("kind", "text", "options", "message"), MISTAKES.values(), ids=MISTAKES)
def test_training_mistakes(kind, text, options, message):
    with pytest.raises(InputError, match=message) as caught:
        train_tokenizer(kind, [text], **options)
    assert "\n" not in str(caught.value)


def test_bpe_training_does_not_depend_on_chunks_or_chance():
    whole = train_tokenizer("bpe", [SAMPLE], vocab_size=320, eos=True)
    pieces = train_tokenizer("bpe", cut(SAMPLE, [5, 1, 13]), vocab_size=320, eos=True)
    assert whole.to_json() == pieces.to_json()
    assert len(whole) == 320
    assert whole.eos_id is not None


TEXTS = ["the cat sat", "the dog ran", " a tab\t", "", "ran", "the"] * 30


@pytest.mark.parametrize("kind", KINDS)
def test_no_word_reaches_from_one_text_into_the_next(kind):
    size = 300 if kind == "bpe" else None
    tokenizer = train_tokenizer(kind, TEXTS, texts=True, vocab_size=size, eos=True)
    found = {tokenizer.token(k) for k in range(len(tokenizer))} - {"<unk>", "<eos>"}
    if kind == "word":
        assert found == {word for text in TEXTS for word in text.split()}
    elif kind == "char":
        assert found == {*"".join(TEXTS)}
    else:
        longer = {tokenizer.decode([k]) for k in range(len(tokenizer))}
        longer = {token for token in longer if len(token) > 1}
        assert all(any(token in text for text in TEXTS) for token in longer)
        assert bool(longer) == (kind == "bpe")
    joined = [tokenizer.encode(text) for text in TEXTS if text]
    assert all((ids != tokenizer.unk_id).all() for ids in joined)


def test_bpe_needs_the_package_to_train(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r"pip install recurra\[tokenizers\]"):
        train_tokenizer("bpe", ["text"])


@given(
    st.lists(st.integers(0, 3), max_size=25),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), unique=True, max_size=12),
)
@settings(max_examples=300)
def test_merging_against_the_definition(ids, order):
    pairs = {pair: (rank, 4 + rank) for rank, pair in enumerate(order)}
    expected = list(ids)
    while True:
        found = [
            (*pairs[pair], at)
            for at, pair in enumerate(itertools.pairwise(expected))
            if pair in pairs
        ]
        if not found:
            break
        _, new, at = min(found)
        expected[at : at + 2] = [new]
    assert merge(ids, pairs) == expected


def test_a_word_as_long_as_the_text_is_merged_in_good_time():
    tokenizer = TRAINED["bpe"]
    text = "the" * 30_000
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_remembered_words_are_bounded(monkeypatch):
    monkeypatch.setattr("recurra.text.byte_level.WORDS_KEPT", 3)
    tokenizer = Tokenizer.from_json(TRAINED["bpe"].to_json())
    assert tokenizer.encode(SAMPLE).tolist() == TRAINED["bpe"].encode(SAMPLE).tolist()
    words = tokenizer._words
    assert max(len(words), len(words._older)) <= 3


REFUSED = {
    "two letters": (lambda: CharTokenizer(["a", "bc"]), "'bc' is not one character"),
    "twice": (lambda: CharTokenizer(["a", "a"]), "twice"),
    "space": (lambda: WordTokenizer(["a b"]), "'a b' is not one word"),
    "line ends": (lambda: WordTokenizer(["a"], line_ends=True), "expected <eos> in the vocabulary"),
    "bytes": (lambda: BPETokenizer(["a"], ()), "byte 0x00 has no token"),
    "surrogate": (lambda: CharTokenizer(["\ud800"]), "surrogate"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_vocabularies_that_make_no_tokenizer(make, message):
    with pytest.raises(InputError, match=message):
        make()
