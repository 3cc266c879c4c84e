"""Generation: characters per second of a loaded model, without torch."""

import statistics
import tempfile
import time
from pathlib import Path

from recurra import LanguageModel

CHARACTERS, ROUNDS = 2000, 5


def measure() -> list[dict[str, object]]:
    """Return a row for each size of model."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "text.txt"
        path.write_text("the quick brown fox jumps over the lazy dog\n" * 1000, encoding="utf-8")
        for hidden in (256, 512):
            model = LanguageModel(hidden=hidden)
            model.fit(path, steps=2, progress=False)
            rates = []
            for seed in range(ROUNDS):
                begin = time.perf_counter()
                model.generate("the ", max_tokens=CHARACTERS, temperature=0.8, top_k=10, seed=seed)
                rates.append(CHARACTERS / (time.perf_counter() - begin))
            rows.append(
                {
                    "what": f"generation, one stream, {hidden} units",
                    "unit": "characters/s",
                    "recurra": round(statistics.median(rates)),
                }
            )
    return rows
