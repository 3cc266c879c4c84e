"""`make bench`, or `python -m bench [PART ...]`: measure, and write what was found.

Results go to bench/results.json, part by part, and from there to docs/benchmarks.md; with --quick
to build/bench/quick.json alone.
"""

import argparse
import datetime
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import Any

from bench import isa, page
from bench.peers import PEERS
from bench.turns import Plan
from bench.work import CELLS

RESULTS = Path(__file__).with_name("results.json")
QUICK = Path(__file__).resolve().parent.parent / "build" / "bench" / "quick.json"

#: Parts in their order, and the function that measures each.
PLANNED = {
    "peak": "bench.peak:measure",
    "grid": "bench.layers:grid",
    "step": "bench.layers:steps",
    "options": "bench.layers:options",
    "generation": "bench.generation:measure",
}
#: Parts that set their own times, and take no `Plan`.
OWN = {
    "single": "bench.single:measure",
    "own_cell": "bench.own_cell:measure",
    "reset": "bench.reset:measure",
    "scan": "bench.scan:measure",
    "published": "bench.published:measure",
    "bf16": "bench.bf16:measure",
    "whole_step": "bench.whole_step:measure",
    "training": "bench.training:measure",
    "memory": "bench.memory:measure",
    "busy": "bench.busy:measure",
    "pair": "bench.pair:measure",
    "streams": "bench.streams:measure",
    "serve": "bench.serve:measure",
    "inspect": "bench.inspect:measure",
}
PACKAGES = ("recurra", "torch", "jax", "jaxlib", "tensorflow", "keras", "onnxruntime", "numpy")


def main() -> None:
    """Run the parts that were named, or all."""
    chosen = _arguments()
    if chosen.isa:
        isa.restrict(chosen.isa)
    plan = Plan(
        rounds=chosen.rounds or (3 if chosen.quick else 5),
        seconds=chosen.seconds or (0.03 if chosen.quick else 0.06),
        threads=chosen.threads,
        peers=tuple(chosen.peers),
        cells=tuple(chosen.cells),
        quick=chosen.quick,
        isa=chosen.isa,
    )
    file = QUICK if chosen.quick else RESULTS
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for name in chosen.parts:
        module = {**PLANNED, **OWN}[name].partition(":")[0]
        if util.find_spec(module) is None:
            print(f"bench: {name} is left out: there is no {module}", flush=True)
            continue
        begin = time.monotonic()
        rows = _measure(name, plan)
        results[isa.part(name, plan.isa)] = {**_record(plan), "rows": rows}
        print(f"bench: {name}: {time.monotonic() - begin:.0f} s", flush=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        if not chosen.quick:
            page.write(results)
    print(page.targets(results))


def _arguments() -> argparse.Namespace:
    parts = [*PLANNED, *OWN]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)}")
    parser.add_argument("--quick", action="store_true", help="fewer sizes and rounds, and no page")
    parser.add_argument("--rounds", type=int, help="turns of each library (5; quick: 3)")
    parser.add_argument("--seconds", type=float, help="of a turn (0.06; quick: 0.03)")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--peers", nargs="+", choices=PEERS, metavar="NAME")
    parser.add_argument(
        "--isa", default="", choices=isa.SWITCHES, help="restrict all to this instruction set"
    )
    parser.add_argument("--cells", nargs="+", default=CELLS, choices=CELLS, metavar="NAME")
    chosen = parser.parse_args()
    chosen.parts = chosen.parts or (isa.PARTS if chosen.isa else parts)
    chosen.peers = chosen.peers or (isa.SWITCHED if chosen.isa else PEERS)
    if "recurra" not in chosen.peers:  # which all others are compared with
        chosen.peers = ("recurra", *chosen.peers)
    if chosen.isa and (free := set(chosen.peers) - set(isa.SWITCHED)):
        parser.error(f"--isa: there is no switch that restricts {', '.join(sorted(free))}")
    if unknown := [name for name in chosen.parts if name not in parts]:
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(parts)}")
    return chosen


def _measure(name: str, plan: Plan) -> list[dict[str, Any]]:
    where, _, function = {**PLANNED, **OWN}[name].partition(":")
    measure: Callable[..., list[dict[str, Any]]] = getattr(importlib.import_module(where), function)
    if name in PLANNED:
        return measure(plan)
    rows = measure()
    for row in rows:
        figures = {k: v for k, v in row.items() if k not in ("what", "unit")}
        shown = ", ".join(
            f"{k} {v}" if isinstance(v, str) else f"{k} {v:,}" for k, v in figures.items()
        )
        print(f"{row['what']} ({row['unit']}): {shown}", flush=True)
    return rows


def _record(plan: Plan) -> dict[str, Any]:
    """Where, when and how a part is measured."""
    found = {name: util.find_spec(name) for name in PACKAGES}
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": " ".join(["python -m bench", *sys.argv[1:]]),
        "machine": {
            "processor": _processor(),
            "threads": plan.threads,
            "system": f"{platform.system()} {platform.machine()}",
            "kernels": _kernels(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name, spec in found.items() if spec},
        },
        "rounds": plan.rounds,
        "seconds": plan.seconds,
    }


def _version(name: str) -> str:
    if name == "recurra":
        import recurra

        return recurra.__version__
    return metadata.version(name)


def _kernels() -> str:
    from recurra import native

    return native.isa() if native.available() else "none"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((s.partition(":")[2].strip() for s in lines if s.startswith("model name")), "")


if __name__ == "__main__":
    main()
