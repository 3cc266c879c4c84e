"""What people have their data in, read by each task: a table of forms and tasks."""

import io
import json
from itertools import count

import numpy as np
import pytest

import recurra
from recurra.errors import InputError
from recurra.given import path_of
from recurra.tasks.classifier.settings import ClassifierData
from recurra.tasks.forecaster.settings import ForecasterData
from recurra.tasks.tagger.data import read as read_sentences
from recurra.tasks.tagger.settings import TaggerData
from recurra.tasks.transcriber.data import recordings_of
from recurra.tasks.translator.data import open_pairs
from tasks import tones
from tasks.texts import prose

TEXTS, LABELS = ["one two", "three", "four"], ["a", "b", "a"]
DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]


def classified(source, inputs="text"):
    config = recurra.SequenceClassifier(inputs=inputs).config
    found = ClassifierData().read(source, config, labelled=True)
    return [np.asarray(one).tolist() for one in found.inputs], found.labels


def tagged(source):
    found = read_sentences(source, TaggerData())
    return [list(row) for row in found.words], [list(row) for row in found.tags]


def translated(source):
    found = open_pairs(source)
    return found.sources, found.targets


def forecast(source):
    panel = ForecasterData().read(source)
    (one,) = panel.series
    return [str(time)[:10] for time in panel.times(one)], one.values[:, 0].tolist()


#: By task: the names of two columns, the columns, and what reads them.
TASKS = {
    "classify": ("text", "label", TEXTS, LABELS, classified),
    "classify numbers": (
        "x", "y", [[[1.0], [2.0]], [[3.0], [4.0]], [[5.0], [6.0]]], LABELS,
        lambda source: classified(source, "numbers"),
    ),
    "tag": ("words", "tags", [["a", "b"], ["c"]], [["X", "Y"], ["X"]], tagged),
    "translate": ("source", "target", TEXTS, LABELS, translated),
    "forecast": ("ds", "y", DAYS, [1.0, 2.0, 4.0], forecast),
}  # fmt: skip


class DataSet:
    """As Hugging Face's: rows are mappings, columns are had by name."""

    def __init__(self, columns):
        self.columns, self.column_names = columns, list(columns)

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.columns[key]
        return {name: column[key] for name, column in self.columns.items()}


