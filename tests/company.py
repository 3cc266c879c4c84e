"""Small models of every task, and what each says of inputs alone, in company, and of many threads.

As a script, `python company.py alone|quick|threads FOLDER` reads the models that `build` wrote and
prints for each case, as JSON, what is wrong, and a digest of the results: see
`tests/runtime/test_company.py`. It needs no torch.
"""

import hashlib
import json
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (1, 2, 3, 4, 5, 7, 8, 16, 33)
#: The same where there is little time.
QUICK = (1, 3, 8)
COUNT = max(SIZES)
_ONE = {"steps": 1, "progress": False, "threads": 1}
_LETTERS = "abcdefghijklmnop"


def words(count: int, seed: int, *, most: int = 9, letters: str = _LETTERS) -> list[list[str]]:
    """Sentences of different lengths from 1 on."""
    random = np.random.default_rng(seed)
    return [
        ["".join(random.choice(list(letters), random.integers(1, 6))) for _ in range(length)]
        for length in random.integers(1, most, count)
    ]


def texts(count: int, seed: int, **how: Any) -> list[str]:
    """The same as texts."""
    return [" ".join(row) for row in words(count, seed, **how)]


def arrays(count: int, seed: int) -> list[np.ndarray]:
    """Sequences (T, 3)."""
    random = np.random.default_rng(seed)
    return [random.normal(size=(n, 3)).astype(np.float32) for n in random.integers(1, 40, count)]


def series(count: int, seed: int) -> dict[str, np.ndarray]:
    """Noisy seasons, each on a level of its own."""
    random, t = np.random.default_rng(seed), np.arange(120)
    return {
        f"s{k}": 20 + k + np.sin(t / 2 + k) + 0.3 * random.normal(size=len(t)) for k in range(count)
    }


def sounds(count: int, seed: int) -> list[Any]:
    """Noise of different lengths."""
    from recurra.tasks.transcriber.recordings import Recording
    from recurra.tasks.transcriber.wav import Sound

    random = np.random.default_rng(seed)
    sizes = random.integers(2000, 9000, count)
    noise = [(0.1 * random.normal(size=size)).astype(np.float32) for size in sizes]
    return [
        Recording(Sound(one, 8000), " ".join(_LETTERS[: 1 + k % 3]), f"sound {k}")
        for k, one in enumerate(noise)
    ]


def build(folder: Path) -> None:
    """Train the models for a step and write them; needs torch."""
    import recurra
    from recurra.baselines.classifier.bag_of_words import BagOfWords
    from recurra.baselines.language_model.mixture import MixtureModel
    from recurra.baselines.language_model.ngram import NGramModel
    from recurra.baselines.tagger.hmm import HMMTagger

    prose = folder / "prose.txt"
    prose.write_text("\n".join(texts(400, 1)) + "\n", encoding="utf-8")
    made: dict[str, Any] = {}

    def language(**settings: Any) -> Any:
        model = recurra.LanguageModel(**{"hidden": 72, "embedding": 24, **settings})
        model.fit(prose, **_ONE)
        return model

    made["lm"] = language(layers=2, cell="lstm")
    made["lm normed"] = language(layers=2, cell="gru", layer_norm=True, residual=True, embedding=72)
    made["ngram"] = NGramModel(order=4)
    made["ngram"].fit(prose, tokenizer=made["lm"].tokenizer)
    made["mixture"] = MixtureModel([made["lm"], made["ngram"]])

    def classifier(data: Any, **settings: Any) -> Any:
        model = recurra.SequenceClassifier(**{"hidden": 40, **settings})
        model.fit((data, ["x" if k % 2 else "y" for k in range(len(data))]), **_ONE)
        return model

    made["classify texts"] = classifier(texts(40, 2), pooling="attention", members=2)
    made["classify mean"] = classifier(texts(40, 2), pooling="mean", cell="gru", bidirectional=True)
    made["classify numbers"] = classifier(arrays(40, 3), inputs="numbers", bidirectional=True)
    tagged = [(row, ["A" if len(w) > 2 else "B" for w in row]) for row in words(60, 4)]
    for name, more in (("tag", {}), ("tag committee", {"members": 2, "features": True})):
        made[name] = recurra.SequenceTagger(hidden=36, embedding=20, characters=12, **more)
        made[name].fit(tagged, valid=tagged[:10], **_ONE)
    made["tag hmm"] = HMMTagger()
    made["tag hmm"].fit(tagged)
    made["bag of words"] = BagOfWords()
    made["bag of words"].fit((texts(40, 2), ["x", "y"] * 20), valid=(texts(10, 5), ["x", "y"] * 5))
    for name, more in (
        ("forecast", {"normalise": "standard", "members": 2}),
        ("forecast student", {"output": "student_t", "columns": "joint", "transform": "log"}),
        ("forecast paths", {"mode": "autoregressive", "output": "student_t", "lags": "12"}),
    ):
        made[name] = recurra.Forecaster(horizon=6, lookback=24, hidden=36, embedding=20, **more)
        made[name].fit(series(4, 6), hold_out=12, **_ONE)
    pairs = [(a, a[::-1]) for a in texts(80, 7)]
    for name, more in (
        ("translate", {"attention": "additive", "decoder_layers": 2}),
        ("translate copying", {"attention": "general", "copy": True, "source_tokenizer": "word",
                               "target_tokenizer": "word"}),
        ("translate dots", {"attention": "dot", "bidirectional": False}),
    ):  # fmt: skip
        how = {"source_tokenizer": "char", "target_tokenizer": "char", "layers": 1, **more}
        made[name] = recurra.Translator(hidden=40, embedding=24, **how)
        made[name].fit(pairs, valid=pairs[:10], **_ONE)
    made["transcribe"] = recurra.Transcriber(hidden=36, layers=2, mels=16, tokenizer="char")
    made["transcribe"].fit(sounds(20, 8), valid=sounds(6, 9), **_ONE)
    for name, model in made.items():
        model.save(folder / name)
    _write_onnx(folder / "graph.onnx")


