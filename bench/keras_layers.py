"""Time a layer inside Keras' `fit`, ours beside Keras' own: `python -m bench.keras_layers`.

Each side is a process of its own: our layers, Keras' on its torch backend, Keras' on TensorFlow (to
be installed beside what `make setup` does). They train in turns, a block of steps each, and the
best block counts. `fit alone` is the same model without a recurrent layer: what Keras itself takes.
With `--cpu` it is processor time, of all threads together: for a machine that others use, too.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SIDES = ("ours", "torch", "tensorflow")
SIZES = ((32, 10, 50), (32, 35, 200))
KINDS = ("LSTM", "GRU", "SimpleRNN")
MODES = ("plain", "mask", "recurrent dropout")


def child() -> None:
    """Answer lines of JSON on standard input: a case, and how long to train it."""
    answers, sys.stdout = sys.stdout, sys.stderr
    blocks: dict[str, Callable[[], float]] = {}
    for line in sys.stdin:
        case = json.loads(line)
        name = json.dumps(case)
        if name not in blocks:
            blocks.clear()  # one model at a time, or memory would be what is measured
            blocks[name] = _model(**case)
        answers.write(json.dumps(blocks[name]()) + "\n")
        answers.flush()


def _model(
    side: str,
    kind: str,
    batch: int,
    steps: int,
    hidden: int,
    mode: str,
    updates: int,
    clock: str,
) -> Any:
    import numpy as np

    if side == "ours":
        import recurra.keras
    import keras

    now = time.process_time if clock == "cpu" else time.perf_counter
    numbers = np.random.default_rng(0)
    x = numbers.normal(size=(updates * batch, steps, hidden)).astype("float32")
    y = numbers.normal(size=(updates * batch, 1)).astype("float32")
    layers: list[Any] = [keras.layers.Input((steps, hidden))]
    if mode == "mask":
        lengths = numbers.integers(1, steps + 1, len(x))
        x[np.arange(steps)[None] >= lengths[:, None]] = 0
        layers.append(keras.layers.Masking())
    if kind == "fit alone":
        layers.append(keras.layers.GlobalAveragePooling1D())
    else:
        options = {"recurrent_dropout": 0.2} if mode == "recurrent dropout" else {}
        where = recurra.keras if side == "ours" else keras.layers
        layers.append(getattr(where, kind)(hidden, **options))
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    model.fit(x[: 2 * batch], y[: 2 * batch], batch_size=batch, verbose=0)

    def block() -> float:
        start = now()
        model.fit(x, y, batch_size=batch, verbose=0)
        return (now() - start) / updates * 1e3

    return block


class Side:
    """A process that trains what it is told to."""

    def __init__(self, name: str, threads: int) -> None:
        backend = "tensorflow" if name == "tensorflow" else "torch"
        variables = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        variables |= {"OMP_NUM_THREADS": str(threads), "TF_NUM_INTRAOP_THREADS": str(threads)}
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.keras_layers", "--child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **variables},
        )

    def ask(self, **case: Any) -> float:
        """Return milliseconds a training step."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"side": self.name, **case}) + "\n")
        self.process.stdin.flush()
        return float(json.loads(self.process.stdout.readline()))


def measure(
    sides: list[Side], kind: str, size: tuple[int, ...], mode: str, options: argparse.Namespace
) -> list[float]:
    """Return each side's best block, in milliseconds a step."""
    batch, steps, hidden = size
    found: list[list[float]] = [[] for _ in sides]
    for _ in range(options.blocks):
        for side, times in zip(sides, found, strict=True):
            slow = side.name == "torch" and kind != "fit alone"
            case = {"kind": kind, "batch": batch, "steps": steps, "hidden": hidden, "mode": mode}
            case["clock"] = options.clock
            if not slow or len(times) < 2:
                times.append(side.ask(**case, updates=4 if slow else 24))
    return [min(times) for times in found]


def main() -> None:
    """Print a row of a table for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu", action="store_const", dest="clock", const="cpu", default="wall")
    parser.add_argument("--blocks", type=int, default=8, help="of each side, in turns")
    parser.add_argument("--sizes", default="0,1", help="which of (32, 10, 50), (32, 35, 200)")
    parser.add_argument("--kinds", default=",".join(("fit alone", *KINDS)))
    options = parser.parse_args()
    if options.child:
        return child()
    sides = [Side(name, options.threads) for name in SIDES]
    print("| B, T, H | layer | | ours, ms | torch, ms | TensorFlow, ms | × better of them |")
    print("|---|---|---|---|---|---|---|")
    for number in options.sizes.split(","):
        size = SIZES[int(number)]
        for kind in options.kinds.split(","):
            for mode in MODES if kind != "fit alone" else MODES[:1]:
                ours, *others = measure(sides, kind, size, mode, options)
                cells = [
                    ", ".join(map(str, size)),
                    kind,
                    mode,
                    *(f"{t:.2f}" for t in (ours, *others)),
                ]
                print("| " + " | ".join([*cells, f"{min(others) / ours:.1f}"]) + " |", flush=True)
    for side in sides:
        assert side.process.stdin
        side.process.stdin.close()
        side.process.wait()
    return None


if __name__ == "__main__":
    main()
