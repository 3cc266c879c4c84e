"""The command `recurra`: one file a verb, each importing what it needs when it runs."""

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from recurra.cli.parser import make_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 done; 1 what was asked could not be done; 2 what was asked makes no sense; 129, 130 and 143
    ended by a terminal that closed, Ctrl-C or a request to terminate. Errors are one line on
    standard error.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a symbol the terminal lacks ends no command
            stream.reconfigure(errors="backslashreplace")
    arguments = make_parser().parse_args(argv)
    from recurra.errors import InputError, RecurraError

    try:
        code = int(arguments.run(arguments) or 0)
        sys.stdout.flush()
        return code
    except RecurraError as error:
        _complain(error)
        return int(getattr(error, "exit_code", 2 if isinstance(error, InputError) else 1))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing must be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        from recurra.storage.disk import failure

        _complain(failure(Path(error.filename), error) if error.filename else error)
        return 1
    except MemoryError:
        _complain(RecurraError("out of memory: lower --batch, --bptt or --hidden"))
        return 1


def _complain(error: BaseException) -> None:
    """Print an error and what caused it, in one line."""
    from recurra.errors import one_line

    # An order that was obeyed is no error.
    told = ("" if hasattr(error, "exit_code") else "error: ") + " ".join(str(error).split())
    cause = error.__cause__
    while cause is not None:
        said = cause.strerror if isinstance(cause, OSError) else str(cause)
        text = " ".join((said or str(cause)).split())
        if text.lower() not in told.lower():
            told += f"; because: {text}"
        cause = cause.__cause__
    with contextlib.suppress(OSError):  # a terminal that is gone reads no message
        sys.stderr.write(f"recurra: {one_line(told)}\n")
