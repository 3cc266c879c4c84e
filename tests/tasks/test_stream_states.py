"""The state of a stream is immutable, a bounded and hashed file, and goes on in another process."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import recurra
from golden.outputs import HERE
from recurra.errors import FormatError, InputError
from recurra.runtime import StreamState
from recurra.storage import read_metadata, read_tensors, write_tensors
from recurra.tasks.catalog import ENTRIES
from tasks.streamed import STREAMED, pieces_of


def test_a_state_is_immutable():
    stream = recurra.load(HERE / "lm-char-lstm" / "model").open_stream()
    stream.push("the big")
    state = stream.state
    with pytest.raises(ValueError, match="read-only"):
        state.arrays["ids"][0] = 1
    with pytest.raises(TypeError):
        state.values["held"] = "x"
    given = {"a": np.ones(3)}
    made = StreamState("kind", "model", given, {"n": [1]})
    given["a"][0] = 5
    assert made.arrays["a"].tolist() == [1, 1, 1]
    assert made.nbytes < 100


#: Goes on from a state in a process in which torch cannot be imported.
RESUME = """
import sys
sys.modules["torch"] = None
import recurra
from recurra.runtime import StreamState
model = recurra.load(sys.argv[1])
stream = model.open_stream(state=StreamState.load(sys.argv[2]))
print(repr(str(stream.push("l")) + "".join(p.text for p in stream.write(max_tokens=40, seed=5))))
stream.state.save(sys.argv[3])
"""


def test_another_process_without_torch_goes_on(tmp_path):
    path = HERE / "lm-char-lstm" / "model"
    stream = recurra.load(path).open_stream()
    for _ in zip(range(7), stream.write("the big ", max_tokens=40, seed=5), strict=False):
        pass
    stream.state.save(tmp_path / "there")
    run = subprocess.run(
        [sys.executable, "-c", RESUME, str(path), str(tmp_path / "there"), str(tmp_path / "back")],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    expected = str(stream.push("l"))
    expected += "".join(piece.text for piece in stream.write(max_tokens=40, seed=5))
    assert run.stdout.strip() == repr(expected)
    assert StreamState.load(tmp_path / "back") == stream.state


#: Pushes the rest of a sequence, and prints all that is said of it.
REST = """
import pickle, sys
sys.modules["torch"] = None
import recurra
from recurra.runtime import StreamState
model = recurra.load(sys.argv[1])
stream = model.open_stream(state=StreamState.load(sys.argv[2]))
with open(sys.argv[3], "rb") as file:
    said = [str(stream.push(frame)) for frame in pickle.load(file)]
print(repr([*said, str(stream.finish())]))
stream.state.save(sys.argv[4])
"""


@pytest.mark.parametrize("word", [entry.word for entry in ENTRIES])
def test_each_task_goes_on_in_another_process(word, tmp_path):
    row = next(one for one in STREAMED.values() if one.word == word)
    model = row.make()
    path = model.save(tmp_path / "model")
    frames = [row.frame(piece) for piece in pieces_of(row, model)]
    stream = row.open(model)
    for frame in frames[:3]:
        stream.push(frame)
    stream.state.save(tmp_path / "there")
    (tmp_path / "frames").write_bytes(pickle.dumps(frames[3:]))
    names = [str(tmp_path / name) for name in ("there", "frames", "back")]
    run = subprocess.run(
        [sys.executable, "-c", REST, str(path), *names],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    said = [str(stream.push(frame)) for frame in frames[3:]]
    assert run.stdout.strip() == repr([*said, str(stream.finish())])
    assert StreamState.load(tmp_path / "back") == stream.state


@pytest.fixture
def saved(tmp_path):
    stream = recurra.load(HERE / "lm-char-lstm" / "model").open_stream()
    stream.push("the big")
    return stream.state.save(tmp_path / "state")


def test_a_damaged_file_is_refused(saved, tmp_path):
    raw = saved.read_bytes()
    for at in range(0, len(raw), 7):
        changed = bytearray(raw)
        changed[at] ^= 0x40
        saved.write_bytes(bytes(changed))
        with pytest.raises(FormatError) as caught:
            StreamState.load(saved)
        assert "\n" not in str(caught.value)
    saved.write_bytes(raw[:-3])
    with pytest.raises(FormatError):
        StreamState.load(saved)
    with pytest.raises(FormatError, match="no such file"):
        StreamState.load(tmp_path / "none")
    write_tensors(saved, {"a": np.ones(3)})
    with pytest.raises(FormatError, match=r"expected a state that StreamState\.save wrote"):
        StreamState.load(saved)


def test_a_newer_file_says_so(saved):
    tensors, told = read_tensors(saved), read_metadata(saved)
    write_tensors(saved, tensors, {**told, "version": "2"})
    with pytest.raises(FormatError, match="reads 1: upgrade"):
        StreamState.load(saved)


def test_a_state_is_bounded(saved, monkeypatch):
    state = StreamState.load(saved)
    monkeypatch.setenv("RECURRA_LIMIT_STREAM", "100")
    with pytest.raises(InputError, match="more than the 100 that are read back"):
        state.save(saved)
    saved.write_bytes(saved.read_bytes() + bytes(3 << 20))
    with pytest.raises(FormatError):
        StreamState.load(saved)
