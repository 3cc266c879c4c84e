"""Public functions, readers and verbs with valid and nearly valid values, drawn from a seed: the
result is a result, or one error of ours in one line."""

import copy
import math
import zlib

import numpy as np
import pytest

from project import odd_calls
from recurra.errors import FormatError, InputError
from tasks import odd_values

# A rate of dropout that does nothing is warned of, not refused.
pytestmark = pytest.mark.filterwarnings("ignore:dropout acts")
#: How many changes of arguments, and of a file's bytes, are tried for each function.
CHANGES, CUTS = 25, 20


def outcome(call, *given, **settings):
    """The one line of our error, or None where the call went well; any other error is a failure."""
    try:
        call(*given, **settings)
    except (InputError, FormatError) as error:
        line = str(error)
        assert "\n" not in line, line
        assert 0 < len(line) < 700, line
        return line
    return None


def odd():
    """Values by name: those of any kind, and numbers and texts at the edges."""
    more = {
        "-1": -1,
        "0": 0,
        "1": 1,
        "2": 2,
        "1.5": 1.5,
        "False": False,
        "numpy 3": np.int64(3),
        "minus infinity": -math.inf,
        "word": "bad",
        "word char": "char",
        "names": ["text", "label"],
        "tuple of texts": ("a", "b"),
    }
    return odd_values.values() | more


def near(value):
    """The value itself, hardly changed."""
    import torch

    found = {"copied": copy.deepcopy(value)}
    if isinstance(value, torch.Tensor):
        found |= {"double": value.double(), "whole": value.long(), "half": value.half()}
        found |= {
            "longer": torch.cat([value, value]),
            "nothing": value[:0],
            "nan": value * math.nan,
        }
        found |= {
            "complex": value.to(torch.complex64),
            "turned": value.transpose(0, -1),
            "meta": value.to("meta"),
        }
        found |= {"deeper": value[None], "flat": value[0], "sparse": value.to_sparse()}
    elif isinstance(value, np.ndarray):
        found |= {"longer": np.concatenate([value, value]), "nothing": value[:0]}
        found |= {
            "texts": value.astype(str),
            "objects": value.astype(object),
            "deeper": value[None],
        }
        found |= {"list": value.tolist(), "first": value[0]}
    elif isinstance(value, list | tuple) and value:
        found |= {"longer": value * 2, "first": value[0], "with None": [*value, None]}
        found |= {"pair": (value, value), "nothing": value[:0], "with 5": [5, *value]}
    elif isinstance(value, dict):
        found |= {f"with {k}": {**value, "more": v} for k, v in (("None", None), ("5", 5))}
        found |= {f"replaced by {v}": dict.fromkeys(value, v) for v in (None, "a", 3, [1, "b"])}
    return found


def changed(name, function, given, count):
    """Call a function with one or two arguments replaced, by values drawn from a seed."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    arguments = list(given)
    failures, refused = [], 0
    # Every argument is None once, and each of its near values once.
    planned = [{k: (what, v)} for k in arguments for what, v in near(given[k]).items()]
    planned += [{k: ("None", None)} for k in arguments]
    for _ in range(count):
        chosen = random.choice(arguments, min(len(arguments), int(random.integers(1, 3))), False)
        values = odd()
        planned.append(
            {str(k): (w, values[w]) for k in chosen for w in [str(random.choice(list(values)))]}
        )
    for plan in planned:
        values = {k: v for k, (_, v) in plan.items()}
        try:
            refused += outcome(function, **{**given, **values}) is not None
        except Exception as error:
            shown = ", ".join(f"{k}={what}" for k, (what, _) in plan.items())
            failures.append(f"{name}({shown}): {type(error).__name__}: {str(error)[:150]}")
    assert not failures, f"{len(failures)} of {len(planned)}\n" + "\n".join(failures)
    return refused


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return odd_calls.files(tmp_path_factory.mktemp("data"))


READERS = [
    "read_texts csv",
    "read_texts jsonl",
    "read_numbers csv",
    "read_numbers npz",
    "read_table",
    "read_series",
    "read_tagged",
    "read_tagged conllu",
    "read_pairs",
    "read_wav",
    "read_recordings",
    "Corpus.open",
]


@pytest.mark.parametrize("name", READERS)
def test_arguments_of_readers(name, paths, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = odd_calls.readers(paths)
    assert list(rows) == READERS
    function, source, settings = rows[name]
    assert outcome(function, source, **settings) is None
    assert (
        changed(
            name,
            lambda source, **how: function(source, **how),
            {"source": source, **settings},
            CHANGES,
        )
        > 0
    )


@pytest.mark.parametrize("name", READERS)
def test_files_that_are_nearly_right(name, paths, tmp_path):
    """Bytes are cut out, doubled, replaced: what is read is read, or refused."""
    function, source, settings = odd_calls.readers(paths)[name]
    source = source[0] if isinstance(source, list) else source
    whole, random = source.read_bytes(), np.random.default_rng(zlib.crc32(name.encode()))
    target = tmp_path / source.name
    (tmp_path / "sound.wav").write_bytes(paths["sound.wav"].read_bytes())
    failures = []
    for _ in range(CUTS):
        start, end = sorted(random.integers(0, min(len(whole), 400), 2))
        piece = [b"", whole[start:end] * 2, random.bytes(3), b",,", b"\n\n", b"\t", b'"', b"1e999"]
        target.write_bytes(whole[:start] + piece[random.integers(len(piece))] + whole[end:])
        for how in ({}, {"skip_bad": True}) if "skip_bad" in settings else ({},):
            try:
                outcome(function, target, **{**settings, **how})
            except Exception as error:
                failures.append(
                    f"{target.read_bytes()[:80]} {how}: {type(error).__name__}: {error}"
                )
    assert not failures, "\n".join(failures)


TABLES = {
    "metrics": odd_calls.metrics,
    "texts": odd_calls.texts,
    "layers": odd_calls.layers,
    "models": odd_calls.models,
}


@pytest.mark.parametrize("table", TABLES)
def test_arguments(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failures = []
    for name, (function, given) in TABLES[table]().items():
        assert outcome(function, **given) is None, name
        try:
            changed(name, function, given, CHANGES)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


def test_conversions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failures = []
    for name, (function, given) in odd_calls.exports(tmp_path).items():
        assert outcome(function, **given) is None, name
        try:
            changed(name, function, given, CHANGES)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)
