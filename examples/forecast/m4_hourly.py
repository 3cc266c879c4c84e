"""M4 hourly: 414 series, 48 hours ahead, one model for all.

    python examples/forecast/m4_hourly.py --data DIR

DIR holds Hourly-train.csv and Hourly-test.csv of the M4 competition.
"""

import argparse
from pathlib import Path

import recurra
from recurra.data.series import read_series


def main() -> None:
    """Train, test, and draw a forecast."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the two files")
    parser.add_argument("--out", type=Path, default=Path("runs/m4-hourly"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
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
    train, test = (read_series(arguments.data / f"Hourly-{part}.csv") for part in ("train", "test"))
    model.fit(
        train,
        out=arguments.out,
        steps=arguments.steps,
        batch=256,
        lr=2e-3,
        weight_decay=0.0,
        seed=arguments.seed,
    )
    first = model.predict(train)[0]
    history, truth = train.series[0].values, test.series[0].values
    first.plot(arguments.out / "H1.png", history=history[-168:], truth=truth)
    print(model.evaluate(train, truth=test))


if __name__ == "__main__":
    main()
