"""The example runs, learns, and stays short enough to be read."""

import math
import subprocess
import sys

import pytest
import torch

from conftest import ROOT, example

PATH = ROOT / "examples" / "char_rnn.py"
TEXT = "the quick brown fox jumps over the lazy dog.\n" * 120


@pytest.fixture(scope="module")
def char_rnn():
    return example("char_rnn")


def test_the_loss_falls(char_rnn, tmp_path, capsys):
    file = tmp_path / "text.txt"
    file.write_text(TEXT, encoding="utf-8")
    with torch.random.fork_rng():
        losses = char_rnn.main([str(file), "--steps", "40", "--hidden", "32", "--every", "20"])
    guess = math.log(len(set(TEXT)))
    assert len(losses) == 40
    assert losses[0] == pytest.approx(guess, abs=0.3)
    assert losses[-1] < 0.8 * losses[0]
    shown = capsys.readouterr().out
    assert f"guessing costs {guess:.3f} nats" in shown
    steps = [line for line in shown.splitlines() if line.startswith("step")]
    assert [line.split()[1] for line in steps] == ["20", "40"]
    valid = [float(line.split()[5]) for line in steps]
    assert valid[1] < valid[0] < guess
    assert len(shown.split("nats per character\n")[-1]) == 501  # the sample, and a line end


def test_targets_follow_their_inputs(char_rnn):
    streams = char_rnn.cut_streams(torch.arange(10), 3)
    assert streams.tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


def test_validation_is_the_mean_over_the_text(char_rnn):
    """In segments as in one go, the last of them shorter."""
    torch.manual_seed(0)
    model = char_rnn.CharRNN(5, 4)
    ids = torch.randint(5, (char_rnn.B * 150,))
    streams = char_rnn.cut_streams(ids, char_rnn.B)
    with torch.no_grad():
        expected = char_rnn.mean_loss(model(streams[:-1])[0], streams[1:]).item()
    assert char_rnn.validate(model, ids) == pytest.approx(expected, abs=1e-5)


def test_it_is_short_and_has_no_toolkit_in_it():
    lines = PATH.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    imports = [line for line in lines if line.startswith(("import", "from"))]
    assert [line for line in imports if "recurra" in line] == ["from recurra.nn import LSTM"]


def test_a_text_too_short_is_refused(tmp_path):
    file = tmp_path / "short.txt"
    file.write_text("abc", encoding="utf-8")
    command = [sys.executable, str(PATH), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "3 characters are too few" in done.stderr
    assert "Traceback" not in done.stderr
