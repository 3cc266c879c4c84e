"""One run that goes on until it is told to stop; ends with the exit code of what told it."""

import sys
import time
from pathlib import Path

from recurra.train import Interrupted, TrainConfig, fit
from train.small import SmallTask


class Slow(SmallTask):
    """Its validation takes for ever, unless it is left."""

    def validate(self):
        if len(sys.argv) > 2:
            Path(sys.argv[2]).touch()
            time.sleep(600)
        return super().validate()


def main(path: Path) -> int:
    slow = len(sys.argv) > 2
    steps = 40 if slow else 1_000_000
    config = TrainConfig(steps=steps, eval_every=20 if slow else 100_000, threads=1)
    try:
        fit(Slow(), path, config, report=False)
    except Interrupted as error:
        print(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
