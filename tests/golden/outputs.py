"""What recorded models are asked, and what they answer: facts to be equal, numbers to be close.

Facts are texts, labels and ids, as JSON. Numbers are arrays by name. The inputs lie in `inputs/`,
so that no generator of random numbers and no sine of a processor stands between then and now.

    python -m golden.outputs FILE.npz    # the numbers of all, as this processor computes them
"""

import json
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import recurra
from recurra.tasks.transcriber.wav import read_wav

HERE = Path(__file__).resolve().parent
INPUTS = HERE / "inputs"

Answer = tuple[dict[str, Any], dict[str, np.ndarray]]

#: A text that every recorded language model knows the characters and words of.
TEXT = "the big cat sees a small dog.\nwe like the house and the tree.\n"
PROMPTS = ("the big", "we")
REVIEWS = ("a lovely film", "the the awful plot , again", "Unheard-of words: naïve!")
SENTENCES = (["the", "walk", "to", "Abcdef", "."], ["to", "drink", "in", "Bafed", "Gajac"])
SOURCES = ("abcdef", "hgfe", "cab")


def language_model(path: Path) -> Answer:
    """Likelihoods, ids, and texts written in each way."""
    model = recurra.load(path)
    scores = model.evaluate(text=TEXT)
    greedy = model.generate(PROMPTS[0], temperature=0, max_tokens=30)
    drawn = model.generate(list(PROMPTS), temperature=0.8, top_k=10, seed=3, max_tokens=30)
    beams = model.generate(PROMPTS[1], beams=3, max_tokens=8)
    facts = {
        "ids": model.tokenizer.encode(TEXT.splitlines()[0]).tolist(),
        "greedy": greedy.text,
        "drawn": [one.text for one in drawn],
        "beams": beams.text,
        "streamed": "".join(
            piece.text for piece in model.stream(PROMPTS[0], temperature=0, max_tokens=30)
        ),
        "tokens": scores.tokens,
    }
    numbers = {
        "nats_per_token": np.array(scores.nats_per_token),
        "log_probabilities": model.log_probabilities(text=TEXT),
    }
    return facts, numbers


def classifier(path: Path) -> Answer:
    """Labels and probabilities of texts or of arrays, as the model reads them."""
    model = recurra.load(path)
    asked: Any = list(REVIEWS)
    if not model.config.reads_text:
        with np.load(INPUTS / "arrays.npz") as file:
            asked = [file[name] for name in sorted(file.files)]
    facts = {"labels": list(model.labels), "predicted": model.predict(asked)}
    return facts, {"probabilities": model.predict_proba(asked)}


def tagger(path: Path) -> Answer:
    """The best tags, the next best, and each tag's probability."""
    model = recurra.load(path)
    best = model.predict_n_best(SENTENCES, 3)
    facts = {
        "tags": list(model.tags),
        "predicted": model.predict(SENTENCES),
        "best": [[list(one.tags) for one in row] for row in best],
    }
    numbers = {f"probabilities{k}": p for k, p in enumerate(model.predict_proba(SENTENCES))}
    numbers["log_probabilities"] = np.array([[o.log_probability for o in row] for row in best])
    return facts, numbers


def forecaster(path: Path) -> Answer:
    """Means and quantiles of what follows a table, and scores of its end."""
    model = recurra.load(path)
    drawn = model.config.mode != "direct"
    with _series_apart(INPUTS / "series.csv") as files:
        found = [
            forecast
            for one in (files if drawn else [INPUTS / "series.csv"])
            for forecast in model.predict(one, levels=(0.1, 0.5, 0.9), seed=1)
        ]
    scores = model.evaluate(INPUTS / "series.csv", seed=1)
    facts = {
        "names": [one.name for one in found],
        "columns": list(found[0].columns),
        "times": [[str(t) for t in one.times] for one in found],
    }
    numbers = {f"mean{k}": one.mean for k, one in enumerate(found)}
    numbers |= {f"quantiles{k}": one.quantiles for k, one in enumerate(found)}
    told = scores.to_dict()
    numbers |= {n: np.array(v, float) for n, v in told.items() if isinstance(v, float)}
    return facts, {name: np.asarray(value) for name, value in numbers.items()}


@contextmanager
def _series_apart(path: Path) -> Iterator[list[Path]]:
    """A file for each series of a table, whose first column names them.

    Sampled paths of several series in one call were drawn from one generator when these answers
    were recorded, so that they depended on one another; of one alone the draws are as they were.
    """
    head, *rows = path.read_text().splitlines(keepends=True)
    with TemporaryDirectory() as folder:
        files = []
        for name in dict.fromkeys(row.partition(",")[0] for row in rows):
            files.append(Path(folder) / f"{name}.csv")
            files[-1].write_text(head + "".join(r for r in rows if r.startswith(f"{name},")))
        yield files


def translator(path: Path) -> Answer:
    """Translations by beams with the next best, their scores, and where attention looks."""
    model = recurra.load(path)
    found = model.predict(list(SOURCES), beams=4, n_best=3)
    every = [(one, *one.others) for one in found]
    facts = {"texts": [[t.text for t in row] for row in every]}
    numbers = {
        "log_probabilities": np.array([t.logprob for row in every for t in row]),
        "scores": np.array([t.score for row in every for t in row]),
        "attention": model.attention("abcdef", "fedcba").weights,
    }
    return facts, numbers


