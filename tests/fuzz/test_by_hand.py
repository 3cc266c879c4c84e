"""Files that were made by hand to break a promise, and did: each is refused in a line now."""

import gzip
import io
import json
import os
import zipfile

import numpy as np
import pytest

import golden.outputs as golden
import recurra
from fuzz import directories
from fuzz.oracle import Fault, check
from recurra.baselines.finished import Finished
from recurra.data.tables import read_table
from recurra.errors import FormatError, InputError
from recurra.storage.jsonfile import read_json
from recurra.tasks.classifier.labelled import read_numbers, read_texts
from recurra.tasks.forecaster.series import read_series
from recurra.tasks.transcriber.recordings import read_recordings
from recurra.tasks.translator.pairs import read_pairs
from recurra.text import Corpus, load_tokenizer
from recurra.text.token_file import TokenFile

GOLDEN = golden.HERE


def npy(kind, shape, data=b""):
    head = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\0" + len(head).to_bytes(2, "little") + head + data


def npz(*members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return out.getvalue()


def lying():
    """A member of 300 MB whose heads say 1,000 bytes."""
    data = bytearray(npz(("x.npy", b"\0" * (300 << 20))))
    for mark, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = data.rfind(mark) + at
        data[place : place + 4] = (1000).to_bytes(4, "little")
    return bytes(data)


def dictionary():
    """A text of 100 kB, 200,000 times."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = pa.DictionaryArray.from_arrays(np.zeros(200_000, np.int32), ["x" * 100_000])
    out = io.BytesIO()
    parquet.write_table(pa.table({"text": rows, "label": ["a"] * 200_000}), out)
    return out.getvalue()


def twice():
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    out = io.BytesIO()
    parquet.write_table(pa.table([[1.0], [2.0]], names=["x", "x"]), out)
    return out.getvalue()


def tokenizer():
    text = (GOLDEN / "lm-bpe-lstm/model/tokenizer.json").read_bytes()
    return b'{"model": 1, ' + text.lstrip()[1:]


SMALL = npy("'<f4'", "(1, 1)", b"\0" * 4)

#: A file's name, its bytes, what reads it, and a part of what is said.
FILES = {
    "size that lies": ("a.npz", lying, read_numbers, "expected an .npz file"),
    "no characters": (
        "a.npz",
        lambda: npz(("x.npy", SMALL), ("y.npy", npy("'<U1'", "(1,)", b"\xff" * 4))),
        read_numbers,
        "no characters",
    ),
    "array twice": (
        "a.npz",
        lambda: npz(("x.npy", SMALL), ("x", SMALL)),
        read_numbers,
        "stands there twice",
    ),
    "deep numbers": (
        "a.jsonl",
        lambda: b'{"x": ' + b"[" * 900 + b"]" * 900 + b', "y": 1}\n',
        read_numbers,
        "lists in lists",
    ),
    "long texts of a dictionary": ("a.parquet", dictionary, read_texts, "texts of 20,000"),
    "column twice": ("a.parquet", twice, read_series, "stands there twice"),
    "no delimiter": (
        "a.csv",
        lambda: b"a,b\n1,2\n",
        lambda path: read_table(path, None, delimiter=""),
        "expected one character",
    ),
    "no months": (
        "a.csv",
        lambda: b"year\n2020\n",
        lambda path: read_series(path, layout="calendar"),
        "12 months or 4 quarters",
    ),
    "gzip in the name of pairs": (
        "a.tsv.gz",
        lambda: gzip.compress(b"a\tb\n" * (30 << 20), 1),
        read_pairs,
        "unpacks to more",
    ),
    "gzip of text": (
        "a.txt.gz",
        lambda: gzip.compress(b"ab" * (100 << 20), 1),
        lambda path: [len(line) for line in Corpus.open(path).chunks()],
        "unpacks to more",
    ),
    "path of 300 letters": (
        "m.tsv",
        lambda: b"a.tar/" + b"b" * 300 + b".tar/c.wav\thello\n",
        lambda path: list(read_recordings(path)),
        "cannot be read",
    ),
    "controls in a name": (
        "m.tsv",
        lambda: b"a\x1b[31m.wav\thello\n",
        lambda path: list(read_recordings(path)),
        r"a\x1b[31m.wav",
    ),
    "number that is none": (
        "a.json",
        lambda: b'{"a": {"b": 1, "b": -1e999.5}}',
        read_json,
        "stands twice",
    ),
    "number too large, and no JSON": ("a.json", lambda: b"[1e999.5]", read_json, "too large"),
    "key twice in a tokenizer": ("tokenizer.json", tokenizer, load_tokenizer, "stands twice"),
}


@pytest.mark.parametrize("name", FILES)
def test_files(name, tmp_path):
    file, make, read, told = FILES[name]
    path = tmp_path / file
    path.write_bytes(make())
    said = []

    def reading():
        try:
            read(path)
        except (InputError, FormatError) as error:
            said.append(str(error))
            raise

    assert check(reading, path.stat().st_size, seconds=10) is None
    assert said
    assert told in said[0]


HELD = {"format": "recurra-comparison", "version": 1, "identity": {}, "models": {}}
RECORDS = {
    "identity": {**HELD, "identity": [1]},
    "models": {**HELD, "models": None},
    "row": {**HELD, "models": {"ours": 1.5}},
    "result": {**HELD, "models": {"ours": {"budget": {}, "result": []}}},
}


@pytest.mark.parametrize("name", RECORDS)
def test_what_a_comparison_kept(name, tmp_path):
    (tmp_path / "finished.json").write_text(json.dumps(RECORDS[name]))
    with pytest.raises(FormatError, match="finished"):
        Finished(tmp_path, {}, fresh=False).get("ours", {})


@pytest.mark.parametrize("field", ["line_count", "vocab_size", "tokens", "eos_id", "corpus_name"])
@pytest.mark.parametrize("value", [[0], -1, 1.5, True, {"a": 1}, 1 << 70])
def test_what_is_said_of_tokens(field, value, tmp_path):
    source = GOLDEN / "run-lm" / "run" / "data"
    held = {**json.loads((source / "train.tokens.json").read_text()), field: value}
    (tmp_path / "train.tokens").write_bytes((source / "train.tokens").read_bytes())
    (tmp_path / "train.tokens.json").write_text(json.dumps(held))
    with pytest.raises(FormatError, match="expected"):
        TokenFile.open(tmp_path / "train.tokens")


@pytest.mark.parametrize("kind", ["lm-char-gru", "lm-byte-rnn", "classifier-numbers", "tagger-crf"])
def test_weights_of_two_widths_are_computed_as_one(kind, tmp_path):
    """Each tensor in turn of float64: the numbers are those of the model as it was."""
    from recurra.storage.tensors import read_tensors, write_tensors

    files = directories.contents(GOLDEN / kind / "model")
    tensors = read_tensors(GOLDEN / kind / "model" / "model.safetensors")
    ask = getattr(golden, next(f for k, f in directories.ASK.items() if kind.startswith(k)))
    _, expected = ask(GOLDEN / kind / "model")
    for name in tensors:
        path = tmp_path / "one.safetensors"
        write_tensors(path, {**tensors, name: tensors[name].astype(np.float64)})
        made = {**files, "model.safetensors": path.read_bytes()}
        directories.fill(tmp_path / "model", directories.sealed(made))
        _, numbers = ask(tmp_path / "model")
        for key, value in expected.items():
            np.testing.assert_allclose(numbers[key], value, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("value", ["", "x", "-1", "0", "1.5", "9" * 5000, "\u0662"])
def test_how_many_processes_there_are(value, monkeypatch):
    pytest.importorskip("torch")
    from recurra.train.distributed import declared

    monkeypatch.setenv("WORLD_SIZE", value)
    with pytest.raises(InputError, match="WORLD_SIZE: expected a whole number from 1 on"):
        declared()


#: The array, or the place in the state, of a stopped run's checkpoint, and what is there instead.
STATES = {
    "step of one byte": ("rnn.weight_hh_l0:step", lambda a: a.astype(np.int8)),
    "steps of no element": ("rnn.weight_hh_l0:step", lambda a: np.zeros(0, np.float32)),
    "moments too short": ("rnn.weight_hh_l0:exp_avg", lambda a: a[:1]),
    "moments of another width": ("rnn.weight_hh_l0:exp_avg_sq", lambda a: a.astype(np.float64)),
    "numpy's words": ("random/numpy", lambda a: a[:3]),
    "torch's bytes": ("random/torch", lambda a: a[:9]),
    "numpy's place": (("ranks", 0, "random", "numpy", 1), 10**6),
    "python's version": (("ranks", 0, "random", "python", 0), "3"),
    "no ranks": (("ranks",), 5),
    "a step before the first": (("position", "step"), -1),
    "a position of lists": (("position",), [1]),
    "a best validation without a loss": (("position", "best"), {"step": 8}),
    "a best validation in words": (("position", "best", "loss"), "3.1"),
    "a last validation of lists": (("position", "last", "perplexity"), [1]),
    "weights of no validation": (("position", "best"), None),
    "a state that is none": (("ranks", 0, "carried"), {"tuple": "a"}),
}


@pytest.mark.parametrize("name", STATES)
def test_a_checkpoint_is_held_against_the_run(name, tmp_path):
    """What a stopped run remembers goes to the kernels: shapes and types are looked at before."""
    pytest.importorskip("torch")
    from golden import runs
    from recurra.storage.tensors import read_tensors, write_tensors

    place, new = STATES[name]
    below = "checkpoints/step-10/"
    files = directories.contents(GOLDEN / "run-lm" / "run")
    if callable(new):
        directories.fill(tmp_path / "whole", files)
        arrays = read_tensors(tmp_path / "whole" / below / "tensors.safetensors")
        (key,) = [n for n in arrays if n.endswith(place)]
        write_tensors(tmp_path / "new.safetensors", {**arrays, key: new(arrays[key])})
        made = {f"{below}tensors.safetensors": (tmp_path / "new.safetensors").read_bytes()}
    else:
        state = json.loads(files[f"{below}state.json"])
        at = state
        for step in place[:-1]:
            at = at[step]
        at[place[-1]] = new
        made = {f"{below}state.json": json.dumps(state).encode()}
    directories.fill(tmp_path / "run", directories.sealed({**files, **made}, below))
    with pytest.raises((FormatError, InputError)) as caught:
        runs.RUNS["run-lm"](tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert "--fresh" in str(caught.value)


def test_paths_that_cannot_be(tmp_path):
    os.symlink("loop", tmp_path / "loop")
    for path in ("x" * 5000, "x\0y", tmp_path / "loop", tmp_path / ("y" * 300) / "z"):
        for read in (recurra.load, Corpus.open, read_pairs, lambda p: list(read_recordings(p))):
            try:
                assert check(lambda read=read, path=path: read(path), 0) is None
            except Fault as fault:
                raise AssertionError(f"{str(path)[:20]}: {fault}") from fault


#: Settings of models that asked for gigabytes, or ended in a traceback: kind, path, value, words.
MODELS = {
    "a tag without a type": ("tagger-crf", ("tags", 4), "", "is none of entities"),
    "a rate of gigabytes": ("transcriber-word", ("features", "rate"), 1 << 31, "window and mels"),
    "a rate of petabytes": ("transcriber-word", ("features", "rate"), 1 << 62, "window and mels"),
    "the model's own": ("transcriber-word", ("model", "rate"), 1 << 62, "window and mels"),
    "a context of minutes": ("lm-transformer", ("model", "context"), 1 << 40, "at most 65536"),
    "a mixture of none": ("lm-mixture", ("models",), 5, "expected a list"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models(name, tmp_path):
    kind, place, value, words = MODELS[name]
    if kind == "lm-transformer":
        pytest.importorskip("torch")
    files = directories.contents(GOLDEN / kind / "model")
    config = json.loads(files["config.json"])
    at = config
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    made = {**files, "config.json": json.dumps(config).encode()}
    directories.fill(tmp_path / "model", directories.sealed(made))

    def read():
        with pytest.raises(FormatError, match=words) as caught:
            directories.answers(kind, tmp_path / "model")
        raise caught.value

    assert check(read, len(made["config.json"]), seconds=5) is None
