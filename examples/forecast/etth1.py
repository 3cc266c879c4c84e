"""ETTh1: seven columns of an electricity transformer, 96 hours ahead, the standard split.

python examples/forecast/etth1.py ETTh1.csv
"""

import argparse
from dataclasses import replace
from pathlib import Path

import recurra
from recurra.tasks.forecaster import ForecastScores
from recurra.tasks.forecaster.series import read_series

TRAIN, VALID, TEST = 8640, 2880, 2880


def main(arguments: list[str] | None = None) -> ForecastScores:
    """Train, test, return what it came to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the file ETTh1.csv")
    parser.add_argument("--out", type=Path, default=Path("runs/etth1"))
    parser.add_argument("--epochs", type=float, default=6)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    panel = read_series(given.data)
    # The benchmark ends after 20 months; the rest of the file is not used.
    panel = replace(panel, series=(panel.series[0].until(TRAIN + VALID + TEST),))
    model = recurra.Forecaster(
        horizon=96,
        lookback=720,
        segment=48,
        output="point",
        normalise="last",
        highway=False,
        embedding=128,
        hidden=128,
        dropout=0.5,
    )
    model.fit(
        panel,
        out=given.out,
        hold_out=TEST,
        valid_steps=VALID,
        epochs=given.epochs,
        batch=64,
        lr=1e-3,
        weight_decay=0.0,
        seed=given.seed,
    )
    found = model.evaluate(panel, steps=TEST)
    print(found)
    return found


if __name__ == "__main__":
    main()