def _write_onnx(path: Path) -> None:
    """An LSTM of unusual gates, a product with weights, one of activations, a softmax."""
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(10)
    H, I, V = 20, 12, 9
    weights = {
        "W": random.normal(size=(1, 4 * H, I)), "R": random.normal(size=(1, 4 * H, H)) / 4,
        "V": random.normal(size=(H, V)), "Q": random.normal(size=(I, I)),
    }  # fmt: skip
    nodes = [
        helper.make_node("LSTM", ["x", "W", "R"], ["y4"], hidden_size=H, clip=2.0),
        helper.make_node("Squeeze", ["y4", "one"], ["y"]),
        helper.make_node("MatMul", ["y", "V"], ["z"]),
        helper.make_node("Transpose", ["x"], ["xb"], perm=[1, 0, 2]),
        helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 2, 0]),
        helper.make_node("MatMul", ["xb", "Q"], ["q"]),
        helper.make_node("MatMul", ["q", "xt"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["looked"], axis=-1),
    ]
    tensors = [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    tensors.append(numpy_helper.from_array(np.array([1]), "one"))
    real = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "graph", [helper.make_tensor_value_info("x", real, [6, "B", I])],
        [helper.make_tensor_value_info("z", real, [6, "B", V]),
         helper.make_tensor_value_info("looked", real, ["B", 6, 6])],
        tensors,
    )  # fmt: skip
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(path))


#: Of a model: what it says of inputs, one result each, as nested lists and numbers.
Say = Callable[[Sequence[Any]], list[Any]]


def cases(folder: Path) -> dict[str, tuple[Say, list[Any], Any]]:
    """By name: how a model is asked, inputs, and a very long one to read beside them."""
    import recurra
    from recurra.baselines.classifier.bag_of_words import BagOfWords
    from recurra.baselines.tagger.hmm import HMMTagger

    rivals = {"bag of words": BagOfWords.load, "tag hmm": HMMTagger.load}
    model = {
        path.name: rivals.get(path.name, recurra.load)(path)
        for path in sorted(folder.iterdir())
        if path.is_dir() and (path / "model.safetensors").exists()
    }
    found: dict[str, tuple[Say, list[Any], Any]] = {}
    prose, long = texts(COUNT, 20), " ".join(texts(120, 21))

    def written(lm: Any) -> Say:
        options = {"max_tokens": 12, "temperature": 0.0}
        return lambda rows: [(one.ids, one.logprobs) for one in lm.generate(list(rows), **options)]

    def beams(lm: Any) -> Say:
        return lambda rows: [
            (one.ids, one.logprobs) for one in lm.generate(list(rows), max_tokens=6, beams=3)
        ]

    def scored(lm: Any) -> Say:
        def say(rows: Sequence[str]) -> list[Any]:
            # Side by side, padded to the longest, as lines are evaluated.
            ids = [lm.tokenizer.encode(row) for row in rows]
            steps = max(map(len, ids))
            table = np.zeros((len(ids), steps), np.int64)
            for k, row in enumerate(ids):
                table[k, : len(row)] = row
            state = lm.runtime.start(len(ids))
            nats, _ = lm.runtime.log_probabilities(table[:, :-1], table[:, 1:], state)
            return [row[: len(one) - 1].tolist() for row, one in zip(nats, ids, strict=True)]

        return say

    for name in ("lm", "lm normed", "ngram", "mixture"):
        lm = model[name]
        found[f"{name}: written"] = (written(lm), prose, long)
        found[f"{name}: scored"] = (scored(lm), [f"{text} ab" for text in prose], long)
    found["lm: streamed"] = (
        lambda rows: [
            "".join(piece.text for piece in model["lm"].stream(row, temperature=0, max_tokens=60))
            for row in rows
        ],
        prose[:9],
        long,
    )
    found["lm: beams"] = (beams(model["lm"]), prose[:9], long)
    for name, inputs, other in (
        ("classify texts", prose, long),
        ("classify mean", prose, long),
        ("classify numbers", arrays(COUNT, 22), np.ones((900, 3), np.float32)),
        ("bag of words", prose, long),
    ):
        found[name] = (lambda rows, m=model[name]: list(m.predict_proba(list(rows))), inputs, other)
    for name in ("tag", "tag committee", "tag hmm"):
        found[name] = (
            lambda rows, m=model[name]: list(
                zip(m.predict(rows), _marginals(m, rows), strict=True)
            ),
            words(COUNT, 23),
            words(1, 24, most=2)[0] * 300,
        )
    for name in ("forecast", "forecast student", "forecast paths"):
        found[name] = (
            lambda rows, m=model[name]: [
                (one.mean, one.median, one.quantiles, one.samples)
                for one in m.predict(dict(rows), samples=3)
            ],
            list(series(COUNT, 25).items()),
            ("long", 30 + np.sin(np.arange(2000) / 2)),
        )
    for name in ("translate", "translate copying", "translate dots"):
        found[name] = (
            lambda rows, m=model[name]: [
                one.to_dict() for one in m.predict(list(rows), beams=3, n_best=2, max_tokens=12)
            ],
            [text if k % 3 else f"{text} xyz{k} qq{k}" for k, text in enumerate(prose)]
            if name == "translate copying"
            else prose,
            " ".join(texts(12, 26)),
        )
    found["transcribe"] = (
        lambda rows, m=model["transcribe"]: m.runtime.log_probabilities(
            [m._vectors(one.sound) for one in rows]
        ),
        sounds(COUNT, 27),
        sounds(1, 28)[0].__class__(
            type(sounds(1, 28)[0].sound)(np.full(60000, 0.05, np.float32), 8000), "", "long"
        ),
    )
    if (folder / "graph.onnx").exists():
        graph = recurra.load(folder / "graph.onnx")
        random = np.random.default_rng(29)

        def run(rows: Sequence[np.ndarray]) -> list[Any]:
            out = graph.run({"x": np.stack(rows, 1)})
            return [(out["z"][:, k], out["looked"][k]) for k in range(len(rows))]

        inputs = list(random.normal(size=(COUNT, 6, 12)).astype(np.float32))
        found["onnx"] = (run, inputs, 100 * inputs[0])
    return found


