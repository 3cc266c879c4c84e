"""Generation of text by one stream: Recurra without torch, beside the loop one writes in torch."""

import tempfile
from pathlib import Path
from typing import Any

from bench.figures import rounded
from bench.layers import compared
from bench.turns import Plan, libraries, ready, turns
from bench.work import Text

CHARACTERS, QUICK = 10_000, 1_000
HIDDEN = (256, 512)
#: Symbols of the text the model has seen; the loop's speed hangs on how many there are.
SYMBOLS = [chr(c) for c in range(ord(" "), ord(" ") + 65)]


def measure(plan: Plan) -> list[dict[str, Any]]:
    """Return a row for each size of model: milliseconds for the whole text."""
    rows = []
    characters = QUICK if plan.quick else CHARACTERS
    modules = {n: f"bench.peers.{n}_text" for n in ("recurra", "torch") if n in plan.peers}
    with tempfile.TemporaryDirectory() as folder, libraries(modules, plan.threads) as there:
        for hidden in HIDDEN:
            text = Text(model(Path(folder), hidden), characters, prompt="THE ")
            made = ready(there, text._asdict(), plan)
            row = {"what": "generation", "cell": "lstm", "size": (1, characters, hidden)}
            rows.append({**row, **compared(turns(made, plan))})
            for name, value in rows[-1]["values"].items():
                rate = rounded(1e3 * characters / value["median"])
                print(f"generation, {hidden} units, {name}: {rate:,.0f} characters/s", flush=True)
    return rows


def model(folder: Path, hidden: int) -> str:
    """Train a model for a moment: its weights do not matter, but for which token is likeliest."""
    from recurra import LanguageModel

    path = folder / "text.txt"
    path.write_text("".join(SYMBOLS) * 500, encoding="utf-8")
    model = LanguageModel(hidden=hidden)
    model.fit(path, steps=20, progress=False)
    return str(model.save(folder / f"model-{hidden}"))
