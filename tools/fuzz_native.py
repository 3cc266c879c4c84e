"""Fuzz the kernels with libFuzzer under the address and undefined-behaviour sanitizers of clang.

    python tools/fuzz_native.py SECONDS [libFuzzer's options]

Where clang or its libFuzzer is missing, a line says so, and nothing is run.
"""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from recurra import native
from recurra.cells import Program, find
from recurra.cells.emit import key

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "fuzz-native"
SOURCES = ("isa.cpp", "memory.cpp", "place.cpp", "pool.cpp", "cores.cpp", "costs.cpp")
CHECKED = "address,undefined"
FLAGS: tuple[str, ...] = (
    "-std=c++17",
    "-O1",
    "-g1",
    "-fno-omit-frame-pointer",
    "-ffp-contract=fast",
)
FLAGS += ("-fno-math-errno", "-fno-sanitize-recover=undefined", "-w", f"-I{ROOT / 'native'}")
#: Name, bytes of a vector, whether this processor has it, flags: as in native/CMakeLists.txt. Only
#: one of them is compiled: the sanitizers take minutes.
ISAS = {
    "v3": (32, '__builtin_cpu_supports("avx2")', ("-march=x86-64-v3",)),
    "base": (16, "true", ()),
}


def main(arguments: list[str]) -> int:
    """Build, run for some seconds, and return libFuzzer's code: 0, or that of a fault."""
    seconds, options = arguments[0], arguments[1:]
    clang = shutil.which("clang++")
    if clang is None or not _has_fuzzer(clang):
        print("fuzz: the kernels: not run: there is no clang with libFuzzer (apt install clang)")
        return 0
    if not native.available():
        print("fuzz: the kernels: not run: they did not compile here: run make setup")
        return 0
    program = build(clang)
    corpus = BUILD / "corpus"
    corpus.mkdir(exist_ok=True)
    command = [str(program), str(corpus), f"-max_total_time={seconds}", "-max_len=600"]
    command += ["-print_final_stats=1", f"-artifact_prefix={BUILD}/fault-", "-rss_limit_mb=4096"]
    # The pool and the memory that is kept from call to call live until the end.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "OMP_NUM_THREADS": "3"}
    return subprocess.run([*command, *options], env=environment).returncode


def _has_fuzzer(clang: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        text = 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }'
        words = [clang, "-x", "c++", "-", f"-fsanitize=fuzzer,{CHECKED}", "-o", f"{folder}/a"]
        return subprocess.run(words, input=text, text=True, capture_output=True).returncode == 0


def build(clang: str) -> Path:
    """Compile what is newer than its object; the program."""
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "cells_of_fuzz.h").write_text(header())
    wanted = os.environ.get("FUZZ_ISA") or ("v3" if "v3" in native.isas() else "base")
    isas = {wanted: ISAS[wanted]}
    names = "".join(f"RECURRA_ISA({name}) " for name in isas)
    jobs: dict[str, tuple[Path, tuple[str, ...]]] = {
        name.removesuffix(".cpp"): (ROOT / "native" / name, ()) for name in SOURCES
    }
    del jobs["isa"]
    jobs["isa_" + wanted] = (ROOT / "native" / "isa.cpp", (f"-DRECURRA_ISAS={names}",))
    jobs["harness"] = (ROOT / "tests/fuzz/native/kernels.cpp", (f"-I{BUILD}",))
    for name, (size, runs, more) in isas.items():
        defined = {"NAMESPACE": f"recurra_{name}", "NAME": f'"{name}"', "BYTES": size}
        defined |= {"RUNS": runs, "FLAGS": '""'}
        defines = tuple(f"-DRECURRA_{key}={value}" for key, value in defined.items())
        jobs[f"kernels_{name}"] = (ROOT / "native" / "kernels.cpp", (*more, *defines))
    headers = [*(ROOT / "native").rglob("*.h"), BUILD / "cells_of_fuzz.h"]
    newest = max(path.stat().st_mtime for path in headers if path.parent != BUILD)
    for name, (source, more) in jobs.items():
        target = BUILD / f"{name}.o"
        if target.exists() and target.stat().st_mtime > max(newest, source.stat().st_mtime):
            continue
        print(f"fuzz: compiling {name}", flush=True)
        words = [clang, *FLAGS, f"-fsanitize=fuzzer-no-link,{CHECKED}", *more]
        subprocess.run([*words, "-c", str(source), "-o", str(target)], check=True)
    program = BUILD / "kernels"
    objects = [str(BUILD / f"{name}.o") for name in jobs]
    link = [
        clang,
        f"-fsanitize=fuzzer,{CHECKED}",
        *objects,
        "-o",
        str(program),
        "-lpthread",
        "-ldl",
    ]
    subprocess.run(link, check=True)
    return program


def header() -> str:
    """The cells that come with the package, in the order of their tables, as C++."""
    programs = _programs()
    rows = []
    for name in native.cells():
        program = programs[name].biased()
        shapes = [_axes(parameter.axes) for parameter in program.parameters]
        biases = [p.name.startswith("bias_") for p in program.parameters]
        texts = [f"{{{{{a}}}, {str(b).lower()}}}" for a, b in zip(shapes, biases, strict=True)]
        flags = (program.option("norm"), "projection" in name)
        rows.append(
            f"  {{{len(program.states)}, {len(program.gates)}, {len(shapes)}, "
            f"{str(bool(flags[0])).lower()}, "
            f"{str(flags[1]).lower()}, {{{', '.join(texts)}}}}},  // {name}"
        )
    return _HEADER.replace("ROWS", "\n".join(rows))


def _programs() -> dict[str, Program]:
    found = {}
    flags = ("norm", "projection", "peephole")
    for cell in ("rnn", "gru", "lstm"):
        for chosen in itertools.product((False, True), repeat=3):
            for more in ({}, {"reset": "before"}, {"reset": "after"}, {"activation": "relu"}):
                options = {n: True for n, on in zip(flags, chosen, strict=True) if on}
                try:
                    program = find(cell).program(bias=True, **options, **more)
                except (ValueError, TypeError):
                    continue
                found[key(program)] = program
    return found


def _axes(axes: tuple[str, ...]) -> str:
    """A product of sizes: a count, and how often each symbol stands in it."""
    joined = "".join(axes)
    return ", ".join(str(joined.count(symbol)) for symbol in "GIHPR")


_HEADER = """// Written by tools/fuzz_native.py.
#pragma once

struct FuzzShape {
  int power[5];  // of gates, I, H, P, R
  bool bias;
};

struct FuzzCell {
  int states, gates, parameters;
  bool normed, projects;
  FuzzShape shape[24];
};

constexpr FuzzCell fuzz_cells[] = {
ROWS
};

// Elements of a parameter.
inline long fuzz_size(const FuzzCell& cell, int n, long I, long H, long P, long R) {
  const long sizes[] = {cell.gates, I, H, P, R};
  long all = 1;
  for (int k = 0; k < 5; ++k)
    for (int times = 0; times < cell.shape[n].power[k]; ++times) all *= sizes[k];
  return all;
}

constexpr int fuzz_cell_count = sizeof fuzz_cells / sizeof *fuzz_cells;
"""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
