"""Memory does not grow with the corpus: peak memory of training on texts of different length."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figures import highest

MEGABYTES = (1, 1000)
_LINE = "the quick brown fox jumps over the lazy dog, and the dog lets it 0123456789.\n"


def measure() -> list[dict[str, object]]:
    """Return a row for each length: peak memory of a whole training process, in MB."""
    rows: list[dict[str, object]] = []
    for size in MEGABYTES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "text.txt"
            with path.open("w", encoding="utf-8") as file:
                for _ in range(size):
                    file.write(_LINE * (1_000_000 // len(_LINE)))
            peak = _train(path)
        rows.append({"what": f"peak memory, text of {size:,} MB", "unit": "MB", "recurra": peak})
    return rows


def _train(path: Path) -> int:
    command = [sys.executable, "-m", "bench.memory", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    from recurra import LanguageModel

    LanguageModel(hidden=64).fit(sys.argv[1], steps=20, valid_share=0.001, progress=False)
    print(highest())
