"""The peak: multiply-adds of float32 by one processor and by all that are used, beside products.

The probe is compiled here, by the system's compiler; without one the share of the peak is left out.
Whatever multiplies matrices must stay below it, else the probe is at fault.
"""

import os
import platform
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench import isa
from bench.figures import rounded
from bench.turns import Plan, libraries, ready, turns
from bench.work import LARGEST, Work

SOURCE = Path(__file__).with_name("peak.cpp")
#: Bits of a vector, and sums that fit into the registers that go with it.
WIDTHS = ((512, 24), (256, 12), (128, 12))
WIDEST = 512
#: Rows and columns of the matrices.
SIZES = (512, 1024, 2048)
#: Turns of training and the probe.
ROUNDS = 7


def measure(plan: Plan) -> list[dict[str, Any]]:
    """Return rows for the probe, the best matrix product, and training as a share of the probe."""
    rows = [_product(plan)]
    with tempfile.TemporaryDirectory() as folder:
        if probes := compiled(Path(folder), isa.BITS.get(plan.isa, WIDEST)):
            fastest = max(probes, key=lambda probe: rates(probe, plan.threads)[0])
            found = {n: rates(fastest, n)[0] for n in sorted({1, plan.threads})}
            row = {_label(n): rounded(rate) for n, rate in found.items()}
            rows.insert(0, {"what": "multiply-adds", "unit": "GFLOP/s", **row})
            if rows[1][_label(plan.threads)] > max(found.values()):
                print("bench: the probe is at fault, or was disturbed: a product is faster")
            rows += _shares(fastest, plan)
        else:
            print("bench: the peak is left out: no C++ compiler (CXX, c++, g++, clang++)")
    for row in rows:
        print(", ".join(f"{name}: {value}" for name, value in row.items()), flush=True)
    return rows


def compiled(folder: Path, widest: int = WIDEST) -> list[Path]:
    """Return the probe for each width of vectors up to one; none without a compiler."""
    named = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    compiler = next((path for path in map(shutil.which, filter(None, named)) if path), None)
    if compiler is None:
        return []
    native = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
    flags = ["-std=c++17", "-O3", native, "-ffp-contract=fast", "-pthread"]
    found = []
    for bits, sums in ((bits, sums) for bits, sums in WIDTHS if bits <= widest):
        found.append(folder / f"peak{bits}")
        sizes = [f"-DBITS={bits}", f"-DCOUNT={sums}"]
        subprocess.run([compiler, *flags, *sizes, str(SOURCE), "-o", found[-1]], check=True)
    return found


def rates(probe: Path, threads: int) -> tuple[float, float]:
    """Return the best and the median rate of the probe's runs."""
    done = subprocess.run([probe, str(threads)], capture_output=True, text=True, check=True)
    best, median = map(float, done.stdout.split())
    return best, median


def _shares(probe: Path, plan: Plan) -> list[dict[str, Any]]:
    """Training at the largest size and the probe, in turns: medians, and their ratio's median.

    A machine that others share is not always as fast: the best the probe ever had says little about
    what could be had a minute later.
    """
    rows = []
    with libraries({"recurra": "bench.peers.recurra"}, plan.threads) as there:
        for cell in plan.cells:
            work = Work("training", cell, *LARGEST)
            ((ours, *_),) = ready(there, work._asdict(), plan).values()
            pairs = []
            for _ in range(ROUNDS):
                time = ours.library.block(ours.key, plan.seconds)
                pairs.append((work.flop / time / 1e9, rates(probe, plan.threads)[1]))
            there[0].ask("drop", key=ours.key)
            reached, peak = (rounded(statistics.median(r)) for r in zip(*pairs, strict=True))
            share = rounded(statistics.median(rate / most for rate, most in pairs))
            size = "×".join(map(str, LARGEST))
            found = {"training": reached, "multiply-adds": peak, "share": share}
            rows.append({"what": f"{cell} {size}", "unit": "GFLOP/s", **found})
    return rows


def _product(plan: Plan) -> dict[str, Any]:
    """The best product of matrices, on all threads."""
    best, form = 0.0, ""
    with libraries({"products": "bench.peers.products"}, plan.threads) as there:
        for size in SIZES:
            made = ready(there, {"size": size}, plan)
            measured = turns(made, plan)["products"]
            rate = 2e-9 * size**3 / min(measured.times)
            best, form = max((best, form), (rate, f"{measured.form}, {size} × {size}"))
    return {
        "what": f"matrix product ({form})",
        "unit": "GFLOP/s",
        _label(plan.threads): rounded(best),
    }


def _label(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"
