"""Records small trained models with what they answer: `python tests/golden/make.py`.

What is recorded stays as it is, for it shows that models of the past still work: this writes only
what is missing (a new row of `outputs.MODELS`, with its recipe here), and never over what lies
there. Each folder holds the model, `facts.json` and `numbers.npz`: what it answers with the kernels
of one instruction set, in one thread. `where.json` says on which processor.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")] * ("golden" not in sys.modules)

import recurra  # noqa: E402
from golden.outputs import FIXED, HERE, INPUTS, ISA, MODELS, ask, processor  # noqa: E402
from golden.runs import RUNS  # noqa: E402
from tasks import classified, tagged, texts, tones  # noqa: E402

QUICK: dict[str, Any] = {"lr": 0.02, "batch": 8, "threads": 1, "progress": False}
LM: dict[str, Any] = {"hidden": 12, "embedding": 8}


def words() -> str:
    """A text of a few words, with line breaks."""
    return texts.prose(1200, seed=1) + "we like the house and the small tree.\n" * 4


def lm(**settings: Any) -> recurra.LanguageModel:
    """A language model that has trained for a moment."""
    how = {name: settings.pop(name) for name in ("lines",) if name in settings}
    model = recurra.LanguageModel(**{**LM, **settings})
    model.fit(_corpus(), steps=60, bptt=24, **how, **QUICK)
    return model


def of_this_file() -> Any:
    """A cell that nobody else defines: a minimal gated unit, with a learnt vector."""
    from recurra.cells import cell, sigmoid, tanh, where

    @cell(states="h", gates="f n", learnt="w", init={"f": 1.0, "w": 0.5}, options="least=0.05")
    def golden_unit(x, u, h, opt):
        f = sigmoid(x.f + u(h).f + opt.w * h)
        g = where(f > opt.least, f, opt.least)
        n = tanh(x.n + u(g * h).n)
        h = (1 - g) * h + g * n
        return dict(f=f, n=n, h=h)

    return golden_unit


def _corpus() -> Path:
    return INPUTS / "corpus.txt"


def ngram(**settings: Any) -> Any:
    """Counted n-grams."""
    from recurra.baselines.language_model.ngram import NGramModel

    model = NGramModel(**settings)
    model.fit(_corpus())
    return model


def mixture() -> Any:
    """A recurrent model and n-grams of the same characters."""
    from recurra.baselines.language_model.mixture import MixtureModel

    first = recurra.load(HERE / "lm-char-gru" / "model")
    from recurra.baselines.language_model.ngram import NGramModel

    second = NGramModel(order=3)
    second.fit(_corpus(), tokenizer=first.tokenizer)
    model = MixtureModel([first, second])
    model.fit(text=words()[-800:])
    return model


def transformer() -> Any:
    """A Transformer of a few units."""
    from recurra.baselines.language_model.transformer import TransformerLanguageModel

    model = TransformerLanguageModel(
        width=8, blocks=1, heads=2, context=16, epochs=0.2, tokenizer="char"
    )
    model.fit(_corpus())
    return model


def classify(data: Any, **settings: Any) -> recurra.SequenceClassifier:
    """A classifier."""
    model = recurra.SequenceClassifier(**{"hidden": 6, "embedding": 6, **settings})
    model.fit(data, epochs=4, **QUICK)
    return model


def tag(data: Any, **settings: Any) -> recurra.SequenceTagger:
    """A tagger."""
    sizes = {"hidden": 6, "embedding": 6, "characters": 4, "character_hidden": 4, "layers": 1}
    model = recurra.SequenceTagger(**{**sizes, **settings})
    model.fit(data, epochs=4, **QUICK)
    return model


def forecast(**settings: Any) -> recurra.Forecaster:
    """A forecaster."""
    model = recurra.Forecaster(**{"horizon": 4, "lookback": 12, "hidden": 6, **settings})
    model.fit(INPUTS / "series.csv", series_column="series", epochs=3, **QUICK)
    return model


def translate(**settings: Any) -> Any:
    """Words and the same from their ends."""
    random = np.random.default_rng(0)
    drawn = ["".join(random.choice(list("abcdefgh"), random.integers(3, 7))) for _ in range(400)]
    kinds = {"source_tokenizer": "char", "target_tokenizer": "char"}
    model = recurra.Translator(**{**kinds, "hidden": 10, "layers": 1, **settings})
    model.fit([(word, word[::-1]) for word in dict.fromkeys(drawn)], epochs=4, **QUICK)
    return model


def transcribe(**settings: Any) -> Any:
    """A language of three tones."""
    model = recurra.Transcriber(**{**tones.TINY, "hidden": 8, **settings})
    model.fit(tones.recordings(40, seed=2), epochs=12, **{**QUICK, "lr": 0.03})
    return model


RECIPES: dict[str, Callable[[], Any]] = {
    "lm-char-lstm": lambda: lm(layers=2, peephole=True, projection=6, learn_initial_state=True),
    "lm-char-gru": lambda: lm(cell="gru", reset="before", embedding=0),
    "lm-lines-lstm": lambda: lm(lines=True, layer_norm=True),
    "lm-word-gru": lambda: lm(
        tokenizer="word", cell="gru", layers=2, zoneout=0.1, embedding=None, residual=True
    ),
    "lm-byte-rnn": lambda: lm(tokenizer="byte", cell="rnn"),
    "lm-bpe-lstm": lambda: lm(tokenizer="bpe", vocab_size=300, hidden=8, embedding=None),
    "lm-own-cell": lambda: lm(cell=of_this_file(), layers=2),
    "lm-ngram-char": lambda: ngram(order=4),
    "lm-ngram-word": lambda: ngram(tokenizer="word", order=3),
    "lm-mixture": mixture,
    "lm-transformer": transformer,
    "classifier-words": lambda: classify(classified.reviews(120), cell="gru"),
    "classifier-chars": lambda: classify(
        classified.reviews(60), tokenizer="char", pooling="attention", bidirectional=False
    ),
    "classifier-numbers": lambda: classify(
        classified.slopes(120), inputs="numbers", cell="gru", layers=2, pooling="mean"
    ),
    "classifier-committee": lambda: classify(
        classified.reviews(60), members=2, subwords=0, pooling="last"
    ),
    "tagger-crf": lambda: tag(tagged.places(60, seed=0), crf=True),
    "tagger-features": lambda: tag(
        tagged.grammar(60, seed=0), features=True, members=2, subwords=4, cell="lstm", crf=False
    ),
    "tagger-own-cell": lambda: tag(tagged.places(60, seed=0), cell=of_this_file(), crf=True),
    "forecaster-direct": lambda: forecast(calendar="hour", cell="lstm"),
    "forecaster-paths": lambda: forecast(
        mode="autoregressive", output="student_t", lags="12", normalise="mean"
    ),
    "translator-char": lambda: translate(cell="gru"),
    "translator-copy": lambda: translate(
        copy=True, shared=True, tied=True, decoder_layers=2, bidirectional=False, attention="dot"
    ),
    "transcriber-word": lambda: transcribe(),
    "transcriber-char": lambda: transcribe(tokenizer="char", bidirectional=False, cell="gru"),
}


def write_inputs() -> None:
    """What models are trained on and asked."""
    if INPUTS.is_dir():
        return
    INPUTS.mkdir()
    (INPUTS / "corpus.txt").write_text(words(), encoding="utf-8")
    random = np.random.default_rng(5)
    arrays, _ = classified.slopes(4, seed=9)
    np.savez(INPUTS / "arrays.npz", **{f"a{k}": array for k, array in enumerate(arrays)})
    x = random.standard_normal((5, 2, 3)).astype(np.float32)
    np.savez(INPUTS / "layer.npz", x=x, ids=random.integers(1, 15, (2, 5)))
    rows = ["series,time,value"]
    for name, phase in (("north", 0.0), ("south", 1.0)):
        for hour in range(120):
            value = 10 + 4 * np.sin(hour / 24 * 2 * np.pi + phase) + random.normal() / 4
            stamp = f"2024-03-{1 + hour // 24:02d} {hour % 24:02d}:00"
            rows.append(f"{name},{stamp},{value:.3f}")
    (INPUTS / "series.csv").write_text("\n".join(rows) + "\n")
    from recurra.tasks.transcriber.wav import write_wav

    for k, recording in enumerate(tones.recordings(2, seed=11, most=2)):
        write_wav(INPUTS / f"sound{k}.wav", recording.sound)


def write_models() -> None:
    """Model directories, ONNX files, and layers as `torch.export` writes them."""
    import torch

    from recurra import export, nn

    for name, recipe in RECIPES.items():
        if not (HERE / name).is_dir():
            recipe().save(HERE / name / "model")
    if not (HERE / "onnx-lm").is_dir():
        (HERE / "onnx-lm").mkdir()
        (HERE / "onnx-lm-step").mkdir()
        model = HERE / "lm-char-gru" / "model"
        step = HERE / "onnx-lm-step" / "step.onnx"
        export.onnx(model, HERE / "onnx-lm" / "sequence.onnx", step=step)
    torch.manual_seed(3)
    if not (HERE / "onnx-layer").is_dir():
        (HERE / "onnx-layer").mkdir()
        layer = nn.LSTM(3, 5, num_layers=2, bidirectional=True, layer_norm=True).eval()
        export.onnx(layer, HERE / "onnx-layer" / "sequence.onnx")
    layers = {
        "export-gru": lambda: nn.GRU(3, 5, num_layers=2, bidirectional=True),
        "export-lstm": lambda: nn.LSTM(3, 5, layer_norm=True, proj_size=4),
    }
    for name, make in layers.items():
        if not (HERE / name).is_dir():
            (HERE / name).mkdir()
            with torch.no_grad():
                program = torch.export.export(make().eval(), (torch.zeros(5, 2, 3),))
            for node in program.graph.nodes:
                node.meta.pop("stack_trace", None)  # paths of this machine
            torch.export.save(program, HERE / name / "layer.pt2")


class _Stop:
    """Ctrl-C after nine steps."""

    def on_start(self, event: Any) -> None: ...
    def on_validation(self, event: Any) -> None: ...
    def on_end(self, event: Any) -> None: ...
    def on_step(self, event: Any) -> None:
        if event.step == 9:
            os.kill(os.getpid(), signal.SIGINT)


def write_runs() -> None:
    """A run that was stopped, and the model at which the same call arrives without a stop."""
    from recurra.train import Interrupted

    for name, fit in RUNS.items():
        if (HERE / name).is_dir():
            continue
        fit(HERE / name / "whole").save(HERE / name / "model")
        shutil.rmtree(HERE / name / "whole")
        try:
            fit(HERE / name / "run", [_Stop()])
        except Interrupted:
            pass
        else:
            raise AssertionError("the run was not stopped")


def write_answers() -> None:
    """What each says."""
    where = json.dumps({"isa": ISA, **processor()}, indent=1) + "\n"
    for name in MODELS:
        if (HERE / name / "facts.json").exists():
            continue
        facts, numbers = ask(name)
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        (HERE / name / "facts.json").write_text(text + "\n", encoding="utf-8")
        np.savez_compressed(HERE / name / "numbers.npz", **numbers)
        (HERE / name / "where.json").write_text(where)
    for name in RUNS:
        if not (HERE / name / "where.json").exists():
            (HERE / name / "where.json").write_text(where)


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in FIXED.items()):
        os.execve(sys.executable, [sys.executable, __file__], {**os.environ, **FIXED})
    write_inputs()
    write_models()
    write_runs()
    write_answers()
