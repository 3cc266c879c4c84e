"""Make `.venv` ready: `python3 tools/setup_venv.py dev` (or `demo`, `bench`: what those need).

Standard library only, and nothing newer than Python 3.6 in its syntax: an older Python must get as
far as the sentence that says what is missing. A stamp named after the files that decide what is
installed makes a second run cost a few milliseconds.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CONSTRAINTS = ROOT / "constraints.txt"
EXTRAS = {"dev": "all,dev", "demo": "train,cli", "bench": "bench"}
#: What has all that another state has.
INSTEAD = {"demo": ("dev", "bench")}
OLDEST = (3, 11)


def main(kind: str) -> None:
    """Bring `.venv` to the state `kind`, one of `EXTRAS`; return at once where it is there."""
    stamps = {name: VENV / f".{name}-{_fingerprint()}" for name in EXTRAS}
    if any(stamps[name].exists() for name in (kind, *INSTEAD.get(kind, ()))):
        return
    if not _usable(PYTHON):
        _make_venv()
    # torch first and alone: the largest download, and the one whose failure is worth reading.
    _pip(_pin("torch"))
    _pip("--editable", f"{ROOT}[{EXTRAS[kind]}]")
    for old in VENV.glob(f".{kind}-*"):
        old.unlink()
    stamps[kind].touch()


def _fingerprint() -> str:
    files = [ROOT / "pyproject.toml", CONSTRAINTS, Path(__file__)]
    compiled = (".txt", ".cpp", ".h")
    files += sorted(f for f in (ROOT / "native").rglob("*") if f.suffix in compiled)
    # An editable install knows the modules there were by name.
    modules = sorted(str(f.relative_to(ROOT)) for f in (ROOT / "src").rglob("*.py"))
    contents = b"".join(file.read_bytes() for file in files)
    named = "\n".join([str(ROOT), *modules]).encode()
    return hashlib.sha256(contents + named).hexdigest()[:16]


def _usable(python: Path) -> bool:
    """Whether `python` starts, is new enough, has pip, and was made where it stands now."""
    pip = python.parent / "pip"
    # Commands in .venv/bin name their interpreter by its full path: a moved .venv is of no use.
    if not (python.exists() and pip.exists() and str(python) in pip.read_text()):
        return False
    probe = f"import pip, sys; sys.exit(sys.version_info < {OLDEST})"
    return subprocess.call([str(python), "-c", probe], stderr=subprocess.DEVNULL) == 0


def _make_venv() -> None:
    if sys.version_info < OLDEST:
        raise SystemExit(
            "setup: Python 3.11 or newer is needed, {} is {}.{}; name another one: "
            "make PYTHON=python3.11 ...".format(sys.executable, *sys.version_info[:2])
        )
    print(f"setup: making {VENV} with {sys.executable}", flush=True)
    if subprocess.call([sys.executable, "-m", "venv", "--clear", str(VENV)]) != 0:
        raise SystemExit(
            f"setup: {sys.executable} -m venv failed, its message is above "
            "(Debian and Ubuntu: apt-get install python3-venv)"
        )


def _pin(package: str) -> str:
    for line in CONSTRAINTS.read_text().splitlines():
        if line.startswith(package + "=="):
            return line
    raise SystemExit(f"setup: {CONSTRAINTS} has no line {package}==...")


def _pip(*arguments: str) -> None:
    print("setup: pip install " + " ".join(arguments), flush=True)
    command = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Variables bind what the kernels are built with, too, which the option does not reach; newer
    # pips have one of their own for that.
    pins = str(CONSTRAINTS)
    environment = dict(os.environ, PIP_CONSTRAINT=pins, PIP_BUILD_CONSTRAINT=pins)
    code = subprocess.call([*command, *arguments], env=environment)
    if code != 0:
        raise SystemExit(f"setup: pip ended with code {code}, its message is above")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in EXTRAS:
        raise SystemExit("usage: setup_venv.py {}".format("|".join(EXTRAS)))
    main(sys.argv[1])
