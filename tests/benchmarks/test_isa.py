"""A run that is restricted to an instruction set keeps everybody to it, by their own account."""

import subprocess
import sys

import pytest

from bench import isa, page
from bench.peak import WIDTHS
from conftest import ROOT
from recurra import native

#: What a library says of itself in such a run.
SAYS = {
    "recurra": "from recurra import native; print(native.isa())",
    "torch": "import torch; print(torch.backends.cpu.get_cpu_capability())",
}
WORDS = {("recurra", "v3"): "v3", ("torch", "v3"): "AVX2"}


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("name", isa.SWITCHES)
@pytest.mark.parametrize("library", isa.SWITCHED)
def test_a_library_is_kept_to_it(name, library):
    if name not in native.isas():
        pytest.skip(f"this processor has no {name}")
    code = f"from bench import isa; isa.restrict({name!r})\n{SAYS[library]}"
    assert run("-c", code).stdout.strip() == WORDS[library, name]


@pytest.mark.parametrize("name", isa.SWITCHES)
def test_who_has_no_switch_is_refused(name):
    done = run("-m", "bench", "--isa", name, "--peers", "recurra", "onnxruntime")
    assert done.returncode == 2
    assert "there is no switch that restricts onnxruntime" in done.stderr


def test_an_unknown_set_is_refused():
    assert run("-m", "bench", "--isa", "v9").returncode == 2


def test_each_set_has_a_probe_and_a_name():
    assert isa.SWITCHES.keys() == isa.BITS.keys() == isa.NAMES.keys()
    assert set(isa.BITS.values()) <= {bits for bits, _ in WIDTHS}


def test_the_page_has_its_tables():
    record = {
        "date": "2026-01-02",
        "command": "python -m bench --isa v3",
        "machine": {"processor": "P", "threads": 2, "system": "Linux x", "kernels": "v3"},
        "versions": {"python": "3.11"},
    }
    probe = {"what": "multiply-adds", "unit": "GFLOP/s", "1 thread": 100, "2 threads": 200}
    row = {
        "what": "training",
        "cell": "lstm",
        "size": [64, 128, 512],
        "flop": 150_000_000,
        "unit": "ms",
        "values": {"recurra": {"median": 1.0, "quartiles": [1.0, 1.0], "form": "f"}},
        "ratios": {"torch": {"median": 1.5, "quartiles": [1.25, 1.75]}},
    }
    written = page.page(
        {"peak v3": {**record, "rows": [probe]}, "grid v3": {**record, "rows": [row]}}
    )
    assert "## AVX2 alone: forward + backward" in written
    assert "| lstm | 64×128×512 | 1 | 150 | 75 % | ×1.50 (1.25–1.75) |" in written
    assert "| AVX2: forward + backward, LSTM | torch | mean ≥ 1.3, each ≥ 1 | 1.50 |" in written
