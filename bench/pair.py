"""Two threads of a program that write text with one model, on two free processors.

Each stream computes on the thread that asks for it. Twice the text in the same time would be 2.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench.figures import rounded
from bench.generation import model
from bench.turns import Library, cores
from bench.work import Text

CHARACTERS = 2000
HIDDEN = (64, 256)
ROUNDS, SECONDS = 9, 0.2


def measure() -> list[dict[str, Any]]:
    """Return a row for each size: characters a second of one stream, of two, and their ratio."""
    processors = cores(2)
    if len(processors) < 2:
        print("bench: two streams are left out: there is one processor", flush=True)
        return []
    rows = []
    ours = Library("recurra", "bench.peers.recurra_pair", 1, processors)
    with tempfile.TemporaryDirectory() as folder:
        for hidden in HIDDEN:
            spec = Text(model(Path(folder), hidden), CHARACTERS, prompt="THE ")._asdict()
            file = Path(folder) / "result.npz"
            keys = [ours.make(form, spec, file) for form in ours.ask("forms", spec=spec)]
            pairs = [[ours.block(key, SECONDS) for key in keys] for _ in range(ROUNDS)]
            one, two = (statistics.median(times) for times in zip(*pairs, strict=True))
            rows.append(
                {
                    "what": f"two streams of one model, {hidden} units",
                    "unit": "characters/s",
                    "1 stream": round(CHARACTERS / one),
                    "2 streams": round(2 * CHARACTERS / two),
                    "ratio": rounded(statistics.median(2 * a / b for a, b in pairs)),
                }
            )
    ours.close()
    return rows
