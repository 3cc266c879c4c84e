"""The peak: multiply-adds of float32 by one processor and by all that are used, beside products.

The probe is compiled here, by the system's compiler; without one the share of the peak is left out.
Whatever multiplies matrices must stay below it, else the probe is at fault.
"""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.figures import rounded
from bench.turns import Plan, libraries, ready, turns

SOURCE = Path(__file__).with_name("peak.cpp")
#: Bits of a vector, and sums that fit into the registers that go with it.
WIDTHS = ((512, 24), (256, 12), (128, 12))
#: Rows and columns of the matrices.
SIZES = (512, 1024, 2048)


def measure(plan: Plan) -> list[dict[str, Any]]:
    """Return a row for the probe and one for the best matrix product, in GFLOP/s."""
    rows = [_product(plan)]
    if found := probe(sorted({1, plan.threads})):
        rates = {_label(n): rate for n, rate in found.items()}
        rows.insert(0, {"what": "multiply-adds", "unit": "GFLOP/s", **rates})
        if rows[1][_label(plan.threads)] > max(found.values()):
            print("bench: the probe is at fault, or was disturbed: a product is faster", flush=True)
    else:
        print("bench: the peak is left out: no C++ compiler (CXX, c++, g++, clang++)", flush=True)
    for row in rows:
        print(", ".join(f"{name}: {value}" for name, value in row.items()), flush=True)
    return rows


def probe(counts: Sequence[int]) -> dict[int, float]:
    """Return the best rate of any width of vectors by number of threads; {} without a compiler."""
    named = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    compiler = next((path for path in map(shutil.which, filter(None, named)) if path), None)
    if compiler is None:
        return {}
    native = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
    flags = ["-std=c++17", "-O3", native, "-ffp-contract=fast", "-pthread"]
    best = dict.fromkeys(counts, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "peak")
        for bits, sums in WIDTHS:
            sizes = [f"-DBITS={bits}", f"-DCOUNT={sums}"]
            subprocess.run([compiler, *flags, *sizes, str(SOURCE), "-o", program], check=True)
            for count in counts:
                command = [program, str(count)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                best[count] = max(best[count], float(done.stdout))
    return {count: rounded(rate) for count, rate in best.items()}


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
