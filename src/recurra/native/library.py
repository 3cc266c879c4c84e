"""The compiled library: what it has, which instruction set it uses, its memory."""

import importlib
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import numpy as np

from recurra.cells.emit import key
from recurra.cells.graph import Program
from recurra.errors import InputError
from recurra.native import missing, own
from recurra.native.processors import chosen, quota

#: Of products; everything else is in the dtype of the weights.
PRECISIONS = ("float32", "bf16")

#: Whether the environment forbids the kernels.
OFF = missing.switched_off("RECURRA_KERNELS")


def _load() -> tuple[Any, str]:
    """The extension, or None and why."""
    if OFF:
        return None, ""
    try:
        return importlib.import_module("recurra._native"), ""
    except ImportError as error:
        places = list(sys.modules["recurra"].__path__)
        return None, missing.reason(error, "recurra._native", places)


_native, _why = _load()

#: Below this gain by a second thread, calls use one (native/costs.cpp).
LEAST_GAIN = 1.25

_P = ParamSpec("_P")
_R = TypeVar("_R")
_forget: list[Callable[[], None]] = []


def for_one_isa(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Keep what a function returns, until `use_isa`: own cells have kernels for one only."""
    cached = lru_cache(maxsize=4096)(function)
    _forget.append(cached.cache_clear)
    return cast(Callable[_P, _R], cached)


def compiled() -> Any:
    """Return the extension module itself, for this package alone."""
    return _native


def available() -> bool:
    """Whether this installation has the kernels."""
    return _native is not None


def usable() -> bool:
    """`available`, for those who are about to use them: that there are none is told once."""
    if _native is None and not OFF:
        missing.tell(_why)
    return _native is not None


def unavailable() -> str:
    """Say why there are no kernels, and what to do; "" where there are, or shall not be."""
    return _why


def switched_off() -> bool:
    """Whether RECURRA_KERNELS=off keeps an installation from using them."""
    return OFF


def isa() -> str:
    """Return the instruction set in use: "v4", "v3", "v2", "neon" or "base"."""
    return str(_native.isa())


def half_products() -> str:
    """Return what computes products in bfloat16 here ("amx_bf16", "avx512_bf16"), or ""."""
    return str(_native.half()) if _native else ""


def without_half(program: Program) -> str:
    """Say why a program's products cannot be had in bfloat16 here; "" where they can."""
    if not half_products():
        return "a processor without AVX512-BF16 or AMX, or no kernels"
    if find(program) is None:
        return f"the cell {key(program)}, which only the reference runs"
    return ""


def isas() -> tuple[str, ...]:
    """Return all instruction sets this processor runs, best first."""
    return tuple(_native.isas()) if _native else ()


def threads() -> int:
    """How many threads to use where no library says: OMP_NUM_THREADS, else the processors.

    Never more than the kernels have; of them a call uses no more than it may have processors.
    """
    return chosen()


def at_most(count: int, products: float | None = None) -> int:
    """Return so many threads, or fewer: as many as this process may have processors now.

    With `products`, multiplications that are shared out once, one where more would not pay: by what
    waking and waiting for threads has cost here of late (see `costs`).
    """
    if products is None:
        return max(1, min(count, int(_native.cores())))
    return int(_native.threads_for(count, products))


class Costs(NamedTuple):
    """What threads cost here at present.

    Attributes:
        cycle: of a core, nanoseconds.
        meeting: of two threads after a piece of work, microseconds.
        waking: of threads that sleep, microseconds.
        gain: how much faster two threads are than one where they need not meet.
        measured: False: assumed, since there is one processor, or another call has the threads.
    """

    cycle: float
    meeting: float
    waking: float
    gain: float
    measured: bool


def costs() -> Costs | None:
    """Return what the choice of threads goes by, measured anew every few seconds, or None."""
    return None if _native is None else Costs(*_native.costs())


def choice_of_threads() -> str:
    """Say in a line when a call uses fewer threads than it may, and by which costs."""
    found = costs()
    if found is None:
        return "No kernels use them"
    if not found.measured:
        return "A call uses one where there is no second processor"
    if found.gain < LEAST_GAIN:
        return (
            f"Calls use one at present: two threads are {found.gain:.1f} times as fast as one, "
            "since others use the processors"
        )
    return (
        f"One where a call is too small to gain by two: meeting costs {found.meeting:.2f} us a "
        f"step, waking up to {found.waking:.0f} us, and two are {found.gain:.1f} times as fast"
    )


def crowded() -> bool:
    """Whether short calls use one thread at the moment, since others of the machine held one up."""
    return _native is not None and bool(_native.crowded())


def share_threads(path: str) -> bool:
    """Run on the threads of an OpenMP library from now on, and say whether that can be.

    Two libraries with threads of their own take the processors from each other: after a parallel
    region OpenMP's threads spin for milliseconds.

    Args:
        path: of a shared library, loaded in this process, that depends on the OpenMP library.
    """
    return _native is not None and bool(_native.share_threads(path))


def own_cells() -> str:
    """Say in a line how cells of one's own are compiled here, or why they are not."""
    return own.way(_native)


def use_isa(name: str) -> None:
    """Use another instruction set from now on. RECURRA_ISA in the environment does so at import."""
    if _native is None or not _native.use_isa(name):
        known = ", ".join(isas()) or "none: the kernels are not installed"
        raise InputError(f"instruction set {name!r}: expected one that runs here ({known})")
    for forget in _forget:
        forget()


def cells() -> tuple[str, ...]:
    """Return the keys of the programs that have kernels."""
    return tuple(_native.cells()) if _native else ()


@for_one_isa
def find(program: Program) -> int | None:
    """Return the number of a program's kernels; None: only the reference computes it.

    Those that do not come with the package are compiled by the first to ask (see `own`).
    """
    if not usable():
        return None
    ours = own.built_in(program)
    names = _native.cells()
    name = key(program)
    return names.index(name) if ours and name in names else own.number(_native, program)


def index_of(program: Program) -> int:
    """Return the number of a program's kernels.

    Raises:
        InputError: there are none.
    """
    index = find(program)
    if index is None:
        raise InputError(f"the kernels do not have {key(program)!r}: use the reference")
    return index


def empty(*shape: int, double: bool = False) -> np.ndarray:
    """Return an uninitialised array from memory that is kept from call to call.

    For what large calls write (`y`, `saved`, `dx`): fresh memory from the system can cost a tenth
    of the time of a training step.
    """
    array: np.ndarray = _native.empty(list(shape), double)
    return array


def function(name: str, x: np.ndarray) -> np.ndarray:
    """Return the pointwise function of contiguous values, as the kernels compute it."""
    y = np.empty_like(x)
    if not _native.function(name, x.ctypes.data, y.ctypes.data, x.size, x.itemsize == 8):
        raise LookupError(f"the kernels have no function {name!r}")
    return y


def memory() -> tuple[int, int]:
    """Return the bytes of large memory in use, and the bytes kept for later calls."""
    used, kept_bytes = _native.memory()
    return int(used), int(kept_bytes)


if _native is not None:
    _native.limit_cores(quota() or 0)
if _native is not None and os.environ.get("RECURRA_ISA"):
    use_isa(os.environ["RECURRA_ISA"])
