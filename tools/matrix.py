"""Run the tests marked `matrix` under other threads, BLAS kernels, locales, paths and hash seeds.

Each row of the table below is a process of pytest; two run at a time, beside the one that trains
the models they read. A row leaves out the tests for which it changes nothing. Rows with the same
kernels must give results of the same bits. A row that fails prints its output and its environment.
`python tools/matrix.py NAME...` runs some rows.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
#: Where the models lie in the folder of a run: a path with blanks.
MODELS = "some models"

#: The environment without words of UTF-8, and without Python's own ways back to it.
NARROW = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}


#: Tests by what they look at: models in company, callers in turn, commands and their text.
COMPANY = "test_results_do_not_depend_on_company"
TURNS = "test_results_are_those_of_calls_in_turn"
COMMANDS = "test_train_evaluate_predict"


@dataclass(frozen=True)
class Row:
    """What is set in the environment, and the tests for which that changes nothing."""

    settings: dict[str, str]
    without: tuple[str, ...] = ()

    @property
    def reads_models(self) -> bool:
        """Whether it waits for the models."""
        return not {COMPANY, TURNS} <= set(self.without)

    @property
    def kernels(self) -> tuple[str, ...]:
        """What else its bits may depend on."""
        names = ("RECURRA_ISA", "RECURRA_KERNELS", "RECURRA_COMPILE")
        return tuple(self.settings.get(name, "") for name in names)


def rows() -> dict[str, Row]:
    """The rows by name: those that wait for nothing first, then the longest."""
    table = {}
    if latin := _latin():
        locale = {**NARROW, "OMP_NUM_THREADS": "2", "LC_ALL": latin}
        table[f"locale {latin}"] = Row(locale, (COMPANY, TURNS))
    table |= {
        "one thread": Row({"OMP_NUM_THREADS": "1"}, (COMMANDS,)),
        "eight threads, C locale": Row({"OMP_NUM_THREADS": "8", **NARROW}, (TURNS,)),
        "two threads, BLAS of AVX2": Row(
            {"OMP_NUM_THREADS": "2", "OPENBLAS_CORETYPE": "Haswell"}, (TURNS,)
        ),
        "no kernels, BLAS of AVX2": Row(
            {
                "OMP_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell",
                "RECURRA_KERNELS": "off", "RECURRA_COMPILE": "off",
            },
            (TURNS, COMMANDS),
        ),
        "kernels of AVX2": Row(
            {"OMP_NUM_THREADS": "2", "RECURRA_ISA": "v3"}, (TURNS, COMMANDS)
        ),
    }  # fmt: skip
    from recurra import native

    if "v3" not in native.isas():
        del table["kernels of AVX2"]
    return table


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


def train_models(folder: Path) -> None:
    """Write the models that the rows read."""
    folder.mkdir()
    build = "import sys, pathlib, company; company.build(pathlib.Path(sys.argv[1]))"
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", build, str(folder)], env=environment, check=True)


def run(name: str, row: Row, folder: Path, models: "Future[None]") -> bool:
    """Run a row in a folder with blanks in its path; whether it passed."""
    if row.reads_models:
        models.result()
    seed = str(random.SystemRandom().randrange(1 << 32))
    environment = {**os.environ, **row.settings, "PYTHONHASHSEED": seed}
    environment["RECURRA_TEST_MODELS"] = str(folder / MODELS)
    environment["RECURRA_TEST_DIGESTS"] = str(folder / f"{name}.json")
    place = folder / f"a folder of {name.replace(',', ' ')}"
    command = [sys.executable, "-m", "pytest", "-q", "-m", "matrix", "-p", "no:cacheprovider"]
    command += ["-k", " and ".join(f"not {test}" for test in row.without)] if row.without else []
    command += ["-p", "no:xdist", "--basetemp", str(place), *marked()]
    begin = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", errors="replace"
    )
    output = done.stdout + done.stderr
    seconds = time.perf_counter() - begin
    if done.returncode:
        shown = " ".join(f"{k}={v}" for k, v in {**row.settings, "PYTHONHASHSEED": seed}.items())
        print(f"matrix: {name} failed: {shown}\n{output}", flush=True)
        return False
    print(f"matrix: {name}: {output.strip().splitlines()[-1]} in {seconds:.0f} s", flush=True)
    return True


def compare(chosen: dict[str, Row], folder: Path) -> bool:
    """Whether rows with the same kernels gave the same bits, case by case."""
    first: dict[tuple[str, ...], tuple[str, dict[str, str]]] = {}
    same = True
    for name, row in chosen.items():
        path = folder / f"{name}.json"
        if not path.exists():
            continue
        digests = json.loads(path.read_text("utf-8"))
        other, expected = first.setdefault(row.kernels, (name, digests))
        if wrong := sorted(case for case in digests if digests[case] != expected.get(case)):
            print(f"matrix: {name} and {other} differ in {', '.join(wrong)}", flush=True)
            same = False
    return same


def main(names: list[str]) -> int:
    """Run the rows; 1 where one fails."""
    table = rows()
    if wrong := [name for name in names if name not in table]:
        print(f"matrix: no row {wrong[0]!r}: expected some of {', '.join(table)}")
        return 2
    chosen = {name: row for name, row in table.items() if not names or name in names}
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="recurra matrix ") as place:
        folder = Path(place)
        with ThreadPoolExecutor(2) as pool:
            models = pool.submit(train_models, folder / MODELS)
            passed = list(pool.map(lambda n: run(n, chosen[n], folder, models), chosen))
        passed.append(compare(chosen, folder))
    print(f"matrix: {len(chosen)} rows in {time.perf_counter() - begin:.0f} s", flush=True)
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
