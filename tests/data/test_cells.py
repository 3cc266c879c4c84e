"""Tables as people's programs write them: delimiters, decimal commas, encodings, quotes, bombs."""

import csv
import gzip
import io
import zipfile
import zlib

import numpy as np
import pytest

from recurra.data.cells import Dialect, sniff, split_record
from recurra.data.tables import read_table
from recurra.errors import InputError
from recurra.tasks.classifier.labelled import read_numbers, read_texts
from recurra.tasks.forecaster.series import read_series

ROWS = [("ds", "y"), ("2024-01-01", "1.5"), ("2024-01-02", "2"), ("2024-01-03", "0.25")]


def lines(delimiter=",", decimal=".", quote="", end="\n"):
    return "".join(
        delimiter.join(quote + cell.replace(".", decimal) + quote for cell in row) + end
        for row in ROWS
    )


#: Bytes of the same table, and what has to be said of them.
DIALECTS = {
    "comma": (lines().encode(), {}),
    "semicolon": (lines(";").encode(), {}),
    "tab": (lines("\t").encode(), {}),
    "bar": (lines("|").encode(), {}),
    "semicolon, decimal comma": (lines(";", ",").encode(), {}),
    "tab, decimal comma": (lines("\t", ",").encode(), {}),
    "quoted": (lines(quote='"').encode(), {}),
    "quoted tabs": (lines("\t", quote='"').encode(), {}),
    "quoted, decimal comma": (lines(",", ",", '"').encode(), {}),
    "CRLF": (lines(end="\r\n").encode(), {}),
    "CR": (lines(end="\r").encode(), {}),
    "byte order mark": (lines(";").encode("utf-8-sig"), {}),
    "UTF-16": (lines(";", ",").encode("utf-16"), {}),
    "UTF-16, big end": (b"\xfe\xff" + lines(";").encode("utf-16-be"), {}),
    "UTF-32": (lines(";").encode("utf-32"), {}),
    "sep=": (b"sep=;\r\n" + lines(";").encode(), {}),
    "colons": (lines(":").encode(), {"delimiter": ":"}),
    "UTF-16 without a mark": (lines().encode("utf-16-le"), {"encoding": "utf-16-le"}),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_the_same_table_in_every_dialect_and_reader(name, tmp_path):
    data, said = DIALECTS[name]
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    (one,) = read_series(path, **said).series
    assert one.values[:, 0].tolist() == [1.5, 2, 0.25]
    table = read_table(path, ["y", "ds"], **said)
    assert [row[1] for row in table.rows] == [row[0] for row in ROWS[1:]]
    numbers = read_numbers(path, label="ds", **said)
    assert [x[0, 0] for x in numbers.inputs] == [1.5, 2, 0.25]
    assert read_texts(path, text="ds", label="y", **said).inputs == [row[0] for row in ROWS[1:]]


#: Bytes, and what is told: what came and which option mends it.
REFUSED = [
    (b"ds;y\n2024-01-01;1,500\n2024-01-02;2,250\n", {}, "--decimal comma"),
    (b"ds;y\n2024-01-01;1.234,5\n2024-01-02;2,25\n", {}, "y: expected a finite number"),
    ("dé;y\n2024-01-01;1\n".encode("cp1252"), {}, "line 1: not UTF-8 at byte 2.*--encoding cp1252"),
    (b"d\x81;y\n2024-01-01;1\n", {}, "say which encoding it is, with --encoding$"),
    (b"ds,y\n2024-01-01,1\n", {"encoding": "klingon"}, "no encoding is called 'klingon'"),
    (b"ds,y\n2024-01-01,\xff\n", {"encoding": "ascii"}, "not ASCII at byte 17"),
    (b"\xff\xfed\x00s", {}, "not UTF-16 at byte"),
    (b"ds,y,y\n2024-01-01,1,2\n", {}, "the column 'y' stands there twice"),
    (b'ds,y\n2024-01-01,1\n"2024-01-02,2\n2024-01-03,3\n', {}, "line 3: a quoted field .*not end"),
    (b'ds,y\n2024-01-01,1\n2024-01-02,"2"0\n', {}, "line 3: a quoted field does not end as it"),
]


@pytest.mark.parametrize(("data", "said", "told"), REFUSED)
def test_what_cannot_be_read_names_what_mends_it(data, said, told, tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=told) as caught:
        read_series(path, **said)
    assert "\n" not in str(caught.value)


def test_a_table_of_other_columns_names_the_options(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("good film;pos\nbad film;neg\n")
    with pytest.raises(InputError, match=r"--columns.*here a semicolon, is --delimiter"):
        read_texts(path)
    assert read_texts(path, header=["text", "label"]).labels == ["pos", "neg"]


def test_long_fields_are_fields(tmp_path):
    path = tmp_path / "a.csv"
    text = "word " * 60_000
    path.write_text(f'text,label\n{text},a\n"{text}, quoted",b\n')
    assert [len(t) for t in read_texts(path).inputs] == [len(text), len(text) + 8]


def test_quotes_that_are_open_lose_no_row(tmp_path):
    """Fields as people type them: what cannot be cut for certain is told with its line."""
    path = tmp_path / "a.csv"
    path.write_text(
        'text,label\n"he said,ham\nfine,ham\nwell,spam\nand so on",spam\nlast,ham\n', "utf-8"
    )
    with pytest.raises(InputError, match="line 2: a quoted field runs over 4 lines"):
        read_texts(path)
    found = read_texts(path, skip_bad=True)
    assert found.inputs == ["fine", "well", 'and so on"', "last"]
    assert len(found.skipped) == 1


def test_every_message_is_read(data_dir):
    folder = data_dir / "sms-spam"
    path = next(p for p in sorted(folder.rglob("*")) if p.suffix in (".tsv", ".csv"))
    found = read_texts(path, header=["label", "text"])
    wanted = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    assert len(found) == len(wanted)


@pytest.mark.parametrize("seed", range(40))
def test_rows_are_cut_as_the_standard_library_cuts_them(seed):
    """Random rows of awkward signs, written and read by csv: the judge."""
    random = np.random.default_rng(seed)
    signs = list('ab";,|\t \n')
    for delimiter in (",", ";", "|", "\t"):
        rows = [
            ["".join(random.choice(signs, random.integers(0, 7))) for _ in range(4)]
            for _ in range(6)
        ]
        buffer = io.StringIO()
        csv.writer(buffer, delimiter=delimiter, lineterminator="\n").writerows(rows)
        data = buffer.getvalue().encode().removesuffix(b"\n").split(b"\n")
        at, found = 0, []
        while at < len(data):
            row, at = split_record(data, at, Dialect(delimiter))
            found.append(row)
        assert found == rows


def test_what_parts_all_rows_alike_parts_cells():
    for text, sign in (
        ("a,b\n1,2", ","), ("a;b\n1,5;2,5", ";"), ("a|b,c\n1|2", "|"), ("text\none, two", ","),
        ("text;label\nwell, well;x\nno;y", ";"), ('a;b\n"x;y";2', ";"), ("a\tb\n1\t2", "\t"),
        ("", ","), ('a;b\n"one\ntwo";2', ";"),
    ):  # fmt: skip
        assert sniff(text.encode().split(b"\n")).delimiter == sign, text


def npz(name="x.npy", **changes):
    """An archive with one array, damaged or not."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((2, 3, 1), np.float32))
    data = buffer.getvalue()
    for before, after in changes.get("swap", ()):
        assert before in data
        data = data.replace(before, after)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, data)
        labels = io.BytesIO()
        np.save(labels, np.array(["a", "b"]))
        file.writestr("y.npy", labels.getvalue())
        if "bomb" in changes:
            file.writestr("x.npy", bytes(80 << 20))
    return made.getvalue()


def broken_zlib():
    data = bytearray(npz())
    at = data.index(b"x.npy") + 5
    data[at : at + 8] = b"\xff" * 8
    return bytes(data)


NPZ = {
    "cut short": npz()[:90],
    "broken zlib": broken_zlib(),
    "huge shape": npz(swap=[(b"(2, 3, 1)", b"(2, 3, 9999999999)"), (b" " * 10, b"")][:1]),
    "negative shape": npz(swap=[(b"(2, 3, 1)", b"(2,-3, 1)")]),
    "objects": npz(swap=[(b"'<f4'", b"'|O' ")]),
    "no dtype": npz(swap=[(b"'<f4'", b"'???'")]),
    "code": npz(swap=[(b"(2, 3, 1)", b"exit(   )")]),
    "bomb": npz(bomb=True, name="z.npy"),
    "not a zip": b"PK\x03\x04" + bytes(40),
    "nothing": b"",
}


@pytest.mark.parametrize("name", NPZ)
def test_arrays_that_are_damaged_or_too_large(name, tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(NPZ[name])
    with pytest.raises(InputError, match=r"not an \.npz file") as caught:
        read_numbers(path)
    assert "\n" not in str(caught.value)


def test_arrays_that_are_whole(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(npz())
    found = read_numbers(path)
    assert (found.labels, found.inputs[0].shape) == (["a", "b"], (3, 1))


def test_packed_files_that_grow_beyond_measure(tmp_path):
    path = tmp_path / "a.csv.gz"
    head = b"ds,y\n2024-01-01,1\n"
    path.write_bytes(gzip.compress(head) + gzip.compress(b"2024-01-02,2\n"))  # two members
    assert len(read_series(path).series[0]) == 2
    assert len(read_table(path, None)) == 2
    path.write_bytes(gzip.compress(head + b" " * (80 << 20)))
    for read in (lambda: read_series(path), lambda: read_table(path, None)):
        with pytest.raises(InputError, match="grows to more than 200 times its size"):
            read()
    path.write_bytes(zlib.compress(head))
    with pytest.raises(InputError, match="not gzip that can be read"):
        read_series(path)


def test_parquet_with_values_python_has_no_form_for(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    far = pyarrow.array([1 << 50, 1], pyarrow.int64()).cast(pyarrow.timestamp("s"))
    broken = pyarrow.Array.from_buffers(
        pyarrow.string(), 2,
        [None, pyarrow.py_buffer(np.array([0, 1, 3], np.int32)), pyarrow.py_buffer(b"a\xff\xfe")],
    )  # fmt: skip
    for column in (far, broken):
        parquet.write_table(pyarrow.table({"ds": column, "y": [1.0, 2.0]}), path)
        for read in (lambda: read_series(path), lambda: read_table(path, ["ds"])):
            with pytest.raises(InputError, match=r"a\.parquet: ") as caught:
                read()
            assert "\n" not in str(caught.value)
    many = pyarrow.table({"y": pyarrow.array(np.zeros(40_000_000, np.int8)).dictionary_encode()})
    parquet.write_table(many, path, compression="zstd")
    with pytest.raises(InputError, match="40,000,000 rows in a file of"):
        read_table(path, None)


def test_numbers_of_hundreds_of_digits(tmp_path):
    for digits in (400, 5000):
        path = tmp_path / "a.jsonl"
        path.write_text('{"x": [%s], "y": "a"}\n' % ("9" * digits))
        with pytest.raises(InputError, match=r"line 1: .*(hundreds of digits|too long)") as caught:
            read_numbers(path)
        assert len(str(caught.value)) < 300
        path = tmp_path / "a.csv"
        path.write_text("y,x\na,%s\n" % ("9" * digits))
        with pytest.raises(InputError, match="infinite"):
            read_numbers(path)


def test_many_columns_take_time_in_proportion(tmp_path):
    path = tmp_path / "a.csv"
    names = [f"c{k}" for k in range(40_000)]
    cells = ",".join("1" for _ in names)
    path.write_text(f"t,{','.join(names)}\n2024-01-01,{cells}\n2024-01-02,{cells}\n")
    assert len(read_series(path).columns) == 40_000
    assert read_numbers(path, label="t").inputs[0].shape == (40_000, 1)
