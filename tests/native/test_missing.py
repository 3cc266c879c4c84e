"""Without the compiled module everything runs, and says once that it is slow, why, and the cure."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from conftest import ROOT
from recurra import native
from recurra.cells import find
from recurra.errors import InputError
from recurra.native import library, missing

SOURCE = ROOT / "src" / "recurra"

#: Uses a layer, a layer of the runtime, and a cell of one's own, each twice.
PROGRAM = """
import json, sys, warnings
sys.path[:0] = [sys.argv[1]]
# An editable installation is found by a hook that comes before any path.
sys.meta_path[:] = [f for f in sys.meta_path if "Redirecting" not in type(f).__name__]
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    import numpy as np
    import recurra
    from recurra import native
    from recurra.cells import cell, find, tanh
    from recurra.runtime.layer import on_kernels
    before = len(told)
    @cell(states="h", gates="g")
    def small(x, u, h, opt):
        return dict(h=tanh(x.g + 0.5 * u(h).g))
    weights = {"w": np.zeros(1, np.float32)}
    found = [on_kernels(p.program(), weights) for p in (find("lstm"), small) * 2]
    for torch_too in sys.argv[2:]:
        import torch
        from recurra import nn
        y, _ = nn.LSTM(3, 4)(torch.zeros(2, 1, 3))
        nn.Recurrent(small, 3, 4)(torch.zeros(2, 1, 3))
print(json.dumps(dict(
    where=recurra.__path__[0], before=before, found=found, available=native.available(),
    why=native.unavailable(), told=[(w.category.__name__, str(w.message)) for w in told],
)))
"""


def run(path: Path, *more: str, **environment: str) -> dict:
    """What the program reports where `path` is the first place that Python looks in."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RECURRA_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), *more],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def installed(tmp_path):
    """A folder with the package, as it is installed where there was no compiler."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "recurra").mkdir()
    for entry in SOURCE.iterdir():
        if not entry.name.startswith("_native"):
            (tmp_path / "site" / "recurra" / entry.name).symlink_to(entry)
    return tmp_path / "site"


def one_line(found: dict) -> str:
    assert found["found"] == [False] * 4
    assert not found["available"]
    assert found["before"] == 0, "importing it is not using it"
    ((category, text),) = found["told"]
    assert category == "RecurraWarning"
    assert "\n" not in text
    assert text.startswith("recurra runs without its compiled kernels, 3 to 30 times slower: ")
    assert text.endswith("(RECURRA_KERNELS=off in the environment silences this)")
    assert found["why"] in text
    return found["why"]


def test_an_installation_without_a_compiler(installed):
    why = one_line(run(installed, "torch"))
    assert why.startswith("recurra was installed without a C++ compiler: install one (g++ or clang")
    assert why.endswith(f"{sys.executable} -m pip install --force-reinstall --no-cache-dir recurra")


def test_a_checkout_on_the_path(installed):
    root = installed.parent / "checkout"
    (root / "native").mkdir(parents=True)
    (root / "native" / "CMakeLists.txt").touch()
    (root / "pyproject.toml").touch()
    installed.rename(root / "src")
    why = one_line(run(root / "src"))
    assert why.startswith(
        f"{root} is a checkout, on the path without its compiled part: take it of"
    )


def test_a_module_of_another_python(installed):
    name = "_native.cpython-27-hurd-gnu.so"
    (installed / "recurra" / name).write_bytes(b"")
    assert f"{name} is of another Python than this one (_native." in one_line(run(installed))


def test_a_module_that_does_not_load(installed):
    import sysconfig

    name = "_native" + sysconfig.get_config_var("EXT_SUFFIX")
    (installed / "recurra" / name).write_bytes(b"no such thing")
    why = one_line(run(installed))
    assert why.startswith("_native cannot be loaded (")
    assert "install it anew" in why


@pytest.mark.parametrize("value", ["off", "OFF"])
def test_what_was_switched_off_says_nothing(installed, value):
    found = run(installed, "torch", RECURRA_KERNELS=value)
    assert not found["available"]
    assert found["told"] == []


@pytest.mark.parametrize("variable", ["RECURRA_KERNELS", "RECURRA_COMPILE"])
def test_a_value_that_means_nothing_is_refused(monkeypatch, variable):
    for value, expected in {"": False, "on": False, "off": True, " Off": True}.items():
        monkeypatch.setenv(variable, value)
        assert missing.switched_off(variable) == expected
    monkeypatch.setenv(variable, "0")
    with pytest.raises(InputError, match=f"{variable}='0': expected off, or on"):
        missing.switched_off(variable)


def test_who_asks_whether_they_are_there_is_not_warned(monkeypatch):
    monkeypatch.setattr(library, "_native", None)
    monkeypatch.setattr(library, "OFF", False)
    monkeypatch.setattr(missing, "_told", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not native.available()
        assert native.isas() == ()
    with pytest.warns(match="3 to 30 times slower") as told:
        used = native.usable(), native.usable(), native.find.__wrapped__(find("gru").program())
    assert used == (False, False, None)
    assert len(told) == 1
