"""Every write, fsync, rename and the like fails once: all or nothing, and told in one line."""

import errno

import numpy as np
import pytest

from recurra.errors import FormatError, InputError
from recurra.storage import Checkpoints, read_json, read_model, save_model, write_json
from storage.faults import ERRORS, failing


def model(folder, value):
    weights = {"w": np.full((3, 5), value, np.float32)}
    save_model(
        folder / "model", config={"task": "t"}, tensors=weights, tokenizer={}, card=str(value)
    )


def checkpoint(folder, value):
    arrays = {"w": np.full((3, 5), value, np.float32)}
    Checkpoints(folder / "checkpoints").write(int(value), arrays, {"value": value})


def file(folder, value):
    write_json(folder / "file.json", {"value": value})


def model_value(folder):
    files = read_model(folder / "model")
    assert files.card == str(files.tensors["w"][0, 0])
    return float(files.tensors["w"][2, 4])


def checkpoint_value(folder):
    latest, skipped = Checkpoints(folder / "checkpoints").latest()
    assert not skipped
    assert latest.tensors["w"][2, 4] == latest.state["value"]
    return latest.state["value"]


#: What writes a value into a folder, and what reads it and finds that all of it belongs together.
KINDS = {
    "model": (model, model_value),
    "checkpoint": (checkpoint, checkpoint_value),
    "file": (file, lambda folder: read_json(folder / "file.json")["value"]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("exchange", [True, False])
def test_what_stood_there_stays_or_is_replaced_whole(tmp_path, kind, error, exchange):
    write, read = KINDS[kind]
    for at in range(1, 200):
        folder = tmp_path / f"{at}"
        folder.mkdir()
        write(folder, 1.0)
        problem = None
        with failing(at, error, exchange=exchange) as faults:
            try:
                write(folder, 2.0)
            except (InputError, FormatError) as caught:
                problem = caught
        assert read(folder) in ((1.0, 2.0) if faults.reached else (2.0,)), (at, faults.what)
        if problem is None:
            assert read(folder) == 2.0, (at, faults.what)
        else:
            assert "\n" not in str(problem)
            assert str(folder) in str(problem), (at, faults.what)
        if faults.what != "unlink":
            left = [p.name for p in folder.rglob(".*") if ".tmp-" in p.name]
            assert left == [], (at, faults.what)
        write(folder, 3.0)
        assert read(folder) == 3.0
        if not faults.reached:
            assert at > 3
            return
    raise AssertionError("it never comes to an end")
