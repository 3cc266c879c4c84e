"""The C++ of the cells: fresh, named by what is not default, and refused where it cannot be."""

import subprocess
import sys

import pytest

from conftest import ROOT
from recurra.cells import sigmoid, tanh
from recurra.cells.definition import Cell
from recurra.cells.emit import header, key
from recurra.cells.registry import find
from recurra.errors import InputError


def test_generated_files_are_fresh():
    command = [sys.executable, str(ROOT / "native" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "gru"),
        ({"bias": False}, "gru"),
        ({"reset": "before", "norm": True}, "gru_norm_before"),
        ({"activation": "relu"}, "gru_relu"),
        ({"recurrent_activation": "hard_sigmoid"}, "gru_by_hard_sigmoid"),
    ],
)
def test_key(options: dict[str, str | bool], expected: str):
    assert key(find("gru").program(**options)) == expected


def test_forward_reads_like_the_equations():
    text = header(find("lstm").program())
    assert "const V c = f * p.old(b, 1) + i * g;" in text
    assert "const V h = o * tanh(c);" in text


@pytest.mark.parametrize(
    ("cell", "options", "kept", "slots"),
    [
        ("lstm", {}, 4, "4, 0"),
        ("gru", {"reset": "before"}, 4, "4, 0"),
        ("rnn", {"norm": True}, 2, "2, 0"),
        ("gru", {"norm": True}, 9, "6, 0"),
        # of both products their values and gradients, and the gates; nothing that leads there
        ("lstm", {"norm": True}, 12, "8, 0"),
        ("lstm", {"norm": True, "projection": True}, 13, "9, 1"),
    ],
)
def test_what_a_unit_takes_in_memory(cell: str, options: dict, kept: int, slots: str):
    text = header(find(cell).program(**options))
    assert f"/* kept */ {kept}," in text
    assert f"/* slots */ {{{slots}}}," in text


def test_too_many_gates():
    names = [f"a{n}" for n in range(65)]

    def crowded(x, u, h, opt):
        a = x + u(h)
        total = tanh(getattr(a, names[0]))
        for name in names[1:]:
            total = total * sigmoid(getattr(a, name))
        return {"h": total}

    with pytest.raises(InputError, match="65 gates, where kernels have at most 64"):
        header(Cell(crowded, states="h", gates=" ".join(names)).program())
