"""Hunt for inputs that break a promise: `make fuzz`, FUZZ_SECONDS and FUZZ_TARGETS choose.

Readers and loaders in Python by atheris, the kernels by libFuzzer (tools/fuzz_native.py). What is
not installed is named in a line, and not run. Faults stay in build/fuzz; inputs that reach new code
gather there, too, and a later hunt goes on from them.
"""

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "fuzz"
NATIVE = "kernels"
_COUNT = re.compile(r"stat::number_of_executed_units:\s*(\d+)|^#(\d+)\s", re.MULTILINE)


def main() -> int:
    """Hunt in each target in turn; 1 if one has found something."""
    seconds = os.environ.get("FUZZ_SECONDS", "60")
    sys.path.insert(0, str(ROOT / "tests"))
    targets = importlib.import_module("fuzz.targets").TARGETS
    names = os.environ.get("FUZZ_TARGETS", " ".join([*targets, NATIVE])).split()
    unknown = [name for name in names if name not in (*targets, NATIVE)]
    if unknown:
        print(f"fuzz: no target {unknown[0]!r}; there are {' '.join([*targets, NATIVE])}")
        return 2
    guided = importlib.util.find_spec("atheris") is not None
    if not guided:
        print("fuzz: atheris is not installed (pip install recurra[fuzz]): numbered inputs instead")
    FOLDER.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for name in names:
        if name == NATIVE:
            words = [sys.executable, str(ROOT / "tools" / "fuzz_native.py"), seconds]
        elif guided:
            words = [sys.executable, "-W", "ignore", "-m", "fuzz.hunt", name, seconds, str(FOLDER)]
        else:
            words = [sys.executable, "-W", "ignore", "-m", "fuzz.numbers", name, "0", seconds]
        wrong += _hunt(name, words)
    return int(wrong > 0)


def _hunt(name: str, words: list[str]) -> int:
    paths = [str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, errors="replace")
    output = done.stdout + done.stderr
    (FOLDER / f"{name}.log").write_text(output)
    said = [line for line in output.splitlines() if line.startswith("fuzz: ") and "not run" in line]
    counts = [int(one or other) for one, other in _COUNT.findall(output)]
    tried = re.findall(r": ([\d,]+) executions", output)
    count = tried[-1] if tried else f"{max(counts, default=0):,}"
    faults = [
        line for line in output.splitlines() if "fuzz.oracle.Fault" in line or "ERROR:" in line
    ]
    if said:
        print(said[0])
    else:
        print(f"fuzz: {name}: {count} executions" + ("" if done.returncode == 0 else ", a fault:"))
    if done.returncode:
        print("\n".join(faults[:3]) or output[-2000:])
        print(f"fuzz: the rest is in {FOLDER / name}.log")
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
