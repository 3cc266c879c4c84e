"""Files, folders, gzip and pipes as one text; what is refused; counts and splits."""

import gzip
import hashlib
import io
import os
import sys
import threading
from fractions import Fraction
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recurra.errors import InputError
from recurra.text import Corpus
from recurra.text.code_points import count_words
from recurra.text.corpus import Tally
from text.strategies import cut, sizes, texts

TEXT = "one\r\ntwo  ünï\n\n \u2028中文 \U0001f600 end"
SIZES = (1, 2, 3, 5, 1000)


def joined(corpus: Corpus, size: int = 1000) -> str:
    pieces = list(corpus.chunks(size))
    assert all(1 <= len(piece) <= size for piece in pieces)
    return "".join(pieces)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["file", "gz"])
def test_a_file_is_read_exactly(tmp_path, pack, bom, size):
    path = tmp_path / "t.txt"
    path.write_bytes(pack(bom + TEXT.encode()))
    corpus = Corpus.open(path)
    assert joined(corpus, size) == TEXT
    assert joined(corpus, size) == TEXT
    assert corpus.name == "t.txt"


def test_only_the_first_byte_order_mark_is_one(tmp_path):
    (tmp_path / "t.txt").write_bytes(b"\xef\xbb\xbf" * 2 + "a\ufeff".encode())
    assert joined(Corpus.open(tmp_path / "t.txt")) == "\ufeffa\ufeff"


@pytest.mark.parametrize("size", SIZES)
def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path, size):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_text("b without end")
    (tmp_path / "a.md").write_text("a\n")
    (tmp_path / "sub" / "c.txt.gz").write_bytes(gzip.compress(b"c"))
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "z.txt").write_text("z\n")
    for ignored in ("x.py", ".hidden.txt", "y.gz"):
        (tmp_path / ignored).write_text("no")
    corpus = Corpus.open(tmp_path)
    assert joined(corpus, size) == "a\nb without end\nc\nz\n"
    assert corpus.words == 6
    both = Corpus.open([tmp_path / "z.txt", str(tmp_path / "a.md")])
    assert joined(both) == "z\na\n"
    assert both.name == "z.txt and 1 more"


def test_standard_input_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(TEXT.encode())))
    corpus = Corpus.open("-", spool=tmp_path / "deep" / "spool.txt")
    assert joined(corpus) == joined(corpus) == TEXT
    assert (tmp_path / "deep" / "spool.txt").read_bytes() == TEXT.encode()
    assert corpus.name == "standard input"


def test_standard_input_in_a_temporary_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(gzip.compress(b"abcd"))))
    corpus = Corpus.open("-")
    parts = corpus.split(0.5)
    del corpus
    assert [joined(part) for part in parts] == ["ab", "cd"]
    assert len(os.listdir(tmp_path)) == 1
    del parts
    assert os.listdir(tmp_path) == []


def test_a_pipe_is_kept(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("from a pipe",))
    writer.start()
    corpus = Corpus.open(pipe)
    writer.join()
    assert joined(corpus) == joined(corpus) == "from a pipe"


FILES = {  # name, content, what the error says after the path
    "empty": ("t.txt", b"", "expected some text, received an empty one"),
    "only a mark": ("t.txt", b"\xef\xbb\xbf", "expected some text, received an empty one"),
    "empty gz": ("t.gz", gzip.compress(b""), "expected some text, received an empty one"),
    "zero byte": ("t.txt", b"abc\0", "a zero byte at offset 3: this is binary data"),
    "zero byte in gz": ("t.gz", gzip.compress(b"a\0"), "a zero byte at offset 1"),
    "latin-1": ("t.txt", b"caf\xe9 ol\xe9", "byte 0xe9 at offset 3 is not UTF-8"),
    "cut character": ("t.txt", b"caf\xc3", "byte 0xc3 at offset 3 is not UTF-8"),
    "surrogate": ("t.txt", b"ab\xed\xa0\x80", "byte 0xed at offset 2 is not UTF-8"),
    "utf-16": ("t.txt", "hé".encode("utf-16"), "the text is in UTF-16; convert it"),
    "cut gz": ("t.gz", gzip.compress(b"abc" * 99)[:-9], "the gzip file is damaged or cut short"),
    "damaged gz": ("t.gz", gzip.compress(b"abc")[:10] + b"\xff" * 20, "the gzip file is damaged"),
    "not gz": ("t.gz", b"plain", "expected a gzip file, as its name says"),
}


@pytest.mark.parametrize(("name", "content", "message"), FILES.values(), ids=FILES)
def test_files_that_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(Corpus.open(path).chunks())
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_the_offset_does_not_depend_on_the_chunks(tmp_path, monkeypatch, size):
    monkeypatch.setattr("recurra.text.corpus.CHUNK", 8)
    (tmp_path / "t.txt").write_bytes("é".encode() * 50 + b"\xc3(")
    corpus = Corpus.open(tmp_path / "t.txt")
    with pytest.raises(InputError, match="byte 0xc3 at offset 100"):
        joined(corpus, size)


