"""`python -m bench [NAME ...]`: measure, print a table, write bench/results.json."""

import importlib
import json
import platform
import sys
from importlib import metadata
from pathlib import Path

NAMES = ("training", "whole_step", "generation", "memory")
RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    """Run the measurements that were named, or all."""
    names = sys.argv[1:] or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise SystemExit(f"bench: unknown: {', '.join(unknown)}; choose from {', '.join(NAMES)}")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["machine"] = {
        "processor": _processor(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("recurra", "torch", "numpy")},
    }
    for name in names:
        results[name] = rows = importlib.import_module(f"bench.{name}").measure()
        for row in rows:
            figures = {k: v for k, v in row.items() if k not in ("what", "unit")}
            shown = ", ".join(f"{k} {v:,}" for k, v in figures.items())
            print(f"{row['what']} ({row['unit']}): {shown}", flush=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((s.partition(":")[2].strip() for s in lines if s.startswith("model name")), "")


if __name__ == "__main__":
    main()