class Examples:
    """As torch's data sets: examples by their numbers, and how many there are."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, k):
        return self.rows[k]


def rows(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def pandas_frame(columns):
    return pytest.importorskip("pandas").DataFrame(columns)


def nullable_frame(columns):
    return pandas_frame(columns).convert_dtypes()


def categories(columns):
    frame = pandas_frame(columns)
    last = frame.columns[-1]
    if isinstance(frame[last][0], str):
        frame[last] = frame[last].astype("category")
    return frame


def polars_frame(columns):
    return pytest.importorskip("polars").DataFrame(columns)


def arrow_table(columns):
    return pytest.importorskip("pyarrow").table(columns)


def lines(columns):
    return "\n".join(json.dumps(row) for row in rows(columns)) + "\n"


#: Forms of two columns.
FORMS = {
    "mapping of columns": dict,
    "list of mappings": rows,
    "generator of mappings": lambda columns: iter(rows(columns)),
    "data set of columns": DataSet,
    "data set of mappings": lambda columns: Examples(rows(columns)),
    "pandas": pandas_frame,
    "pandas, nullable": nullable_frame,
    "pandas, categories": categories,
    "polars": polars_frame,
    "pyarrow": arrow_table,
    "open JSON lines": lambda columns: io.StringIO(lines(columns)),
    "open bytes": lambda columns: io.BytesIO(lines(columns).encode()),
}
#: Forms of inputs and answers beside each other, which no series of times has.
PAIRS = {
    "X, y": lambda x, y: (x, y),
    "pairs": lambda x, y: list(zip(x, y, strict=True)),
    "generator of pairs": lambda x, y: zip(x, y, strict=True),
    "data set of pairs": lambda x, y: Examples(list(zip(x, y, strict=True))),
}
NO_TABLE = {("forecast", "open JSON lines"), ("forecast", "open bytes")}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("form", FORMS)
def test_columns(task, form):
    if (task, form) in NO_TABLE:
        pytest.skip("series are read from CSV, TSV and Parquet")
    first, second, x, y, read = TASKS[task]
    assert read(FORMS[form]({first: x, second: y})) == (x, y)


@pytest.mark.parametrize("task", [task for task in TASKS if task != "forecast"])
@pytest.mark.parametrize("form", PAIRS)
def test_pairs(task, form):
    *_, x, y, read = TASKS[task]
    assert read(PAIRS[form](x, y)) == (x, y)


#: Series of numbers, however they are had.
NUMBERS = {
    "list": lambda: [1.0, 2.0, 4.0],
    "array": lambda: np.array([1.0, 2.0, 4.0]),
    "generator": lambda: (value for value in (1.0, 2.0, 4.0)),
    "tensor": lambda: pytest.importorskip("torch").tensor([1.0, 2.0, 4.0]),
    "pandas": lambda: pytest.importorskip("pandas").Series([1.0, 2.0, 4.0]),
    "pandas, nullable": lambda: pytest.importorskip("pandas").Series([1, 2, 4], dtype="Int64"),
    "polars": lambda: pytest.importorskip("polars").Series([1.0, 2.0, 4.0]),
    "open CSV": lambda: io.StringIO("ds,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,4\n"),
    "open CSV with semicolons": lambda: io.StringIO(
        "ds;y\n2024-01-01;1,0\n2024-01-02;2,0\n2024-01-03;4,0\n"
    ),
}


@pytest.mark.parametrize("form", NUMBERS)
def test_series_of_numbers(form):
    assert forecast(NUMBERS[form]())[1] == [1.0, 2.0, 4.0]


def test_recordings():
    given = tones.recordings(3)
    wanted = [(one.text, one.sound.samples.tolist()) for one in given]
    audio = [{"array": one.sound.samples, "sampling_rate": one.sound.rate} for one in given]
    texts = [one.text for one in given]
    for source in (
        [{"audio": one, "text": text} for one, text in zip(audio, texts, strict=True)],
        DataSet({"audio": audio, "text": texts}),
        ([one.sound for one in given], texts),
        zip([one.sound for one in given], texts, strict=True),
    ):
        found = recordings_of(source, texts=True)
        assert [(one.text, one.sound.samples.tolist()) for one in found] == wanted


def test_texts_of_language_models(tmp_path):
    how = {"hidden": 4, "embedding": 4, "bptt": 8, "steps": 2, "batch": 4, "progress": False}
    text = prose(300)
    path = tmp_path / "corpus.txt"
    path.write_text(text)
    weights = []
    with path.open(encoding="utf-8") as file:
        for source in (
            {"data": path}, {"data": file}, {"text": text}, {"text": text.splitlines()},
            {"data": io.StringIO(text)}, {"text": iter(text.splitlines())},
        ):  # fmt: skip
            model = recurra.LanguageModel(**how).fit(**source)
            weights.append(model.files.tensors)
    assert text.endswith("\n")
    for other in weights[1:]:
        for name, tensor in weights[0].items():
            np.testing.assert_array_equal(tensor, other[name])
    lm = recurra.LanguageModel(**how)
    for wrong, told in (
        ({"data": text}, r"received a text of [\d,]+ characters: .* give it as text="),
        ({"data": path, "text": text}, "received both"),
        ({"text": ["a", 3]}, "text 1: expected a text, received int 3"),
        ({"text": ["a\nb"], "lines": True}, "expected one line"),
        ({"text": ""}, "received an empty one"),
    ):
        with pytest.raises(InputError, match=told) as error:
            lm.fit(**wrong)
        assert text[:20] not in str(error.value)


class Nothing:
    """No data of any kind."""


#: What is data for no task, and what the one line says of it.
REFUSED = {
    "None": (lambda: None, "received None"),
    "number": (lambda: 3, "received int 3"),
    "object": (Nothing, "received a Nothing"),
    "function": (lambda: len, "received a builtin"),
    "set": (lambda: {"a", "b"}, "received a set of 2"),
    "bytes": (lambda: b"abc", "received a bytes of 3"),
    "endless numbers": (lambda: Examples([]), "received|expected"),
    "sparse": (
        lambda: pytest.importorskip("scipy.sparse").csr_array(np.eye(3)),
        "which is sparse: make it dense",
    ),
    "data sets by name": (
        lambda: {"train": DataSet({"text": TEXTS, "label": LABELS})},
        r"give one, as data\['train'\]",
    ),
    "mappings that differ": (
        lambda: [{"text": "a", "label": "b"}, {"text": "a"}],
        "give each the same names",
    ),
    "read file": (lambda: _read(io.StringIO("a,b\n1,2\n")), "cannot be read from its beginning"),
    "a text": (lambda: "the cat sat on the mat", "a text of 22 characters: a text is not a path"),
}
#: What is wrong in another way for a model that reads no tables at all.
OF_TABLES = ("data sets by name", "mappings that differ")
MODELS = {
    "classify": lambda: recurra.SequenceClassifier(),
    "classify numbers": lambda: recurra.SequenceClassifier(inputs="numbers"),
    "tag": lambda: recurra.SequenceTagger(),
    "forecast": lambda: recurra.Forecaster(),
    "translate": lambda: recurra.Translator(),
    "transcribe": lambda: recurra.Transcriber(),
    "lm": lambda: recurra.LanguageModel(),
}


def _read(file):
    file.read()
    return file


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", REFUSED)
def test_everything_else_is_refused_in_one_line(model, kind):
    make, told = REFUSED[kind]
    told = "received a dict" if model == "lm" and kind in OF_TABLES else told
    with pytest.raises(InputError, match=told) as error:
        MODELS[model]().fit(make(), steps=1, progress=False)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_copies_of_open_files_go_with_them():
    file = io.StringIO('{"text": "a"}\n')
    path = path_of(file, "data", "a file")
    assert path_of(file, "data", "a file") == path
    assert path.suffix == ".jsonl"
    assert file.tell() == 0
    del file
    for _ in count():
        if not path.exists():
            break
