"""M4 hourly: 414 series, 48 hours ahead, one model for all.

    python examples/forecast/m4_hourly.py DIR

DIR holds Hourly-train.csv and Hourly-test.csv of the M4 competition.
"""

import argparse
from pathlib import Path

import recurra
from recurra.tasks.forecaster import ForecastScores
from recurra.tasks.forecaster.series import read_series


def main(arguments: list[str] | None = None) -> ForecastScores:
    """Train, draw a forecast, test, return what it came to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the two files")
    parser.add_argument("--out", type=Path, default=Path("runs/m4-hourly"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    model = recurra.Forecaster(
        horizon=48,
        lookback=336,  # two weeks, read a day at once
        segment=24,
        output="point",
        transform="log",
        scale="none",
        normalise="standard",
        hidden=192,
        dropout=0.0,
        season=24,
    )
    train, test = (read_series(given.data / f"Hourly-{part}.csv") for part in ("train", "test"))
    model.fit(
        train,
        out=given.out,
        steps=given.steps,
        batch=256,
        lr=2e-3,
        weight_decay=0.0,
        seed=given.seed,
    )
    first = model.predict(train)[0]
    history, truth = train.series[0].values, test.series[0].values
    first.plot(given.out / "H1.png", history=history[-168:], truth=truth)
    found = model.evaluate(train, truth=test)
    print(found)
    return found


if __name__ == "__main__":
    main()
