"""Pairs of texts: every form they come in, and one line for each way they can be wrong."""

import gzip

import pytest

from recurra.errors import InputError
from recurra.tasks.translator.pairs import Pairs, read_pairs, read_sources

WANTED = (["a b", "ç\u202f!", 'say "so"'], ["x", "y y", "z"])
LINES = [f"{s}\t{t}" for s, t in zip(*WANTED, strict=True)]


def write(path, lines, *, end="\n"):
    data = "".join(line + end for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read_both(pairs):
    return pairs.sources, pairs.targets


@pytest.mark.parametrize("name", ["p.tsv", "p.txt", "p.tsv.gz"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tabs(tmp_path, name, end):
    path = write(tmp_path / name, ["", *LINES, "  "], end=end)
    pairs = read_pairs(path)
    assert read_both(pairs) == WANTED
    assert pairs.places[0] == f"{path}, line 2"


def test_json_lines(tmp_path):
    rows = ['{"source": "a b", "target": "x"}', '{"target": "y", "n": 1, "source": "c"}']
    assert read_both(read_pairs(write(tmp_path / "p.jsonl", rows))) == (["a b", "c"], ["x", "y"])
    rows = ['{"en": "a", "fr": "x"}']
    path = write(tmp_path / "q.jsonl.gz", rows)
    assert read_both(read_pairs(path, columns=("en", "fr"))) == (["a"], ["x"])


def test_two_files_and_several(tmp_path):
    en, fr = (write(tmp_path / n, t) for n, t in zip(("a.en", "a.fr.gz"), WANTED, strict=True))
    assert read_both(read_pairs([(en, fr)])) == WANTED
    tabs = write(tmp_path / "p.tsv", LINES[:1])
    both = read_pairs([tabs, (str(en), fr)])
    assert both.sources == [WANTED[0][0], *WANTED[0]]
    assert both.sha256 != read_pairs([tabs]).sha256


def test_references_keep_the_order():
    pairs = Pairs.of([("b", "1"), ("a", "2"), ("b", "3")])
    assert pairs.references() == (["b", "a"], [["1", "3"], ["2"]])


BAD = [
    ("p.tsv", b"a\tx\nno tab\n", "line 2: expected source TAB target, received 1 fields: 'no tab'"),
    ("p.tsv", b"a\tb\tc\n", "line 1: expected source TAB target, received 3 fields"),
    ("p.tsv", b"a\t \n", "line 1: expected a target, received nothing"),
    ("p.tsv", b"\tb\n", "line 1: expected a source, received nothing"),
    ("p.tsv", b"a\tx\nb\t\xff\n", "line 2: not UTF-8 at byte 3 of the line"),
    ("p.jsonl", b"[1]\n", "line 1: expected a JSON object, received '[1]'"),
    ("p.jsonl", b'{"source": "a"\n', "line 1: expected a JSON object"),
    ("p.jsonl", b'{"source": "a"}\n', "line 1: expected a text named 'target', received {'source'"),
    ("p.jsonl", b'{"source": 1, "target": "b"}\n', "'source', received 'source' is 1"),
]


@pytest.mark.parametrize(("name", "data", "told"), BAD)
def test_a_bad_line_is_named_or_skipped(tmp_path, name, data, told):
    good = b'{"source": "g", "target": "h"}\n' if name.endswith("jsonl") else b"g\th\n"
    path = tmp_path / name
    path.write_bytes(data + good)
    with pytest.raises(InputError) as error:
        read_pairs(path)
    assert told in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    pairs = read_pairs(path, skip_bad=True)
    assert (pairs.sources[-1], pairs.targets[-1]) == ("g", "h")
    assert told in pairs.skipped[0]
    assert len(pairs) + len(pairs.skipped) == (data + good).count(b"\n")


def test_files_that_do_not_fit(tmp_path):
    a, b = write(tmp_path / "a", ["1", "2"]), write(tmp_path / "b", ["1"])
    with pytest.raises(InputError, match="as many lines in both, received 2 and 1"):
        read_pairs([(a, b)])
    b = write(tmp_path / "b", ["1", ""])
    with pytest.raises(InputError, match="line 2: expected a target, received nothing"):
        read_pairs([(a, b)])
    with pytest.raises(InputError, match="no such file"):
        read_pairs(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="expected pairs of texts, received none"):
        read_pairs(write(tmp_path / "empty.tsv", [""]))
    with pytest.raises(InputError, match="all 1 were bad"):
        read_pairs(write(tmp_path / "bad.tsv", ["no tab"]), skip_bad=True)
    (tmp_path / "c.tsv.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="not gzip"):
        read_pairs(tmp_path / "c.tsv.gz")
    with pytest.raises(InputError, match="directory"):
        read_pairs(tmp_path)
    with pytest.raises(InputError, match="pair 1: expected a source and a target, received"):
        Pairs.of([("a", "b"), ("a", "")])


def test_sources_alone(tmp_path, monkeypatch):
    path = write(tmp_path / "s.txt.gz", [" a b ", "", "c\tx\ty"])
    assert read_sources(path) == ["a b", "c"]
    assert read_sources(write(tmp_path / "s.jsonl", ['{"source": "d"}'])) == ["d"]
    for name, line, told in [
        ("b.jsonl", '{"target": "d"}', "line 1: expected a text named 'source'"),
        ("b.txt", "\tx", "line 1: expected a source, received nothing"),
        ("c.txt", "", "expected a source a line, received none"),
    ]:
        with pytest.raises(InputError, match=told):
            read_sources(write(tmp_path / name, [line]))
    with (tmp_path / "s.jsonl").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert read_sources("-") == ['{"source": "d"}']