def transcriber(path: Path) -> Answer:
    """What is heard in two recordings, by the best path and by beams."""
    model = recurra.load(path)
    sounds = [read_wav(INPUTS / f"sound{k}.wav") for k in (0, 1)]
    path_, beams = model.predict(sounds), model.predict(sounds, beams=4, n_best=2)
    facts = {
        "texts": [one.text for one in path_],
        "tokens": [list(one.tokens) for one in path_],
        "beams": [[one.text, *(text for text, _ in one.alternatives)] for one in beams],
    }
    numbers = {
        "times": np.array([t for one in path_ for t in one.times]),
        "scores": np.array([one.score for one in (*path_, *beams)]),
    }
    return facts, numbers


def onnx(path: Path) -> Answer:
    """All outputs of a file, of numbers or of ids, from the start and, of steps, three in a row."""
    model = recurra.load(path)
    with np.load(INPUTS / "layer.npz") as file:
        x, ids = file["x"], file["ids"]
    states = {v.name: v for v in model.inputs if v.name.endswith("_0")}
    if states:  # a step
        given = {n: np.zeros((v.shape[0], 2, v.shape[2]), np.float32) for n, v in states.items()}
        found: dict[str, np.ndarray] = {}
        for step in range(3):
            read = {"ids": ids[:, step]} if "ids" in _names(model) else {"input": x[step]}
            found = model.run({**read, **given})
            given = {name: found[name.replace("_0", "_n")] for name in given}
    else:
        found = model.run({"ids": ids} if "ids" in _names(model) else {"input": x})
    facts = {"inputs": _names(model), "outputs": [v.name for v in model.outputs]}
    return facts, found


def _names(model: Any) -> list[str]:
    return [value.name for value in model.inputs]


def exported(path: Path) -> Answer:
    """The outputs of a layer that `torch.export` wrote."""
    import torch

    import recurra.nn  # noqa: F401 (registers the operators that the file names)

    with np.load(INPUTS / "layer.npz") as file:
        x = torch.from_numpy(file["x"])
    with torch.no_grad():
        outputs, states = torch.export.load(path).module()(x)
    states = states if isinstance(states, tuple) else (states,)
    numbers = {"output": outputs.numpy()}
    return {}, numbers | {f"state{k}": state.numpy() for k, state in enumerate(states)}


#: Recorded models: what asks each, and the path that is loaded, below its folder.
MODELS: dict[str, tuple[Any, str]] = {
    "lm-char-lstm": (language_model, "model"),
    "lm-char-gru": (language_model, "model"),
    "lm-lines-lstm": (language_model, "model"),
    "lm-word-gru": (language_model, "model"),
    "lm-byte-rnn": (language_model, "model"),
    "lm-bpe-lstm": (language_model, "model"),
    "lm-own-cell": (language_model, "model"),
    "lm-ngram-char": (language_model, "model"),
    "lm-ngram-word": (language_model, "model"),
    "lm-mixture": (language_model, "model"),
    "lm-transformer": (language_model, "model"),
    "classifier-words": (classifier, "model"),
    "classifier-chars": (classifier, "model"),
    "classifier-numbers": (classifier, "model"),
    "classifier-committee": (classifier, "model"),
    "tagger-crf": (tagger, "model"),
    "tagger-features": (tagger, "model"),
    "tagger-own-cell": (tagger, "model"),
    "forecaster-direct": (forecaster, "model"),
    "forecaster-paths": (forecaster, "model"),
    "translator-char": (translator, "model"),
    "translator-copy": (translator, "model"),
    "transcriber-word": (transcriber, "model"),
    "transcriber-char": (transcriber, "model"),
    "onnx-lm": (onnx, "sequence.onnx"),
    "onnx-lm-step": (onnx, "step.onnx"),
    "onnx-layer": (onnx, "sequence.onnx"),
    "export-gru": (exported, "layer.pt2"),
    "export-lstm": (exported, "layer.pt2"),
}
#: Those that are model directories: they save again.
DIRECTORIES = tuple(name for name, (_, path) in MODELS.items() if path == "model")
#: Whose asking needs torch or another package that a plain install lacks.
NEEDS = {"lm-transformer": "torch", "export-gru": "torch", "export-lstm": "torch"}
NEEDS |= {name: "onnx" for name in MODELS if name.startswith("onnx")}


#: Under which kernels the answers are the same to the bit, on the processor that recorded them.
ISA = "v3"
FIXED = {"RECURRA_ISA": ISA, "OMP_NUM_THREADS": "1"}


def ask(name: str, folder: Path = HERE) -> Answer:
    """The answers of one recorded model; facts as JSON gives them back."""
    asks, path = MODELS[name]
    facts, numbers = asks(folder / name / path)
    return json.loads(json.dumps(facts)), numbers


def processor() -> dict[str, str]:
    """What bits depend on besides our own kernels: the processor, and numpy."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            name = next(line.partition(":")[2].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass  # not Linux, or not of this kind: the name has to do
    return {"processor": name, "numpy": np.__version__}


def main(path: str) -> None:
    """Write the numbers of all recorded models."""
    found = {f"{name}/{key}": array for name in MODELS for key, array in ask(name)[1].items()}
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])
