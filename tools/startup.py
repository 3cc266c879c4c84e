"""How long a user waits before anything happens: `python tools/startup.py [--json]`.

Each command is timed whole, as the shell would see it, and the import also inside the interpreter;
the median of several runs counts.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 5
IMPORT = "import time; t = time.perf_counter(); import recurra; print(time.perf_counter() - t)"
RECURRA = str(Path(sys.executable).parent / "recurra")


def import_seconds(runs: int = RUNS) -> float:
    """Median seconds of `import recurra` in a fresh interpreter, the interpreter's own left out."""
    command = [sys.executable, "-c", IMPORT]
    return statistics.median(
        float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(runs)
    )


def command_seconds(command: list[str], runs: int = RUNS) -> float:
    """Median wall-clock seconds of `command`, process start included."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Measure and print, as a table or (with `--json`) as one object, in milliseconds."""
    seconds = {
        "python -c pass": command_seconds([sys.executable, "-c", "pass"]),
        "import recurra": import_seconds(),
        "recurra --help": command_seconds([RECURRA, "--help"]),
    }
    milliseconds = {name: round(value * 1000, 1) for name, value in seconds.items()}
    if "--json" in sys.argv[1:]:
        print(json.dumps(milliseconds))
    else:
        for name, value in milliseconds.items():
            print(f"{name:<16} {value:7.1f} ms   median of {RUNS}")


if __name__ == "__main__":
    main()
