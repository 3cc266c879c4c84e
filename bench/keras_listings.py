"""Time the listings in examples/keras beside Keras' own layers: `python -m bench.keras_listings`.

Every run is a process of its own, the sides in turns; the best of each phase counts: importing, the
model up to `compile`, and `fit`, with the first batch's warming up. TensorFlow has to be installed
beside what `make setup` does. With `--cpu` it is processor time, of all threads together: for a
machine that others use, too.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "keras"
LISTINGS = ("lstm", "gru", "two_layers", "bidirectional", "two_layers_bidirectional")
SIDES = {"ours": "torch", "TensorFlow": "tensorflow", "Keras on torch": "torch"}

RUN = """
import json, os, sys, time
listing, space, times = sys.argv[1], {}, []
now = getattr(time, sys.argv[2])
imports, rest = listing.split("# Sample data")
build, fit = rest.split("# Train model")
for part in (imports, build, fit):
    start = now()
    exec(part, space)
    times.append(now() - start)
print("\\n" + json.dumps(times))
"""


def run(name: str, side: str, clock: str) -> list[float]:
    """Return seconds of import, build and fit."""
    listing = (FOLDER / f"{name}.py").read_text()
    if side != "ours":
        listing = listing.replace("recurra.keras", "keras")
    environment = {**os.environ, "KERAS_BACKEND": SIDES[side], "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, listing, clock],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print a row of a table for each listing and side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--cpu", action="store_const", dest="clock", const="process_time", default="perf_counter"
    )
    parser.add_argument("--listings", default=",".join(LISTINGS))
    options = parser.parse_args()
    print("| listing | | import, s | build, s | fit, s | together, s |")
    print("|---|---|---|---|---|---|")
    for name in options.listings.split(","):
        found: dict[str, list[list[float]]] = {side: [] for side in SIDES}
        for _ in range(options.rounds):
            for side, times in found.items():
                times.append(run(name, side, options.clock))
        for side, times in found.items():
            best = [min(phase) for phase in zip(*times, strict=True)]
            cells = [name, side, *(f"{t:.2f}" for t in (*best, sum(best)))]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
