"""Write native/cells: the kernels of the built-in cells. `--check` only compares."""

import argparse
import sys
from pathlib import Path

from recurra.cells import BUILT_IN, limits
from recurra.cells import programs as variants
from recurra.cells.emit import header, key
from recurra.cells.graph import Program

HERE = Path(__file__).resolve().parent / "cells"


def programs() -> list[Program]:
    """Return the programs that come compiled: every cell with every set of its options."""
    simple_first = sorted(BUILT_IN.values(), key=lambda cell: len(cell.options))
    found = [program for cell in simple_first for program in variants(cell)]
    return found + [BUILT_IN["rnn"].program(norm=n, activation="relu") for n in (False, True)]


def files() -> dict[str, str]:
    """Return the text of every generated file by name."""
    written = {f"{key(program)}.h": header(program) for program in programs()}
    names = [name.removesuffix(".h") for name in written]
    start = "// Generated. Do not edit.\n"
    includes = "".join(f'#include "{name}.h"\n' for name in names)
    written["all.h"] = f"{start}#pragma once\n{includes}"
    written["../sizes.h"] = limits.header()
    written["list.h"] = start + "".join(f"RECURRA_CELL({name})\n" for name in names)
    return written


def main() -> int:
    """Write the files, or with `--check` say which are not what they would be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    wanted = files()
    HERE.mkdir(exist_ok=True)
    for path in HERE.glob("*.h"):
        if path.name not in wanted:
            stale.append(path.name)
            if not check:
                path.unlink()
    for name, text in wanted.items():
        path = HERE / name
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.write_text(text)
    if check and stale:
        print(f"native/cells is out of date ({', '.join(sorted(stale))}): run native/generate.py")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
