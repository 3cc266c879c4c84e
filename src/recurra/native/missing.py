"""Why the compiled module cannot be used here, and what to do: for the notice, and `doctor`."""

import os
import sys
import sysconfig
import warnings
from pathlib import Path

from recurra.errors import InputError, RecurraWarning

_told = False


def switched_off(variable: str) -> bool:
    """Whether a variable of the environment is `off`; InputError for what is not `on` either."""
    value = os.environ.get(variable, "").strip().lower()
    if value not in ("", "on", "off"):
        raise InputError(
            f"{variable}={os.environ[variable]!r}: expected off, or on, which it is without"
        )
    return value == "off"


def reason(error: ImportError, name: str, places: list[str]) -> str:
    """Say in a line why a compiled module could not be imported, and what to do.

    Args:
        error: of the import.
        name: of the module, with those of its packages.
        places: the folders of its package.
    """
    short = name.rpartition(".")[2]
    if not (isinstance(error, ModuleNotFoundError) and error.name == name):
        text = " ".join(str(error).split())
        return f"{short} cannot be loaded ({text}): {_ANEW}"
    for place in map(Path, places):
        others = sorted(p.name for e in ("so", "pyd") for p in place.glob(f"{short}.*{e}"))
        if others:
            here = sysconfig.get_config_var("EXT_SUFFIX")
            return f"{others[0]} is of another Python than this one ({short}{here}): {_ANEW}"
    for place in map(Path, places):
        root = place.parent.parent
        if (root / "native" / "CMakeLists.txt").exists() and (root / "pyproject.toml").exists():
            return (
                f"{root} is a checkout, on the path without its compiled part: take it off the "
                f"path, or run `make setup` there, or `{sys.executable} -m pip install {root}`"
            )
    return (
        f"recurra was installed without a C++ compiler: install one (g++ or clang++), and {_ANEW}"
    )


_ANEW = f"install it anew: {sys.executable} -m pip install --force-reinstall --no-cache-dir recurra"


def tell(why: str) -> None:
    """Warn, once a process, that what has kernels runs without them."""
    global _told
    if not _told:
        _told = True
        warnings.warn(
            "recurra runs without its compiled kernels, 3 to 30 times slower: "
            f"{why} (RECURRA_KERNELS=off in the environment silences this)",
            RecurraWarning,
            stacklevel=2,
        )
