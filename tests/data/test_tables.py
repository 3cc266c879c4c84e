"""Tables from every format, with bad rows in each."""

import csv
import gzip
import io
import json

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from recurra.data.tables import format_of, read_table
from recurra.errors import InputError

ROWS = [
    ("pos", 'say "no" to it', "1"),
    ("neg", "a, b;\tand c", "2"),
    ("pos", "été ☃ \x85 \u2028 end", "3"),
    ("neg", "it's", "4"),
]
NAMES = ("label", "text", "id")


def write(path, rows=ROWS, names=NAMES):
    """A file of the rows, by the standard library's writers."""
    kind = format_of(path)
    if kind == "parquet":
        columns = list(zip(*rows, strict=True))
        parquet.write_table(pyarrow.table(dict(zip(names, columns, strict=True))), path)
        return path
    if kind == "jsonl":
        lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
        text = "\n".join(lines) + "\n"
    elif kind == "csv":
        buffer = io.StringIO()
        csv.writer(buffer).writerows([names, *rows])
        text = buffer.getvalue()
    else:
        lines = ["\t".join(cell.replace("\t", " ") for cell in row) for row in [names, *rows]]
        text = "\n".join(lines) + "\n"
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize(
    "name", ["a.csv", "a.tsv", "a.jsonl", "a.ndjson", "a.parquet", "a.csv.gz", "a.TSV", "a.tab.gz"]
)
def test_columns_come_by_name_from_every_format(name, tmp_path):
    path = write(tmp_path / name)
    found = read_table(path, ["text", "label"])
    expected = [(text, label) for label, text, _ in ROWS]
    if format_of(path) == "tsv":
        expected = [(text.replace("\t", " "), label) for text, label in expected]
    assert found.rows == expected
    assert found.column("label") == ["pos", "neg", "pos", "neg"]
    assert found.skipped == []
    assert read_table(path, None).columns == NAMES
    unit = "row" if name.endswith("parquet") else "line"
    first = 1 if format_of(path) in ("parquet", "jsonl") else 2
    assert found.places[2] == f"{path}, {unit} {first + 2}"


