"""The command line of forecasting: train, evaluate, predict; and its mistakes, one line each."""

import json

import numpy as np

import recurra as package

SMALL = ["--hidden", "8", "--embedding", "8", "--horizon", "6", "--lookback", "12"]


def series(path):
    lines = ["site,time,y"]
    for k, site in enumerate("ab"):
        for t in range(80):
            stamp = np.datetime64("2024-01-01T00:00") + np.timedelta64(t, "h")
            lines.append(f"{site},{stamp},{k + np.sin(t / 4):.4f}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_train_evaluate_predict(recurra, here):
    data = series(here / "sites.csv")
    done = recurra(
        "train", "forecast", data, "--out", "run", "--steps", 5, "--series-column", "site",
        "--levels", "0.1,0.5,0.9", "--json", *SMALL,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads(done.out)["best"]["loss"] > 0
    found = json.loads(recurra("evaluate", "run", data, "--json").out)
    assert found["forecasts"] == 2
    assert found["season"] == 24
    assert set(found["coverage"]) == {"0.8"}
    lines = recurra("predict", "run", data, "--json", "--samples", 3).out.splitlines()
    first = json.loads(lines[0])
    assert len(lines) == 2
    assert first["series"] == "a"
    assert first["times"][0] == "2024-01-04T08:00"
    assert len(first["y"]["quantiles"]["0.9"]) == 6
    assert np.shape(first["y"]["samples"]) == (3, 6)
    shown = recurra("predict", "run", data, "--levels", "0.5").out.splitlines()
    assert len(shown) == 13
    assert shown[0].split("\t") == ["series", "time", "column", "median", "0.5"]
    assert shown[1].split("\t")[:3] == ["a", "2024-01-04T08:00", "y"]


def test_a_backtest_is_what_python_finds(recurra, here):
    """From many origins, of the end of the file or of a file of what followed."""
    data = series(here / "sites.csv")
    words = ["--out", "run", "--steps", 2, "--series-column", "site", "--hold-out", 20, *SMALL]
    assert recurra("train", "forecast", data, "--json", *words).code == 0
    model = package.load(here / "run")
    done = recurra("evaluate", "run", data, "--steps", 20, "--stride", 2, "--json")
    expected = model.evaluate(data, steps=20, stride=2)
    assert json.loads(done.out) == expected.to_dict()
    assert expected.forecasts == 2 * len(range(60, 75, 2))
    known, truth = here / "known.csv", here / "truth.csv"
    header, *rows = data.read_text().splitlines()
    for path, part in ((known, slice(0, 70)), (truth, slice(70, 80))):
        kept = [row for site in (rows[:80], rows[80:]) for row in site[part]]
        path.write_text("\n".join([header, *kept]) + "\n")
    apart = recurra("evaluate", "run", known, "--truth", truth, "--steps", 20, "--stride", 2)
    assert apart.out == f"{expected}\n"
    for option, told in (
        (["--steps", 3], "expected at least 6 steps (the horizon)"),
        (["--stride", 0], "stride must be a whole number at least 1, received 0"),
        (["--truth", "none.csv"], "none.csv"),
        (["--beams", 3], "--beams: no option of this forecaster: leave it out; it has --truth"),
    ):
        refused = recurra("evaluate", "run", data, *option)
        assert refused.code != 0
        assert told in refused.err
        assert len(refused.err.strip().splitlines()) == 1


def test_mistakes_are_one_line(recurra, here):
    data = series(here / "sites.csv")
    for words, told in (
        (["--value-columns", "z"], "no column z"),
        (["--levels", "2"], "levels must be between 0 and 1"),
        ([], "line 2: site: expected a finite number"),  # no column named for the series
        (["--value-columns", "y"], "on line 2 already"),
    ):
        done = recurra("train", "forecast", data, "--out", "run", "--steps", 1, *SMALL, *words)
        assert done.code != 0
        assert told in done.err
        assert len(done.err.strip().splitlines()) == 1
        assert not (here / "run").exists()
