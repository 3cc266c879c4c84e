"""What must hold of every input: an answer or one error in one line, in time, in little memory."""

import contextlib
import gc
import os
import re
import resource
import signal
import time
import traceback
import warnings

from recurra.errors import RecurraError

SECONDS = 1.0  # of the processor, for anything up to 10 MB
BUSY = 1  # times that, where others have the machine
HANGS = int(os.environ.get("FUZZ_HANGS", 30))  # seconds on the clock
ROOM = 160 << 20  # bytes besides
TIMES = 30  # the size of what is read
LONGEST = 2000  # characters of an error
#: What ends a line, moves a cursor, or is no character.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Fault(Exception):  # noqa: N818
    """An input that broke a promise, and which."""


def peak():
    """The most memory that this process had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def bound_memory(most=6 << 30):
    """Let what asks for all memory fail instead of the machine."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _hangs(number, frame):
    raise Fault(f"no end after {HANGS} s: {''.join(traceback.format_stack(frame)[-3:])}")


def check(read, size, *, seconds=SECONDS, room=ROOM):
    """Run `read`, which reads `size` bytes; return what it answered, or None for a refusal.

    Raises Fault.
    """
    old = signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(HANGS)
    highest, started = peak(), time.process_time()
    answer = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = read()
    except RecurraError as error:
        text = str(error)
        if _CONTROL.search(text):
            raise Fault(f"an error of several lines, or with control signs: {text!r}") from error
        if len(text) > LONGEST:
            raise Fault(f"an error of {len(text):,} characters: {text[:300]!r}") from error
        if not text.strip():
            raise Fault("an error without words") from error
    except Fault:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        where = traceback.extract_tb(error.__traceback__)
        ours = [f for f in where if "recurra" in f.filename] or where
        shown = f"{ours[-1].filename}:{ours[-1].lineno}, {where[-1].filename}:{where[-1].lineno}"
        raise Fault(f"{type(error).__name__}: {str(error)[:300]} ({shown})") from error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)
    took, grown = time.process_time() - started, peak() - highest
    if took > seconds * BUSY:
        raise Fault(f"{took:.2f} s of the processor for {size:,} bytes")
    if grown > room + TIMES * size:
        gc.collect()
        raise Fault(f"{grown >> 20:,} MiB for {size:,} bytes")
    return answer
