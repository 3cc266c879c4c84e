"""Run a driver of the kernels' threads under gcc's thread sanitizer.

Not Python itself: its interpreter and OpenMP synchronise in ways that the sanitizer does not see.
The driver (tests/native/driver) does with the pool what the kernels do, in small.
"""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "thread-sanitizer"
SOURCES = (
    "tests/native/driver/pool.cpp",
    "native/pool.cpp",
    "native/place.cpp",
    "native/cores.cpp",
)
FLAGS = ("-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Inative", "-pthread")


def main() -> int:
    """Compile the driver, once with the sanitizer and once without, and run both."""
    if shutil.which("g++") is None:
        print("thread sanitizer: skipped, there is no g++")
        return 0
    BUILD.mkdir(parents=True, exist_ok=True)
    for name, more in (("plain", ()), ("checked", ("-fsanitize=thread",))):
        program = str(BUILD / name)
        command = ["g++", *FLAGS, *more, *SOURCES, "-o", program, "-ldl"]
        subprocess.run(command, cwd=ROOT, check=True)
        for processors in ([], ["1"]):  # the second: without workers, the caller does all
            done = subprocess.run([*_fixed(), program, *processors], timeout=300)
            if done.returncode:
                print(f"thread sanitizer: the {name} driver failed: {done.returncode}")
                return 1
    return 0


def _fixed() -> list[str]:
    """The command that keeps a program at fixed addresses, which the sanitizer's map asks for."""
    setarch = shutil.which("setarch")
    command = [setarch, platform.machine(), "-R"] if setarch else []
    works = command and subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if works else []


if __name__ == "__main__":
    sys.exit(main())
