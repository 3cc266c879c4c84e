"""One step of one stream through `recurra.nn`: as a policy acts, and as it learns step by step.

Beside the stepper, which does the same without torch, and beside the layers of torch and of ONNX
Runtime.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench.figures import rounded
from bench.turns import Contender, Library, Plan, libraries, ready, turns
from bench.work import CELLS, STREAMS, Work

#: Turns are short: a call takes some microseconds.
PLAN = Plan(rounds=5, seconds=0.03, threads=1, peers=("recurra", "torch", "onnxruntime"))
#: What the layer's time is of that.
SHARE = "of 1.15 steppers + 15 us"
Row = dict[str, Any]


def measure() -> list[Row]:
    """Return a row for each cell and size: microseconds, on one thread."""
    rows: list[Row] = []
    modules = {name: f"bench.peers.{name}" for name in PLAN.peers}
    with libraries(modules, PLAN.threads) as there:
        for cell in CELLS:
            for hidden in STREAMS:
                rows += [_forward(there, cell, hidden), _training(there, cell, hidden)]
    return rows


def _forward(there: list[Library], cell: str, hidden: int) -> Row:
    ours, *others = there
    work = Work("inference", cell, 1, 1, hidden)
    made = {
        "layer": _only(ours, work, "nn."),
        "stepper": _only(ours, Work("step", cell, 1, 1, hidden), "native."),
    }
    made |= {name: found for name, found in ready(others, work._asdict(), PLAN).items() if found}
    layer, stepper, *rest = (
        rounded(1e6 * statistics.median(one.times)) for one in turns(made, PLAN).values()
    )
    return {
        "what": f"{cell} 1×1×{hidden}, forward",
        "unit": "us",
        "recurra.nn": layer,
        "stepper": stepper,
        **dict(zip([name for name in made if name not in ("layer", "stepper")], rest, strict=True)),
        SHARE: rounded(layer / (1.15 * stepper + 15)),
    }


def _training(there: list[Library], cell: str, hidden: int) -> Row:
    made = ready(there, Work("training", cell, 1, 1, hidden)._asdict(), PLAN)
    timings = turns(made, PLAN)
    row = {
        "what": f"{cell} 1×1×{hidden}, forward + backward",
        "unit": "us",
        "recurra.nn": rounded(1e6 * statistics.median(timings["recurra"].times)),
    }
    if "torch" in timings:
        pairs = zip(timings["recurra"].times, timings["torch"].times, strict=True)
        row["torch"] = rounded(1e6 * statistics.median(timings["torch"].times))
        row["ratio"] = rounded(statistics.median(theirs / mine for mine, theirs in pairs))
    return row


def _only(library: Library, work: Work, begins: str) -> list[Contender]:
    """The form of this work whose name begins so, however slow beside the others."""
    spec = work._asdict()
    with tempfile.TemporaryDirectory() as folder:
        return [
            Contender(library, library.make(form, spec, Path(folder) / "result.npz"), form)
            for form in library.ask("forms", spec=spec)
            if form.startswith(begins)
        ]
