"""Kernels of programs that do not come compiled: made on first use, then found in the cache.

That is every cell of a user's own, and the built-in ones with other functions. RECURRA_COMPILE=off
in the environment leaves them to the reference.
"""

import hashlib
import logging
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from recurra.cells import BUILT_IN, emit
from recurra.cells.graph import Program
from recurra.errors import InputError, RecurraWarning
from recurra.native import missing

_log = logging.getLogger(__name__)
_lock = threading.RLock()  # what shows a warning may ask for kernels, too
_numbers: dict[tuple[Program, str], int | None] = {}
_told: set[object] = set()


def built_in(program: Program) -> bool:
    """Whether a program is a cell of this package, and not another of its name."""
    cell = BUILT_IN.get(program.cell)
    if cell is None or {n for n, _ in program.options} != {n for n, _ in cell.program().options}:
        return False
    try:
        return cell.program(**dict(program.options)) == program
    except InputError:  # another cell of the name, whose options have other values
        return False


def number(extension: Any, program: Program) -> int | None:
    """Return the number under which the extension knows a program; compile it where it must be.

    None where that cannot be, which is told once a program.
    """
    if missing.switched_off("RECURRA_COMPILE"):
        return None
    isa = extension.isa()
    with _lock:
        if (program, isa) not in _numbers:
            _numbers[program, isa] = None  # for who asks again while a warning is shown
            try:
                _numbers[program, isa] = _make(extension, program, isa)
            except _NoKernelsError as error:
                tell(program, str(error))
            except BaseException:  # an interrupt is no answer
                del _numbers[program, isa]
                raise
        return _numbers[program, isa]


def way(extension: Any) -> str:
    """Say in a line how cells are compiled here, or why they are not."""
    from recurra.native import cache, compiler

    if missing.switched_off("RECURRA_COMPILE"):
        return "off: RECURRA_COMPILE=off is in the environment"
    try:
        by = compiler.find_compiler().version
    except compiler.CompileError as error:
        return f"not compiled: {error}"
    try:
        return f"compiled by {by} into {cache.usable_folder()}"
    except cache.UnusableError as error:
        return f"compiled by {by} for each process: {error}"


def tell(program: Program, reason: str) -> None:
    """Warn, once a program, that only the reference computes it."""
    _warn(
        program,
        f"cell {program.cell}: the reference computes it, many times slower than compiled kernels: "
        f"{reason} (RECURRA_COMPILE=off in the environment silences this)",
    )


class _NoKernelsError(Exception):
    """Why there are none, and what to do."""


def _make(extension: Any, program: Program, isa: str) -> int:
    from recurra.native import cache, compiler  # only systems with POSIX file locks have `cache`

    try:
        source = _source(extension, program, isa)
    except emit.NoKernelError as error:
        raise _NoKernelsError(f"{error}; docs/cells.md says what kernels compute") from error
    except Exception as error:  # a fault of ours costs speed, and is no reason to make no layer
        raise _NoKernelsError(
            f"a fault of the generator of kernels ({type(error).__name__}: {error}): please report "
            "it with the definition"
        ) from error
    flags = compiler.all_flags(extension.own_flags(isa))
    name = _hash(source, *flags)[:32]

    def load(path: str) -> int:
        return int(extension.add_own(path, isa))

    try:
        found = compiler.find_compiler()
    except compiler.CompileError as error:
        try:
            index = cache.any_of(name, load)
        except cache.UnusableError:
            index = None
        if index is None:
            raise _NoKernelsError(str(error)) from error
        return index

    def make(path: Path) -> None:
        begin = time.perf_counter()
        compiler.compile_text(found, source, flags, path)
        seconds = time.perf_counter() - begin
        _log.info("cell %s: kernels compiled in %.1f s by %s", program.cell, seconds, found.version)

    try:
        return cache.obtain(f"{name}-{_hash(*found.command, found.version)[:8]}", make, load)
    except cache.UnusableError as unusable:
        _warn(
            "cache",
            f"compiled cells are not kept: {unusable}; every process compiles its own until "
            "RECURRA_CACHE names a folder that only you can write to",
        )
        return _for_this_process(make, load)
    except compiler.CompileError as error:
        raise _NoKernelsError(str(error)) from error


def _for_this_process(make: Any, load: Any) -> int:
    """Compile where nobody will find it; loaded, a file may go."""
    import tempfile

    from recurra.native import cache, compiler

    try:
        with tempfile.TemporaryDirectory(prefix="recurra-") as place:
            return int(cache.once(Path(place), make, load))
    except (OSError, RuntimeError, cache.UnusableError, compiler.CompileError) as error:
        raise _NoKernelsError(str(error)) from error


def _source(extension: Any, program: Program, isa: str) -> str:
    """The whole of what is compiled: headers, the cell's equations, what it is."""
    return (
        f"#define RECURRA_NAMESPACE recurra_{isa}\n"
        f"#define RECURRA_BYTES {extension.own_bytes(isa)}\n"
        f"{extension.own_text()}\n{emit.own(program)}\n"
        f'RECURRA_OWN_CELL("{extension.own_layout(isa)}")\n'
    )


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _warn(what: object, text: str) -> None:
    if what not in _told:
        _told.add(what)
        warnings.warn(text, RecurraWarning, stacklevel=2)
