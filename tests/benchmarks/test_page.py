"""The page from small results: what it says is what they say, and reached is what was asked."""

import json

import pytest

from bench import page
from bench.targets import TARGETS, Target

RECORD = {
    "date": "2026-01-02",
    "command": "python -m bench",
    "machine": {"processor": "P", "threads": 2, "system": "Linux x", "kernels": "v4"},
    "versions": {"python": "3.11", "torch": "2.13"},
    "rounds": 5,
    "seconds": 0.1,
}


def layer(what: str, cell: str, size: tuple[int, ...], ours: float, **ratios: float) -> dict:
    """A row as `bench.layers` makes it, with flop for 100 GFLOP/s in 1 ms."""
    figures = {p: {"median": r, "quartiles": [r - 0.25, r + 0.25]} for p, r in ratios.items()}
    return {
        "what": what,
        "cell": cell,
        "size": list(size),
        "flop": 100_000_000,
        "unit": "ms",
        "values": {"recurra": {"median": ours, "quartiles": [ours, ours], "form": "f"}},
        "ratios": figures,
    }


RESULTS = {
    "peak": {
        **RECORD,
        "rows": [
            {"what": "multiply-adds", "unit": "GFLOP/s", "1 thread": 100, "2 threads": 200},
            {"what": "lstm 64×128×512", "training": 95, "multiply-adds": 190, "share": 0.5},
        ],
    },
    "grid": {
        **RECORD,
        "rows": [
            layer("training", "lstm", (64, 128, 512), 1, torch=2, jax=1.25, tensorflow=4),
            layer("training", "lstm", (1, 100, 64), 2, torch=8, jax=5),
            layer("inference", "lstm", (1, 100, 64), 2, torch=8, onnxruntime=0.5),
        ],
    },
    "own_cell": {**RECORD, "rows": [{"what": "cell", "unit": "ms", "ratio": 1.6}]},
}


def line(what: str, against: str) -> list[str]:
    """The cells of one line of the table of what is asked."""
    lines = [[c.strip() for c in s.split("|")[1:-1]] for s in page.targets(RESULTS).splitlines()]
    (found,) = (cells for cells in lines if cells[:2] == [what, against])
    return found[2:]


@pytest.mark.parametrize(
    ("what", "against", "expected"),
    [
        # sqrt(2 · 8) and the smaller of the two
        (
            "forward + backward, LSTM",
            "torch",
            ["mean ≥ 1.6, each ≥ 1.05", "4.00", "2.00 (lstm 64×128×512)", "yes"],
        ),
        # the best peer at each size: 1.25 and 5, whose mean is 2.5
        (
            "forward + backward",
            "the best of torch, JAX, TensorFlow",
            ["mean ≥ 1.8, each ≥ 1", "2.50", "1.25 (lstm 64×128×512)", "yes"],
        ),
        (
            "inference",
            "the best of torch, JAX, TensorFlow, ONNX Runtime",
            ["mean ≥ 1.4, each ≥ 1", "0.50", "0.50 (lstm 1×100×64)", "**no**"],
        ),
        (
            "forward + backward, share of the peak",
            "multiply-adds",
            ["each ≥ 0.75", "0.50", "0.50 (lstm 64×128×512)", "**no**"],
        ),
        ("a user's cell", "our LSTM", ["each ≤ 1.5", "1.60", "1.60 (cell)", "**no**"]),
        ("one step, B = T = 1", "torch", ["mean ≥ 10", "not measured", "", ""]),
    ],
)
def test_a_line_of_what_is_asked(what, against, expected):
    assert line(what, against) == expected


@pytest.mark.parametrize(
    ("target", "values", "met"),
    [
        (Target("", "", dict, mean=2, each=1), [1, 4], True),
        (Target("", "", dict, mean=2, each=1), [0.99, 5], False),
        (Target("", "", dict, mean=2, each=1), [1.9, 2], False),
        (Target("", "", dict, each=1.5, at_most=True), [1.5, 1], True),
        (Target("", "", dict, each=1.5, at_most=True), [1.51, 0.1], False),
        (Target("", "", dict, mean=1.5, at_most=True), [3, 0.5], True),
    ],
)
def test_whether_it_is_met(target, values, met):
    points = {str(k): v for k, v in enumerate(values)}
    assert target.met(points) is met
    assert points[target.worst(points)] == (max if target.at_most else min)(values)


def test_the_page_shows_every_figure():
    text = page.page(RESULTS)
    assert "Measured in one run: 2026-01-02, P, Linux x, 2 threads, kernels v4; python" in text
    shown = "| lstm | 64×128×512 | 1 | 100 | 50 % | ×2.00 (1.75–2.25) | ×1.25 (1.00–1.50) | ×4.00"
    assert shown in text
    assert "| lstm | 1×100×64 | 2 | 50 | 25 % | ×8.00 (7.75–8.25) |  |  | ×0.50" not in text
    assert "| cell | ms | 1.6 |" in text
    assert "torch 2.13; `python -m bench`, 5 rounds of 0.1 s." in text


def test_parts_of_different_days_are_told_apart():
    other = {**RESULTS["own_cell"], "date": "2026-03-04"}
    text = page.page({**RESULTS, "own_cell": other})
    assert "- peak, grid: 2026-01-02" in text
    assert "- own_cell: 2026-03-04" in text


def test_check_finds_a_page_that_is_not_what_the_results_say(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(page, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    page.RESULTS.write_text(json.dumps(RESULTS))
    monkeypatch.setattr("sys.argv", ["page"])
    assert page.main() == 0
    monkeypatch.setattr("sys.argv", ["page", "--check"])
    assert page.main() == 0
    assert capsys.readouterr().out == ""
    page.PAGE.write_text(page.PAGE.read_text().replace("×2.00", "×2.01"))
    assert page.main() == 1
    assert "python -m bench.page" in capsys.readouterr().out


def test_every_target_has_its_line():
    lines = page.targets(RESULTS).splitlines()
    assert len(lines) == len(TARGETS) + 2
    assert len({tuple(s.split("|")[1:3]) for s in lines}) == len(lines)
