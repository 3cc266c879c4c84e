"""The system's C++ compiler: which one it is, and a shared object from a text."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Looked for in this order, where CXX in the environment names none.
_NAMES = ("c++", "g++", "clang++")
#: What makes a shared object of it. What decides the arithmetic comes from the library, which was
#: compiled with it: see `all_flags`.
_FLAGS = "-fPIC -shared -fvisibility=hidden -pipe -w"
_PATIENCE = 300  # seconds


class CompileError(Exception):
    """There is no compiler, or it failed: why, and what to do, in one line."""


@dataclass(frozen=True)
class Compiler:
    """A compiler that is there.

    Attributes:
        command: how it is called, with the options that CXX gives it.
        version: the first line of what it says of itself.
    """

    command: tuple[str, ...]
    version: str


def find_compiler() -> Compiler:
    """Return the compiler that CXX in the environment names, else the first of the usual ones.

    Raises:
        CompileError: there is none.
    """
    asked = os.environ.get("CXX", "").strip()
    try:
        commands = [shlex.split(asked)] if asked else [[name] for name in _NAMES]
    except ValueError:  # a quotation mark without its twin
        commands = []
    for name, *options in commands:
        path = shutil.which(name)
        version = _version(path) if path else ""
        if path and version:
            return Compiler((path, *options), version)
    if asked:
        raise CompileError(f"CXX={asked!r} is no compiler here: name yours, or unset CXX")
    raise CompileError(
        f"no C++ compiler found ({', '.join(_NAMES)}): install one, or name yours in CXX"
    )


def compile_text(compiler: Compiler, text: str, flags: Sequence[str], to: Path) -> None:
    """Compile a C++ text to a shared object.

    Raises:
        CompileError: it does not compile; the message has the compiler's first complaint.
    """
    command = [*compiler.command, *flags, "-x", "c++", "-", "-o", str(to)]
    done = _run(command, text, _PATIENCE)
    if done is None or done.returncode != 0:
        output = done.stderr.splitlines() if done else [f"no answer in {_PATIENCE} s"]
        first = next((line for line in output if "error" in line), (output or ["no message"])[0])
        raise CompileError(
            f"{compiler.version} failed ({first.strip()[:200]}): name another compiler in CXX, "
            "or report it with what `recurra doctor` prints"
        )


def all_flags(of_kernels: str) -> tuple[str, ...]:
    """Return the options to compile with, where the library's kernels had `of_kernels`."""
    return (*of_kernels.split(), *_FLAGS.split())


def _version(path: str) -> str:
    done = _run([path, "--version"], "", 20)
    lines = done.stdout.splitlines() if done and done.returncode == 0 else []
    return lines[0].strip() if lines else ""


def _run(
    command: Sequence[str], text: str, seconds: float
) -> "subprocess.CompletedProcess[str] | None":
    """Run a program on a text; None where it cannot be started or does not come to an end."""
    try:
        return subprocess.run(
            command,
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
