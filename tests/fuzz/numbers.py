"""Executions without guidance: python -m fuzz.numbers TARGET FIRST SECONDS [COUNT]

Prints each fault once by its kind, and how many executions there were.
"""

import contextlib
import re
import shutil
import sys
import time

from fuzz.oracle import Fault, bound_memory
from fuzz.trial import execute, home, numbered


def kind(fault):
    """A fault without its numbers and texts: those of one place are one."""
    text = str(fault)
    place = re.findall(r"[\w/.-]+\.py:\d+", text)
    return " ".join(place) or re.sub(r"\d[\d.,]*|'[^']*'", "#", text)[:90]


def main(name, first, seconds, count=1 << 60):
    """Try the inputs from a number on, for some seconds."""
    bound_memory()
    folder, faults = home(), {}
    number, end = first, time.monotonic() + seconds
    with contextlib.suppress(Fault):  # the first imports what it needs
        execute(name, numbered(name, first), folder)
    try:
        while time.monotonic() < end and number < first + count:
            try:
                execute(name, numbered(name, number), folder)
            except Fault as fault:
                if kind(fault) not in faults:
                    faults[kind(fault)] = number
                    print(f"{name} {number}: {fault}"[:700], flush=True)
            number += 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{name}: {number - first:,} executions, {len(faults)} faults", flush=True)
    return len(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *map(int, sys.argv[4:])) > 0)
