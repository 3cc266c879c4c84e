"""A run that goes on until it is told to stop; ends with the exit code of what told it."""

import sys
from pathlib import Path

from recurra.train import Interrupted, TrainConfig, fit
from train.small import SmallTask


def main(path: Path) -> int:
    config = TrainConfig(steps=1_000_000, eval_every=100_000, threads=1)
    try:
        fit(SmallTask(), path, config, report=False)
    except Interrupted as error:
        print(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
