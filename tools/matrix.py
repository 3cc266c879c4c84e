"""Run the tests marked `matrix` under other threads, BLAS kernels, locales, paths and hash seeds.

Each row of the table below is a process of pytest over the same tests; two run at a time. A row
that fails prints its output and its environment. `python tools/matrix.py NAME...` runs some rows.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"

#: The environment without words of UTF-8, and without Python's own ways back to it.
NARROW = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}


def rows() -> dict[str, dict[str, str]]:
    """By name what is set in the environment."""
    found = {
        "one thread": {"OMP_NUM_THREADS": "1"},
        "two threads, BLAS of AVX2": {"OMP_NUM_THREADS": "2", "OPENBLAS_CORETYPE": "Haswell"},
        "eight threads, C locale": {"OMP_NUM_THREADS": "8", **NARROW},
        "kernels of AVX2": {"OMP_NUM_THREADS": "2", "RECURRA_ISA": "v3"},
        "no kernels, BLAS of AVX2": {
            "OMP_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell",
            "RECURRA_KERNELS": "off", "RECURRA_COMPILE": "off",
        },
    }  # fmt: skip
    if latin := _latin():
        found[f"locale {latin}"] = {**NARROW, "OMP_NUM_THREADS": "2", "LC_ALL": latin}
    from recurra import native

    if "v3" not in native.isas():
        del found["kernels of AVX2"]
    return found


def _latin() -> str | None:
    """A locale of one byte a character, where the system has one."""
    try:
        done = subprocess.run(["locale", "-a"], capture_output=True, text=True, errors="replace")
    except OSError:
        return None
    names = [n for n in done.stdout.split() if n.lower().replace("-", "").endswith("iso88591")]
    return names[0] if names else None


def marked() -> list[str]:
    """The files with such tests: importing all others would take longer than the tests."""
    return [
        str(p) for p in sorted(TESTS.rglob("test_*.py")) if "mark.matrix" in p.read_text("utf-8")
    ]


def run(name: str, settings: dict[str, str], models: Path, folder: Path) -> bool:
    """Run a row in a folder with blanks in its path; whether it passed."""
    seed = str(random.SystemRandom().randrange(1 << 32))
    environment = {**os.environ, **settings, "PYTHONHASHSEED": seed}
    environment["RECURRA_TEST_MODELS"] = str(models)
    place = folder / f"a folder of {name.replace(',', ' ')}"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "matrix", "-p", "no:cacheprovider"]
    command += ["-p", "no:xdist", "--basetemp", str(place), *marked()]
    begin = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", errors="replace"
    )
    output = done.stdout + done.stderr
    told = " ".join(f"{k}={v}" for k, v in {**settings, "PYTHONHASHSEED": seed}.items())
    seconds = time.perf_counter() - begin
    if done.returncode:
        print(f"matrix: {name} failed: {told}\n{output}", flush=True)
        return False
    print(f"matrix: {name}: {output.strip().splitlines()[-1]} in {seconds:.0f} s", flush=True)
    return True


def main(names: list[str]) -> int:
    """Build the models once, then run the rows; 1 where one fails."""
    table = rows()
    if wrong := [name for name in names if name not in table]:
        print(f"matrix: no row {wrong[0]!r}: expected some of {', '.join(table)}")
        return 2
    chosen = {name: table[name] for name in names or table}
    with tempfile.TemporaryDirectory(prefix="recurra matrix ") as place:
        folder = Path(place)
        models = folder / "some models"
        models.mkdir()
        build = "import sys, pathlib, company; company.build(pathlib.Path(sys.argv[1]))"
        subprocess.run(
            [sys.executable, "-c", build, str(models)],
            env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"},
            check=True,
        )
        with ThreadPoolExecutor(2) as pool:
            passed = list(pool.map(lambda name: run(name, chosen[name], models, folder), chosen))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
