"""What a model says of an input depends on neither its company, the BLAS, threads, nor callers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.matrix

ROOT = Path(__file__).resolve().parent.parent
#: Processors whose BLAS kernels numpy is told to use; one that this processor lacks it ignores.
BLAS = ("", "Haswell", "SkylakeX", "Prescott")


def asked(what, models, **environment):
    """By case what is wrong, and a digest of the results, from a process of its own."""
    given = {**os.environ, **{name: value for name, value in environment.items() if value}}
    command = [sys.executable, str(ROOT / "company.py"), what, str(models)]
    done = subprocess.run(command, env=given, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    found = json.loads(done.stdout)
    assert len(found) >= 25
    wrong = {name: differences for name, (differences, _) in found.items() if differences}
    assert not wrong, json.dumps(wrong, indent=1)[:2000]
    return {name: digest for name, (_, digest) in found.items()}


def test_results_do_not_depend_on_company(models):
    digests = asked("quick", models)
    if "RECURRA_TEST_DIGESTS" in os.environ:  # `tools/matrix.py` compares them between its rows
        Path(os.environ["RECURRA_TEST_DIGESTS"]).write_text(json.dumps(digests), "utf-8")


def test_results_are_those_of_calls_in_turn(models):
    """Many threads at one object, from its first call on; a crash is this process's."""
    asked("threads", models)


@pytest.mark.peers
@pytest.mark.skipif("RECURRA_TEST_MODELS" in os.environ, reason="the matrix has its own rows")
@pytest.mark.parametrize("kernels", ["", "off"])
def test_results_are_the_same_with_any_blas_and_any_number_of_threads(models, kernels):
    how = {"RECURRA_KERNELS": kernels, "RECURRA_COMPILE": kernels}
    rows = zip((1, 2, 3, 8), BLAS if not kernels else BLAS[:2], strict=False)
    found = [
        asked(
            "alone" if blas == "Haswell" and not kernels else "quick",
            models,
            OPENBLAS_CORETYPE=blas,
            OMP_NUM_THREADS=str(threads),
            **how,
        )
        for threads, blas in rows
    ]
    for other in found[1:]:
        assert other == found[0]
