"""Some executions of every fuzz target, with fixed numbers: the long hunts are `make fuzz`."""

import os
import time

import pytest

from fuzz.mutations import some_bytes
from fuzz.oracle import Fault, check, peak
from fuzz.targets import CORPUS, TARGETS
from fuzz.trial import execute, home, numbered
from recurra.errors import FormatError, InputError, RecurraWarning

#: Executions, and how many a target has that trains or loads models.
COUNT = int(os.environ.get("FUZZ_COUNT", "150"))
FEWER = {"run": 3, "model": 40, "checkpoint": 60, "manifest": 60, "onnx": 60}
NEEDS = {"parquet": "pyarrow", "onnx": "onnx", "run": "torch", "environment": "torch"}


@pytest.fixture
def folder():
    import shutil

    made = home()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.parametrize("name", TARGETS)
def test_any_input_is_answered_or_refused_in_a_line(name, folder, monkeypatch):
    for module in filter(None, [NEEDS.get(name)]):
        pytest.importorskip(module)
    # Besides others on a busy machine: what takes for ever does so here, too.
    monkeypatch.setattr("fuzz.oracle.BUSY", 5)
    for number in range(FEWER.get(name, COUNT)):
        execute(name, numbered(name, number), folder)


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_wrong_once_is_not_again(name, folder):
    """Inputs that broke a promise before: corpus/TARGET-faults."""
    for path in sorted((CORPUS / f"{name}-faults").glob("*")):
        execute(name, path.read_bytes(), folder)


def wrong(kind):
    def read():
        if kind == "raw":
            raise KeyError("a")
        if kind == "two lines":
            raise _LinesError("a")
        if kind == "long":
            raise _LinesError("x" * 3000)
        if kind == "slow":
            end = time.process_time() + 0.3
            while time.process_time() < end:
                pass
        if kind == "large":
            return bytearray(b"\1") * (peak() + (64 << 20))  # above what this process ever had
        return kind

    return read


class _LinesError(FormatError):
    def __str__(self):
        return f"{self.args[0]}\nb"


@pytest.mark.parametrize("kind", ["raw", "two lines", "long", "slow", "large"])
def test_the_oracle_sees_what_is_wrong(kind):
    with pytest.raises(Fault):
        check(wrong(kind), 10, seconds=0.1, room=1 << 20)
    assert check(wrong("fine"), 10) == "fine"


def test_numbers_are_inputs_that_stay():
    assert numbered("wav", 3) == numbered("wav", 3)
    assert len({numbered("wav", n) for n in range(50)}) == 50


SAID = ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\ud800b", "a\u202eb", "x" * 100_000, "a\0b"]


@pytest.mark.parametrize("kind", [InputError, FormatError, RecurraWarning])
def test_an_error_is_one_line_whatever_it_quotes(kind):
    for said in SAID:
        text = str(kind(f"here: {said}"))
        assert text.startswith("here: ")
        assert len(text.splitlines()) == 1
        assert len(text) <= 2000
        assert text.isprintable()
        text.encode()
    assert str(kind("plain text, é")) == "plain text, é"


def test_damage_changes_bytes():
    import random

    data = bytes(range(256))
    assert sum(some_bytes(data, random.Random(n)) != data for n in range(100)) > 90
