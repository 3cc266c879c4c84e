"""Every part of `make bench` is there to be run, and every target finds its figures' names."""

from importlib import import_module

import pytest

from bench import single
from bench.__main__ import OWN, PLANNED
from bench.targets import TARGETS
from bench.work import CELLS
from recurra import native

needs_kernels = pytest.mark.skipif(not native.available(), reason="needs the kernels")


@pytest.mark.parametrize("where", [*PLANNED.values(), *OWN.values()])
def test_a_part_can_be_called(where):
    module, _, name = where.partition(":")
    assert callable(getattr(import_module(module), name))


@needs_kernels
@pytest.mark.parametrize("cell", CELLS)
def test_one_step_is_measured_in_both_ways(monkeypatch, cell):
    monkeypatch.setattr(single, "PLAN", single.PLAN._replace(rounds=1, seconds=0.001))
    monkeypatch.setattr(single, "CELLS", (cell,))
    monkeypatch.setattr(single, "STREAMS", (20,))
    forward, training = single.measure()
    assert min(forward[k] for k in ("recurra.nn", "stepper", single.SHARE)) > 0
    assert training["ratio"] > 0
    results = {"single": {"rows": [forward, training]}}
    found = [target for target in TARGETS if target.points(results)]
    assert {target.against for target in found} == {"1.15 of our stepper + 15 us", "torch"}