def _marginals(model: Any, rows: Sequence[Any]) -> list[Any]:
    return list(model.predict_proba(rows)) if hasattr(model, "predict_proba") else list(rows)


def plain(value: Any) -> Any:
    """Arrays and numbers to what compares by its bits."""
    if isinstance(value, np.ndarray):
        return (value.shape, value.dtype.str, value.tobytes().hex())
    if isinstance(value, float | np.floating):
        return float(value).hex()
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value


def differences(
    say: Say, inputs: list[Any], other: Any, sizes: Sequence[int]
) -> tuple[list[str], str]:
    """Where a result depends on its company, and a digest of the results alone."""
    inputs = inputs[: max(sizes)]
    alone = [plain(say([one])[0]) for one in inputs]
    count, wrong = len(inputs), []

    def check(label: str, rows: list[int], beside: list[Any]) -> None:
        found = [plain(one) for one in say([*(inputs[k] for k in rows), *beside])]
        bad = [k for k, one in zip(rows, found, strict=False) if one != alone[k]]
        if bad:
            wrong.append(f"{label}: inputs {bad}")

    for size in sizes:
        for first in range(0, count, size):
            if size > 1 or first == 0:
                check(f"batches of {size}", list(range(first, min(first + size, count))), [])
    check("reversed", list(range(count))[::-1], [])
    check("beside a long one", list(range(min(count, 6))), [other])
    return wrong, digest(alone[: max(QUICK)])


def digest(values: Any) -> str:
    """A name of results by their bits."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def together(say: Say, inputs: list[Any], expected: list[Any], *, threads: int = 4) -> list[str]:
    """What is wrong when many threads ask at once, from the first call on."""
    wrong: list[str] = []
    begin = threading.Barrier(threads)

    def ask(number: int) -> None:
        begin.wait()
        for turn in range(2 * len(inputs)):
            k = (turn + number) % len(inputs)
            try:
                if plain(say([inputs[k]])[0]) != expected[k]:
                    wrong.append(f"thread {number}, turn {turn}: input {k}")
            except Exception as error:
                wrong.append(f"thread {number}, turn {turn}: {error!r}")

    workers = [threading.Thread(target=ask, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return wrong


def main(what: str, folder: Path) -> None:
    """Print by case [what is wrong, digest] as JSON."""
    found: dict[str, tuple[list[str], str]] = {}
    if what == "threads":
        sys.setswitchinterval(1e-4)
        fresh = cases(folder)  # not asked anything yet
        for name, (say, inputs, _) in cases(folder).items():
            expected = [plain(say([one])[0]) for one in inputs[:5]]
            found[name] = (together(fresh[name][0], inputs[:5], expected), digest(expected))
    else:
        sizes = SIZES if what == "alone" else QUICK
        found = {name: differences(*case, sizes) for name, case in cases(folder).items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
