"""Write text from many threads under gcc's thread sanitizer, in a program without Python.

Compiles the kernels of the plainest instruction set and `tests/native/tsan/writing.cpp` into
`build/thread-sanitizer`, and runs it. Returns 1 where a race or another text was found.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "native"
BUILD = ROOT / "build" / "thread-sanitizer"
FLAGS = ["-std=c++17", "-O1", "-g1", "-fsanitize=thread", "-ffp-contract=off", "-Wno-psabi"]
#: The build's own: see native/CMakeLists.txt.
KERNELS = [
    "-DRECURRA_NAMESPACE=recurra_base", '-DRECURRA_NAME="base"', "-DRECURRA_BYTES=16",
    "-DRECURRA_RUNS=true", '-DRECURRA_FLAGS=""', "-fno-math-errno",
]  # fmt: skip


def main() -> int:
    """Compile what is older than its sources, run, say what came."""
    compiler = shutil.which("g++")
    if compiler is None:
        print("thread sanitizer: skipped, there is no g++")
        return 0
    BUILD.mkdir(parents=True, exist_ok=True)
    sources = {
        "kernels": [str(NATIVE / "kernels.cpp"), *KERNELS],
        "isa": [str(NATIVE / "isa.cpp"), "-DRECURRA_ISAS=RECURRA_ISA(base)"],
        "memory": [str(NATIVE / "memory.cpp")],
        "place": [str(NATIVE / "place.cpp")],
        "pool": [str(NATIVE / "pool.cpp")],
        "cores": [str(NATIVE / "cores.cpp")],
        "costs": [str(NATIVE / "costs.cpp")],
        "writing": [str(ROOT / "tests" / "native" / "tsan" / "writing.cpp")],
    }
    newest = max(p.stat().st_mtime for d in ("native", "tests/native/tsan")
                 for p in (ROOT / d).rglob("*.[ch]*"))  # fmt: skip
    objects = []
    for name, given in sources.items():
        to = BUILD / f"{name}.o"
        objects.append(str(to))
        if not to.exists() or to.stat().st_mtime < newest:
            command = [compiler, *FLAGS, f"-I{NATIVE}", "-c", *given, "-o", str(to)]
            subprocess.run(command, check=True)
    program = BUILD / "writing"
    subprocess.run(
        [compiler, "-fsanitize=thread", *objects, "-o", str(program), "-ldl", "-lpthread"],
        check=True,
    )
    environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=0 exitcode=66"}
    done = subprocess.run([str(program)], env=environment, timeout=600)
    print(f"thread sanitizer: writing: {'passed' if not done.returncode else 'failed'}")
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
