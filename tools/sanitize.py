"""Run the kernels' tests under the address and undefined-behaviour sanitizers of gcc.

The kernels are compiled anew into a virtual environment of their own, which borrows everything else
from the one this runs in: every process that a test starts has the checked kernels, too.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from recurra import native

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "sanitize"
REPORTS = BUILD / "reports"


def main(arguments: list[str]) -> int:
    """Build, test, and print what the sanitizers found; `arguments` are more for pytest."""
    if shutil.which("g++") is None:
        print("sanitize: skipped, there is no g++: the package works without the kernels")
        return 0
    if not native.available():
        raise SystemExit(
            "sanitize: the kernels did not compile: run make setup and read its output"
        )
    # What a caller put before the installed packages would be tested instead.
    os.environ.pop("PYTHONPATH", None)
    python, packages = _environment()
    _install(python, packages)
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir()
    # pytest keeps what a test writes, and forgets it where the process ends: hence files.
    log = f"log_path={REPORTS / 'found'}"
    environment = {
        **os.environ,
        # Before all others, as it replaces their malloc; and the exceptions that it wraps.
        "LD_PRELOAD": " ".join(map(_library, ("libasan.so", "libstdc++.so"))),
        # The interpreter keeps what it allocates until it ends; freed memory would hide growth.
        "ASAN_OPTIONS": f"detect_leaks=0:quarantine_size_mb=4:{log}",
        "UBSAN_OPTIONS": f"print_stacktrace=1:{log}",
        "OMP_NUM_THREADS": "1",
    }
    command = [str(python), "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal"]
    command += ["-o", f"pythonpath={ROOT / 'tests'}", "tests/native", *arguments]
    code = subprocess.run(command, cwd=ROOT, env=environment).returncode
    for report in sorted(REPORTS.iterdir()):
        print(report.read_text(errors="replace"))
        code = code or 1
    return code


def _environment() -> tuple[Path, Path]:
    """Make a virtual environment that sees this one's packages; return its Python, its packages."""
    venv = str(BUILD / "venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--clear", venv], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": venv}))
    # A path in a .pth file brings modules, and leaves the editable install of ours behind.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return BUILD / "venv" / "bin" / "python", packages


def _install(python: Path, packages: Path) -> None:
    """Compile the best instruction set of this processor and the base, with the sanitizers."""
    isas = ";".join(dict.fromkeys([native.isas()[0], "base"]))
    pins = str(ROOT / "constraints.txt")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    command += ["--no-deps", "--disable-pip-version-check"]
    command += ["-C", "cmake.define.RECURRA_SANITIZE=ON", "-C", f"cmake.define.RECURRA_ISAS={isas}"]
    # Names and lines in the reports.
    command += ["-C", "install.strip=false", "-C", f"build-dir={BUILD / 'objects'}", str(ROOT)]
    environment = {**os.environ, "PIP_CONSTRAINT": pins, "PIP_BUILD_CONSTRAINT": pins}
    subprocess.run(command, check=True, env={**environment, "CXX": "g++"})
    if not list(packages.glob("recurra/_native*")):
        raise SystemExit("sanitize: the kernels did not compile: install with pip -v to see why")


def _library(name: str) -> str:
    command = ["g++", f"-print-file-name={name}"]
    path = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    if not Path(path).is_absolute():
        raise SystemExit(f"sanitize: g++ has no {name}: install the sanitizers of your gcc")
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
