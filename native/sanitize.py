"""Run the kernels' tests under the address and undefined-behaviour sanitizers (gcc)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "sanitize"


def main() -> int:
    """Build, then run tests/native on a copy of the package that has the sanitized kernels."""
    options = [f"-DPython_EXECUTABLE={sys.executable}", "-DRECURRA_SANITIZE=ON"]
    subprocess.run(["cmake", "-S", ROOT / "native", "-B", BUILD, *options], check=True)
    subprocess.run(["cmake", "--build", BUILD, "--parallel", "2"], check=True)
    package = BUILD / "package" / "recurra"
    shutil.rmtree(package.parent, ignore_errors=True)
    shutil.copytree(ROOT / "src" / "recurra", package, ignore=shutil.ignore_patterns("_native*"))
    for built in BUILD.glob("_native*.so"):
        shutil.copy(built, package)
    libraries = [
        subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True)
        for name in ("libasan.so", "libubsan.so")
    ]
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(found.stdout.strip() for found in libraries),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter itself leaks by design
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "OMP_NUM_THREADS": "1",
    }
    paths = f"pythonpath={package.parent} {ROOT / 'tests'}"
    command = [sys.executable, "-m", "pytest", "-q", "-o", paths, "tests/native", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