def test_places_that_are_refused(tmp_path):
    for given_, message in (
        (tmp_path / "none", "none: no such file or folder"),
        (tmp_path, r"expected files named \*\.txt, \*\.txt\.gz, \*\.md"),
        ([], "expected a file, a folder, or -"),
        (["-", "-"], "expected one -"),
    ):
        with pytest.raises(InputError, match=message):
            Corpus.open(given_)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match="expected some text, received an empty one"):
        Corpus.open(tmp_path)
    with pytest.raises(InputError, match="expected some text, received an empty one"):
        Corpus.of("")


@given(texts, sizes)
@settings(max_examples=150)
@example("a\x1cb", [1])
def test_counts(text, sizes):
    tally = Tally()
    for chunk in cut(text, sizes):
        tally.add(chunk)
    assert tally.characters == len(text)
    assert tally.words == len(text.split())
    assert tally.bytes == len(text.encode())
    assert tally.line_ends == text.count("\n")
    assert tally.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_every_white_space_of_python_parts_words():
    for code in range(0x110000):
        if chr(code).isspace():
            assert count_words(f"a{chr(code)}b") == 2, hex(code)
    assert count_words("a\u3001b\u200bc") == 1


def test_a_corpus_counts_its_text():
    corpus = Corpus.of(TEXT)
    assert corpus.characters == len(TEXT)
    assert corpus.words == len(TEXT.split())
    assert corpus.bytes == len(TEXT.encode())
    assert corpus.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()


@given(texts.filter(bool), st.integers(1, 9))
@settings(max_examples=150)
@example("a\r\n\r\nb\r", 1)
def test_lines(text, size):
    expected = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if text == "\n":
        expected = [""]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Corpus.chunks, "__defaults__", (size,))
        assert list(Corpus.of(text).lines()) == expected


SPLITS = {  # text, share, by, training part
    "tenths": ("0123456789", 0.1, "characters", "012345678"),
    "most": ("0123456789", 0.9, "characters", "0"),
    "rounded down": ("0123456789", 0.25, "characters", "0123456"),
    "fraction": ("0123456789", Fraction(1, 3), "characters", "012345"),
    "characters, not bytes": ("éé中😀", 0.5, "characters", "éé"),
    "next line end": ("ab\ncd\nef\n", 0.5, "lines", "ab\ncd\n"),
    "at a line start": ("abc\ndef\n", 0.5, "lines", "abc\n"),
    "just after one": ("abc\ndef\ng", Fraction(4, 9), "lines", "abc\ndef\n"),
    "no word is cut": ("ab cdef gh", 0.5, "words", "ab cdef"),
    "at a word's end": ("ab cdef gh", 0.3, "words", "ab cdef"),
    "at a word's start": ("ab cdef gh", 0.7, "words", "ab "),
    "in white space": ("ab  \n cdef", 0.6, "words", "ab  "),
    "in the last word": ("ab cdef", 0.2, "words", "ab "),
    "in a word after much space": ("a    cdefghi j", 0.4, "words", "a    cdefghi"),
}


@pytest.mark.parametrize(("text", "share", "by", "training"), SPLITS.values(), ids=SPLITS)
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_splits(monkeypatch, text, share, by, training, size):
    monkeypatch.setattr(Corpus.chunks, "__defaults__", (size,))
    first, last = Corpus.of(text).split(share, by=by)
    assert joined(first) == training
    assert joined(last) == text[len(training) :]
    assert (first.characters, last.characters) == (len(training), len(text) - len(training))
    assert first.sha256 == hashlib.sha256(training.encode()).hexdigest()


@given(texts.filter(lambda text: len(text) > 3), sizes, st.data())
@settings(max_examples=100)
def test_a_part_can_be_split_again(text, sizes, data):
    corpus = Corpus.of(text)
    shares = st.fractions(Fraction(1, 4), Fraction(1, 2), max_denominator=9)
    first, last = corpus.split(data.draw(shares))
    parts = [first, last]
    if last.characters > 3:
        parts = [first, *last.split(data.draw(shares))]
    assert "".join(joined(part, sizes[0]) for part in parts) == text


@pytest.mark.parametrize(
    ("text", "share", "by", "message"),
    [
        ("abc", 0, "characters", "share=0: expected a share between 0 and 1"),
        ("abc", 1.5, "characters", "share=1.5"),
        ("abc", 0.5, "syllables", 'expected "characters", "words" or "lines"'),
        ("abc", 0.5, "words", "one side would be empty"),
        ("a", 0.5, "characters", "1 characters cannot be split"),
        ("one line", 0.5, "lines", "one side would be empty"),
        ("one line\n", 0.5, "lines", "one side would be empty"),
    ],
)
def test_splits_that_are_refused(text, share, by, message):
    with pytest.raises(InputError, match=message):
        Corpus.of(text).split(share, by=by)


def test_the_usual_split_of_tiny_shakespeare(data_dir):
    corpus = Corpus.open(data_dir / "tinyshakespeare" / "input.txt")
    first, last = corpus.split(0.1)
    assert corpus.characters == 1_115_394
    assert first.characters == 1_003_854
    assert last.characters == 111_540
