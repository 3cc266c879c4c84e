"""Tokens on disk: what is written, when it is valid, what is refused, how much memory it takes."""

import errno
import itertools
import json
import tracemalloc

import numpy as np
import pytest

from recurra.errors import FormatError, InputError
from recurra.text import CharTokenizer, Corpus, TokenFile, WordTokenizer, train_tokenizer
from text.test_tokenizers import KINDS, SAMPLE, TRAINED

WIDTHS = {1: np.uint8, 256: np.uint8, 257: np.uint16, 65536: np.uint16, 65537: np.uint32}


@pytest.mark.parametrize("kind", KINDS)
def test_the_tokens_of_a_text(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(Corpus.chunks, "__defaults__", (37,))
    corpus, tokenizer = Corpus.of(SAMPLE), TRAINED[kind]
    written = TokenFile.write(tmp_path / "sub" / "train.tokens", corpus, tokenizer)
    opened = TokenFile.open(tmp_path / "sub" / "train.tokens")
    for file in (written, opened):
        assert file.data.tolist() == tokenizer.encode(SAMPLE).tolist()
        assert len(file) == len(file.data)
        assert (file.characters, file.words) == (len(SAMPLE), len(SAMPLE.split()))
        assert file.bytes == len(SAMPLE.encode())
        assert file.eos_id == tokenizer.eos_id
        assert file.line_starts is None
    names = sorted(path.name for path in (tmp_path / "sub").iterdir())
    assert names == ["train.tokens", "train.tokens.json"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_tokens_of_lines(tmp_path, monkeypatch, kind):
    monkeypatch.setattr("recurra.text.token_file.LINES_HELD", 3)
    tokenizer = TRAINED[kind]
    lines = ["the cat's", "", "a", " \t", "中 <unk>", "there", "x" * 9, "last"]
    kept = [line for line in lines if line.strip()]
    corpus = Corpus.of("\n".join(lines))
    file = TokenFile.write(tmp_path / "t", corpus, tokenizer, lines=True)
    eos, starts = tokenizer.eos_id, file.line_starts
    assert file.header.line_count == len(kept) == len(starts) - 1
    rows = [file.data[a + 1 : b].tolist() for a, b in itertools.pairwise(starts)]
    assert rows == [tokenizer.encode(line).tolist() for line in kept]
    assert [file.data[start] for start in starts] == [eos] * len(starts)
    assert (starts[0], starts[-1]) == (0, len(file) - 1)
    assert file.characters == sum(len(line) + 1 for line in kept)
    assert file.matches(corpus, tokenizer, lines=True)


@pytest.mark.parametrize(("size", "dtype"), WIDTHS.items())
def test_the_smallest_width_that_holds_the_vocabulary(tmp_path, size, dtype):
    tokenizer = CharTokenizer([chr(0x10000 + i) for i in range(size)])
    text = chr(0x10000 + size - 1)
    file = TokenFile.write(tmp_path / "t", Corpus.of(text), tokenizer)
    assert file.data.dtype == dtype
    assert file.data.tolist() == [size - 1]


def test_it_is_written_again_only_where_something_changed(tmp_path, monkeypatch):
    corpus, tokenizer = Corpus.of("abab\nb"), train_tokenizer("char", ["ab\n"], eos=True)
    other = train_tokenizer("char", ["ba\nb"], eos=True)
    path = tmp_path / "t"

    def written(*arguments, lines=False):
        before = (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None
        file = TokenFile.prepare(path, *arguments, lines=lines)
        assert file.matches(*arguments, lines=lines)
        return before != (path.stat().st_ino, path.stat().st_mtime_ns)

    assert written(corpus, tokenizer)
    assert not written(corpus, tokenizer)
    assert written(Corpus.of("abab\na"), tokenizer)
    assert written(corpus, tokenizer)
    assert written(corpus, other)
    assert written(corpus, other, lines=True)
    assert not written(corpus, other, lines=True)
    assert written(corpus, other)
    assert not (tmp_path / "t.lines").exists()
    path.write_bytes(b"")
    assert written(corpus, other)
    (tmp_path / "t.json").write_text("{")
    assert written(corpus, other)


def test_unknown_symbols_are_placed_in_the_whole_text(tmp_path, monkeypatch):
    monkeypatch.setattr(Corpus.chunks, "__defaults__", (4,))
    char = train_tokenizer("char", ["ab\n"], unk=False, eos=True)
    word = WordTokenizer(["a", "b", "<eos>"], line_ends=True)
    places = {"ab\nabab\nabéb": "line 3, column 3", "abababababé": "line 1, column 11"}
    for lines in (False, True):
        for text, place in places.items():
            with pytest.raises(InputError, match=rf"^text: .*'é' \({place}\)"):
                TokenFile.write(tmp_path / "t", Corpus.of(text), char, lines=lines)
        with pytest.raises(InputError, match=r"'éb' \(line 3, column 5\)"):
            TokenFile.write(tmp_path / "t", Corpus.of("a b\na\na b éb a b"), word, lines=lines)
    assert list(tmp_path.iterdir()) == []


def test_lines_need_an_end_and_a_text(tmp_path):
    with pytest.raises(InputError, match="train it with eos=True"):
        TokenFile.write(tmp_path / "t", Corpus.of("a"), CharTokenizer(["a"]), lines=True)
    with pytest.raises(InputError, match="blank lines alone"):
        TokenFile.write(tmp_path / "t", Corpus.of(" \n\n"), TRAINED["char"], lines=True)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    corpus, tokenizer = Corpus.of("the cat"), TRAINED["char"]
    TokenFile.write(tmp_path / "t", corpus, tokenizer)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="t: the tokens cannot be written: No space left"):
        TokenFile.write(tmp_path / "t", Corpus.of("a dog"), tokenizer)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


DAMAGE = {
    "short": ("t", lambda data: data[:-1], "expected 4 bytes, received 3"),
    "long": ("t", lambda data: data + b"a", "expected 4 bytes, received 5"),
    "lines": ("t.lines", lambda data: data[:-8], "expected 24 bytes, received 16"),
    "no JSON": ("t.json", lambda data: data[1:], "expected JSON"),
    "no object": ("t.json", lambda data: b"[]", "expected a token file of version 1"),
    "newer": ("t.json", lambda data: data.replace(b'version": 1', b'version": 2'), "version 1"),
    "entry": ("t.json", lambda data: data.replace(b"words", b"wards"), "one more or less"),
    "dtype": (
        "t.json",
        lambda data: data.replace(b"|u1", b"|O8"),
        "expected a dtype of .*at least one token",
    ),
    "count": (
        "t.json",
        lambda data: data.replace(b'tokens": 4', b'tokens": -4'),
        "expected a dtype",
    ),
}


@pytest.mark.parametrize(("name", "change", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found(tmp_path, name, change, message):
    char = train_tokenizer("char", ["ab"], eos=True)
    # <eos> a <eos> b <eos> would be five: one line of two
    file = TokenFile.write(tmp_path / "t", Corpus.of("a\n\n"), char, lines=True)
    assert len(file) == 3
    file = TokenFile.write(tmp_path / "t", Corpus.of("ab"), char, lines=True)
    if name == "t.lines":
        file = TokenFile.write(tmp_path / "t", Corpus.of("a\nb"), char, lines=True)
    path = tmp_path / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(FormatError, match=message):
        TokenFile.open(tmp_path / "t")


def test_a_missing_part(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        TokenFile.open(tmp_path / "t")
    TokenFile.write(tmp_path / "t", Corpus.of("the"), TRAINED["char"])
    (tmp_path / "t").unlink()
    with pytest.raises(FormatError, match="expected this part of the token file"):
        TokenFile.open(tmp_path / "t")


def test_a_long_text_takes_no_more_memory(tmp_path):
    (tmp_path / "t.txt").write_bytes((b"thecatandthedog" * 4 + b"\n") * 200_000)
    corpus = Corpus.open(tmp_path / "t.txt")
    tokenizer = train_tokenizer("char", corpus.chunks())
    tracemalloc.start()
    try:
        file = TokenFile.write(tmp_path / "t", corpus, tokenizer)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(file) == 12_200_000
    assert peak < 25_000_000
    assert json.loads((tmp_path / "t.json").read_text())["words"] == 200_000
