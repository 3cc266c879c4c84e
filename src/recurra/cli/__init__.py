"""The command `recurra`: one file a verb, each importing what it needs when it runs."""

import sys
from collections.abc import Sequence

from recurra.cli.parser import make_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 done; 1 what was asked could not be done; 2 what was asked makes no sense; 130 and 143 ended
    by Ctrl-C or a request to terminate. Errors are one line on standard error.
    """
    arguments = make_parser().parse_args(argv)
    from recurra.errors import InputError, RecurraError

    try:
        return int(arguments.run(arguments) or 0)
    except RecurraError as error:
        _complain(error)
        return int(getattr(error, "exit_code", 2 if isinstance(error, InputError) else 1))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing must be written at exit either.
        sys.stdout = None
        return 141
    except OSError as error:
        _complain(error)
        return 1
    except MemoryError:
        _complain(RecurraError("out of memory: lower --batch, --bptt or --hidden"))
        return 1


def _complain(error: BaseException) -> None:
    """Print an error and what caused it, a line each."""
    told = str(error).replace("\n", " ")
    sys.stderr.write(f"recurra: error: {told}\n")
    cause = error.__cause__
    while cause is not None:
        text = " ".join(str(cause).split())
        if text and text not in told:
            sys.stderr.write(f"  because: {text}\n")
        cause = cause.__cause__
