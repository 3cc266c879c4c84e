"""One execution of a target, and executions by numbers: what hunts and tests share."""

import random
import tempfile
from pathlib import Path

from fuzz.oracle import Fault, check
from fuzz.targets import TARGETS

#: Bytes of an input that says what is changed.
SIZE = 96


def home():
    """A folder in memory, where the system has one."""
    place = Path("/dev/shm")
    made = tempfile.mkdtemp(prefix="recurra-fuzz-", dir=place if place.is_dir() else None)
    return Path(made)


def execute(name, data, folder):
    """Try one input. Raises Fault, with the target's name."""
    target = TARGETS[name]
    try:
        read, size = target.prepare(name, data, folder)
        check(read, size, seconds=target.seconds)
    except Fault as fault:
        raise Fault(f"{name}: {fault}") from fault.__cause__


def numbered(name, number):
    """The input of a number: every other one changes a seed, the rest damage its bytes blindly."""
    from fuzz.mutations import some_bytes
    from fuzz.targets import File, seeds

    chance = random.Random(f"{name} {number}")
    if isinstance(TARGETS[name], File) and chance.random() < 0.3 and seeds(name):
        content = chance.choice(seeds(name))
        for _ in range(chance.randrange(3)):
            content = some_bytes(content, chance)
        return bytes([0, chance.randrange(256)]) + content
    return b"\1" + chance.randbytes(SIZE)
