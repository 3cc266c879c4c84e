"""Recorded runs: the fits that made them, which go on with them.

python -m golden.runs NAME OUT    # fit in a copy of the run
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import recurra
from golden.outputs import INPUTS
from tasks import classified

RUN: dict[str, Any] = {"steps": 16, "eval_every": 4, "threads": 1, "progress": False}


def language_model(out: Path, callbacks: Any = ()) -> Any:
    """The fit of `run-lm`."""
    model = recurra.LanguageModel(hidden=8, embedding=6, layers=2)
    model.fit(INPUTS / "corpus.txt", out=out, callbacks=callbacks, batch=4, bptt=16, **RUN)
    return model


def classifier(out: Path, callbacks: Any = ()) -> Any:
    """The fit of `run-classifier`."""
    model = recurra.SequenceClassifier(hidden=6, embedding=6, subwords=0)
    model.fit(classified.reviews(60), out=out, callbacks=callbacks, batch=8, **RUN)
    return model


RUNS: dict[str, Callable[..., Any]] = {"run-lm": language_model, "run-classifier": classifier}


if __name__ == "__main__":
    RUNS[sys.argv[1]](Path(sys.argv[2]))
