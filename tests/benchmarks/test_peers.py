"""Every library computes the same in each of its forms, in a process of its own.

Those of the `bench` extra are judged where they are installed; torch always is.
"""

import time

import numpy as np
import pytest

from bench import worker
from bench.peers import PEERS
from bench.turns import (
    Contender,
    Library,
    Measured,
    MissingError,
    Plan,
    compare,
    libraries,
    ready,
    turns,
    within_reach,
)
from bench.work import CELLS, OPTIONS, Text, Work
from recurra import native

pytestmark = pytest.mark.peers

PLAN = Plan(rounds=2, seconds=0.001, threads=1, peers=PEERS)
KINDS = ("training", "inference", "step")

needs_kernels = pytest.mark.skipif(not native.available(), reason="needs the kernels")


@pytest.fixture(scope="module")
def ours():
    with libraries({"recurra": "bench.peers.recurra"}, 1) as (library,):
        yield library


@pytest.fixture(scope="module", params=[p for p in PEERS if p != "recurra"])
def theirs(request):
    try:
        library = Library(request.param, f"bench.peers.{request.param}", 1)
    except MissingError as error:
        pytest.skip(f"make bench installs it: {error}")
    yield library
    library.close()


@needs_kernels
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", CELLS)
def test_equal_results(ours, theirs, cell, kind):
    batch, steps = (1, 1) if kind == "step" else (3, 6)
    work = Work(kind, cell, batch, steps, 20)
    made = ready([ours, theirs], work._asdict(), PLAN)
    assert theirs.name in made or (theirs.name, kind) == ("onnxruntime", "training")
    forms = {name: [c.form for c in contenders] for name, contenders in made.items()}
    for name, found in turns(made, PLAN).items():
        assert len(found.times) == PLAN.rounds
        assert min(found.times) > 0
        assert found.form in forms[name]


@needs_kernels
def test_options_run(ours):
    work = Work("training", "lstm", 3, 4, 8)
    for option in OPTIONS:
        ((made,),) = ready([ours], {**work._asdict(), "option": option}, PLAN).values()
        assert made.form == option


@needs_kernels
def test_the_same_text(tmp_path):
    from recurra import LanguageModel

    path = tmp_path / "text.txt"
    path.write_text("abcdefg " * 400)
    model = LanguageModel(hidden=16)
    model.fit(path, steps=5, progress=False)
    text = Text(str(model.save(tmp_path / "model")), 30, prompt="ab", top_k=3, compared=50)
    modules = {name: f"bench.peers.{name}_text" for name in ("recurra", "torch")}
    with libraries(modules, 1) as there:
        made = ready(there, text._asdict(), PLAN)
    assert list(made) == ["recurra", "torch"]


class Slow:
    """A library whose calls take as long as their keys say, round by round."""

    name = "slow"

    def __init__(self) -> None:
        self.given = {"even": [2.0, 2.0, 2.0], "fast once": [1.0, 5.0, 6.0], "out": [9.0, 9.0]}
        self.dropped: list[str] = []

    def block(self, key: str, seconds: float) -> float:
        return self.given[key].pop(0)

    def ask(self, request: str, *, key: str) -> None:
        assert request == "drop"
        self.dropped.append(key)


def test_the_form_that_is_fastest_in_most_rounds_counts():
    library = Slow()
    made = {"slow": [Contender(library, key, f"form {key}") for key in ("even", "fast once")]}
    found = turns(made, PLAN._replace(rounds=3))
    assert found == {"slow": Measured([2.0, 2.0, 2.0], "form even")}
    assert library.dropped == ["even", "fast once"]


def test_forms_out_of_reach_are_dropped():
    library = Slow()
    made = [Contender(library, key, key) for key in ("even", "out")]
    assert within_reach(made, PLAN) == made[:1]
    assert library.dropped == ["out"]


def test_work_counts_the_products():
    # One step of one row: 4 gates of 3 units, each 3 + 3 multiply-adds, of 2 each.
    assert Work("inference", "lstm", 1, 1, 3).flop == 4 * 3 * 6 * 2
    assert Work("training", "gru", 5, 7, 3).flop == 3 * 5 * 7 * 3 * 3 * 6 * 2


@pytest.mark.parametrize(
    "found",
    [
        {"y": np.array([1.0, 2.001])},
        {"y": np.array([1.0, np.nan])},
        {"y": np.array([1.0])},
        {"z": np.array([1.0, 2.0])},
    ],
)
def test_other_results_end_the_run(found):
    wanted = {"y": np.array([1.0, 2.0])}
    compare({"y": np.array([1.0, 2.0001])}, wanted, "here")
    with pytest.raises(SystemExit, match="bench: here"):
        compare(found, wanted, "here")


def test_a_library_that_is_not_installed_is_left_out(capsys):
    with libraries({"nobody": "bench.peers.nobody"}, 1) as there:
        assert there == []
    assert "nobody is left out" in capsys.readouterr().out


def test_a_block_warms_up_and_counts_the_rest():
    calls: list[float] = []

    def run() -> None:
        calls.append(time.perf_counter())
        time.sleep(0.004)

    times = worker.block(run, 0.02)
    assert 1 <= len(times) < len(calls)
    assert min(times) >= 0.004
    # What is longer than several times the warming up is measured at once.
    assert len(worker.block(lambda: time.sleep(6 * worker.WARM), 0.01)) == 1


def test_rest_waits_for_what_computes_in_the_background():
    import threading

    def spin() -> None:
        end = time.perf_counter() + 0.15
        while time.perf_counter() < end:
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    assert worker.rest() >= 0.1
    thread.join()
    assert worker.rest() < 0.1