def test_quotes_mean_nothing_in_tsv(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('label\ttext\nham\t"Oh, said "he\nspam\tend"\r\n', encoding="utf-8")
    assert read_table(path, ["label", "text"]).rows == [("ham", '"Oh, said "he'), ("spam", 'end"')]


def test_csv_fields_may_hold_line_ends(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\r\n"one\ntwo ""x""",a\r\n\r\nthree,b\r\n', encoding="utf-8")
    found = read_table(path, ["text", "label"])
    assert found.rows == [('one\ntwo "x"', "a"), ("three", "b")]
    assert [place.rpartition(", ")[2] for place in found.places] == ["line 2", "line 5"]


def test_a_file_without_a_line_of_names(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("1\tgood\n0\tbad\n")
    assert read_table(path, ["text"], header=["label", "text"]).rows == [("good",), ("bad",)]
    with pytest.raises(
        InputError, match=r"columns text, label .* received '1', 'good': name the columns"
    ):
        read_table(path, ["text", "label"])


def test_several_files_are_one_table(tmp_path):
    one, other = write(tmp_path / "a.csv", ROWS[:2]), write(tmp_path / "b.jsonl", ROWS[2:])
    found = read_table([one, other], ["label", "id"])
    assert [row[1] for row in found.rows] == ["1", "2", "3", "4"]
    assert found.places[2] == f"{other}, line 1"
    assert found.sha256 != read_table([other, one], ["label", "id"]).sha256
    assert found.sha256 == read_table([one, other], ["text"]).sha256


def test_a_mark_of_the_byte_order_is_no_part_of_a_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbftext,label\nx,y\n")
    assert read_table(path, ["text"]).rows == [("x",)]


def test_values_keep_their_kind_where_the_format_has_kinds(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": [[1, null]], "y": 3}\n')
    assert read_table(path, ["x", "y"]).rows == [([[1, None]], 3)]


GOOD = {
    "a.csv": "text,label\nfirst,a\n{}\nlast,b\n",
    "a.tsv": "text\tlabel\nfirst\ta\n{}\nlast\tb\n",
    "a.jsonl": '{{"text": "first", "label": "a"}}\n{}\n{{"text": "last", "label": "b"}}\n',
}
BAD = [
    ("a.csv", b"one,two,three", "expected 2 fields, received 3"),
    ("a.csv", b"one", "expected 2 fields, received 1"),
    ("a.csv", b'"never ends,a', "quoted field"),
    ("a.csv", b'"ends" early,a', "quoted field"),
    ("a.csv", b"caf\xe9,a", "not UTF-8 at byte 4 of the line"),
    ("a.csv", b",a", "no value in the column 'text'"),
    ("a.tsv", b"one\ttwo\tthree", "expected 2 fields, received 3"),
    ("a.tsv", b"one", "expected 2 fields, received 1"),
    ("a.tsv", b"one\t", "no value in the column 'label'"),
    ("a.tsv", b"\xff\ta", "not UTF-8 at byte 1 of the line"),
    ("a.jsonl", b'{"text": "x"', "not JSON"),
    ("a.jsonl", b"[1]", "expected a JSON object, received [1]"),
    ("a.jsonl", b'{"text": "x"}', "no 'label' in it; there are 'text'"),
    ("a.jsonl", b'{"text": null, "label": "a"}', "no value in the column 'text'"),
    ("a.jsonl", b"[" * 100_000, "not JSON: too deep"),
    ("a.jsonl", b'{"text": "\xe9"}', "not UTF-8"),
]


@pytest.mark.parametrize(("name", "line", "told"), BAD)
def test_a_bad_row_is_told_in_one_line_and_the_good_ones_are_kept_where_asked(
    name, line, told, tmp_path
):
    path = tmp_path / name
    path.write_bytes(GOOD[name].format("@").encode().replace(b"@", line))
    number = 2 if name == "a.jsonl" else 3
    with pytest.raises(InputError) as caught:
        read_table(path, ["text", "label"])
    text = str(caught.value)
    assert text.startswith(f"{path}, line {number}: ")
    assert told in text
    assert "\n" not in text
    found = read_table(path, ["text", "label"], skip_bad=True)
    assert found.rows == [("first", "a"), ("last", "b")]
    assert len(found.skipped) == 1
    assert f"line {number}" in found.skipped[0]
    assert told in found.skipped[0]


def test_missing_values_where_they_may_be(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n,a\nx,\n")
    assert read_table(path, ["text", "label"], optional=None).rows == [(None, "a"), ("x", None)]
    assert read_table(path, ["text", "more"], optional=["text", "more"]).rows == [
        (None, None), ("x", None),
    ]  # fmt: skip
    parquet.write_table(pyarrow.table({"text": ["x", None]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="row 2: no value in the column 'text'"):
        read_table(tmp_path / "a.parquet", ["text"])


def test_files_that_are_no_tables(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "a.csv.gz").write_bytes(b"not gzip")
    (tmp_path / "b.csv").write_text("a,a\n1,2\n")
    (tmp_path / "row.csv").write_text("0,5,0\n1,2,3\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "head.csv").write_text("text,label\n")
    (tmp_path / "a.xls").write_text("x")
    cases = [
        ("no.csv", "no such file"), ("a.parquet", "expected a Parquet file"),
        ("a.csv.gz", "expected a gzip file"),
        ("b.csv", "'a' appears twice"), ("empty.csv", "expected the columns text"),
        ("row.csv", "a first line that names the columns, received '0', '5', '0'"),
        ("head.csv", "expected rows, received none"), ("a.xls", ".parquet"),
    ]  # fmt: skip
    for name, told in cases:
        with pytest.raises(InputError, match=told) as caught:
            read_table(tmp_path / name, ["text"])
        assert "\n" not in str(caught.value)


def test_all_rows_bad_is_an_error_even_where_they_are_skipped(tmp_path):
    (tmp_path / "a.tsv").write_text("text\tlabel\nx\ny\n")
    with pytest.raises(InputError, match="all 2 were bad"):
        read_table(tmp_path / "a.tsv", ["text"], skip_bad=True)


def test_random_tables_come_back_as_they_were_written(tmp_path):
    random = np.random.default_rng(0)
    signs = list("ab,\";\n\r\t é☃'\\")
    for trial in range(60):
        rows = [
            tuple("".join(random.choice(signs, random.integers(1, 12))) for _ in range(3))
            for _ in range(8)
        ]
        for name in ("a.csv", "a.jsonl", "a.parquet"):
            if name == "a.csv":  # the reader of lines makes one line end of both kinds
                rows = [tuple(c.replace("\r", "").strip("\n ") or "x" for c in row) for row in rows]
            path = write(tmp_path / f"{trial}-{name}", rows)
            assert read_table(path, NAMES).rows == rows
