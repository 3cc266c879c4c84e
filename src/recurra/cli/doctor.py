"""`recurra doctor`."""

import argparse
import json
import os
import platform
import sys
import time
from importlib import metadata
from typing import Any

from recurra.cli.parser import describe

_PACKAGES = ("numpy", "safetensors", "torch", "tokenizers", "rich", "matplotlib")
#: Vector instruction sets, best first, as Linux names them.
_SETS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "sse4_2", "asimd")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    describe(
        parser,
        _run,
        "Show versions and processor, and test that what is installed computes right.",
        "recurra doctor --json",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _run(arguments: argparse.Namespace) -> int:
    report = _inspect()
    tests = _test()
    good = all(found["passed"] for found in tests)
    if arguments.json:
        sys.stdout.write(json.dumps(report | {"tests": tests, "passed": good}) + "\n")
        return 0 if good else 1
    for name, found in report.items():
        sys.stdout.write(f"{name:<16} {_show(found)}\n")
    for test in tests:
        verdict = "passed" if test["passed"] else f"FAILED: {test['error']}"
        sys.stdout.write(f"{test['name']:<44} {verdict} ({test['seconds']:.2f} s)\n")
    return 0 if good else 1


def _inspect() -> dict[str, Any]:
    from recurra import __version__

    found: dict[str, Any] = {
        "recurra": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    found["processor"], found["instructions"] = processor()
    found["cores"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    found["kernels"], found["own cells"] = _kernels(), _own_cells()
    found["threads"] = _threads()
    if found["torch"]:
        import torch

        found["torch threads"] = torch.get_num_threads()
        found["cuda"] = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return found


def _kernels() -> str:
    """Which of the compiled kernels run here."""
    from recurra import native

    if native.switched_off():
        return "off: RECURRA_KERNELS=off is in the environment"
    if not native.available():
        return f"none, 3 to 30 times slower: {native.unavailable()}"
    others = " ".join(name for name in native.isas() if name != native.isa())
    return f"{native.isa()}, {native.threads()} threads (the processor also runs: {others})"


def _threads() -> str:
    """How many threads the kernels use, why, and when fewer."""
    from recurra import native
    from recurra.native.processors import why

    return f"{why()}. {native.choice_of_threads()}"


def _own_cells() -> str:
    """How cells that do not come with the package get kernels."""
    from recurra import native

    return native.own_cells() if native.available() else "by the slow reference"


def processor() -> tuple[str, list[str]]:
    """Its name, and which of the vector instruction sets it has."""
    name, flags = platform.processor() or platform.machine(), set()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, text = line.partition(":")
                if key.strip() == "model name":
                    name = text.strip()
                if key.strip() in ("flags", "Features"):
                    flags = set(text.split())
    except OSError:
        pass  # not Linux: the name has to do
    return name, [s for s in _SETS if s in flags]


def _test() -> list[dict[str, Any]]:
    """Each test in a moment: numpy's results, and torch's where it is installed."""
    results = []
    for name, test in (
        ("cells step by step = in one go (numpy)", _test_stream),
        ("kernels = reference", _test_kernels),
        ("layers = torch.nn, outputs and gradients", _test_torch),
        ("a model is written, verified, read", _test_storage),
    ):
        begin, error = time.perf_counter(), None
        try:
            if test() is None:
                continue
        except Exception as problem:  # whatever it is, the report is about it
            error = f"{type(problem).__name__}: {problem}"
        seconds = round(time.perf_counter() - begin, 3)
        results.append({"name": name, "passed": not error, "error": error, "seconds": seconds})
    return results


def _test_stream() -> bool:
    import numpy as np

    from recurra import native
    from recurra.cells import find
    from recurra.reference import Interpreter

    random = np.random.default_rng(0)
    for name in native.BUILT_IN:
        program = find(name).program()
        shapes = [p.shape(gates=len(program.gates), inputs=3, hidden=4) for p in program.parameters]
        drawn = [random.normal(size=shape).astype(np.float32) for shape in shapes]
        parameters = {p.name: a for p, a in zip(program.parameters, drawn, strict=True)}
        cell = Interpreter(program, parameters)
        x = random.normal(size=(6, 2, 3)).astype(np.float32)
        states = [np.zeros((2, 4), np.float32) for _ in program.states]
        whole = cell.run(x, states)
        current: Any = states
        for t in range(len(x)):
            current = cell.run(x[t : t + 1], current).states
        np.testing.assert_allclose(current[0], whole.states[0], atol=1e-6)
    return True


def _test_kernels() -> bool | None:
    import numpy as np

    from recurra import native
    from recurra.cells import find
    from recurra.runtime.layer import KernelLayer, NumpyLayer, on_kernels

    if not native.available():
        return None
    random = np.random.default_rng(0)
    for name in native.BUILT_IN:
        program = find(name).program()
        sizes = {"gates": len(program.gates), "inputs": 9, "hidden": 21}
        weights = {
            p.name: random.normal(size=p.shape(**sizes)).astype(np.float32)
            for p in program.parameters
        }
        if not on_kernels(program, weights):
            continue
        x = random.normal(size=(6, 5, 9)).astype(np.float32)
        states = tuple(random.normal(size=(5, 21)).astype(np.float32) for _ in program.states)
        valid = random.random((6, 5)) < 0.7
        y, last = KernelLayer(program, weights, ()).run(x, states, valid)
        expected, ended = NumpyLayer(program, weights, ()).run(x, states, valid)
        for one, other in zip((y, *last), (expected, *ended), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
    return True


def _test_torch() -> bool | None:
    try:
        import torch
    except ModuleNotFoundError:
        return None
    from recurra import nn

    for name in ("RNN", "LSTM", "GRU"):
        theirs = getattr(torch.nn, name)(3, 4, 2, bidirectional=True)
        ours = getattr(nn, name)(3, 4, 2, bidirectional=True)
        ours.load_state_dict(theirs.state_dict())
        x = torch.randn(5, 2, 3)
        for module in (theirs, ours):
            module.zero_grad()
            module(x)[0].square().sum().backward()
        torch.testing.assert_close(ours(x)[0], theirs(x)[0])
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad)
    return True


def _test_storage() -> bool:
    import tempfile
    from pathlib import Path

    import numpy as np

    from recurra.storage import read_model, save_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        save_model(path, config={"task": "test"}, tensors={"a": np.arange(3, dtype=np.float32)})
        return bool((read_model(path).tensors["a"] == np.arange(3)).all())


def _show(found: Any) -> str:
    if isinstance(found, list):
        return " ".join(found) or "none known"
    return "not installed" if found is None else str(found)
