"""A table of what reads step by step: models, sequences, and what is said of the whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import recurra
from golden.outputs import HERE
from recurra.runtime import Architecture, RuntimeStack, Weights
from tasks import classified, tagged, tones

QUICK = {"steps": 6, "batch": 8, "threads": 1, "progress": False}
ROOM = 200_000  # samples of a second, at most


@dataclass(frozen=True)
class Streamed:
    """A row.

    word: of the task, or of what else streams. make: a model. sequence: its items, one step each.
    frame: items as what is pushed. whole: what is said of all items at once. joined: the same, of
    results and what `finish` returned. options: of `open_stream`. wrong: a frame that cannot be
    read.
    """

    word: str
    make: Callable[[], Any]
    sequence: Callable[[Any], Sequence[Any]]
    frame: Callable[[Sequence[Any]], Any]
    whole: Callable[[Any, Sequence[Any]], Any]
    joined: Callable[[Sequence[Any], Any], Any]
    options: dict[str, Any]
    wrong: Any

    def open(self, model, **more):
        """A stream before its first frame."""
        return model.open_stream(**{**self.options, **more})


def golden(name):
    return cache(lambda: recurra.load(HERE / name / "model"))


def trained(make, fit):
    @cache
    def made():
        model = make()
        fit(model)
        return model

    return made


def text_of(items):
    return "".join(items)


def row(word, make, sequence, frame, whole, joined, wrong, **options):
    return Streamed(word, make, sequence, frame, whole, joined, options, wrong)


def language_model(make, text="the big cat sees a small dog, we like the house."):
    def whole(model, items):
        found, _ = model.runtime.read(
            model.tokenizer.encode(text_of(items))[None], None, model.runtime.start(1)
        )
        assert [str(model.open_stream().push(text_of(items) + " "))] == model.predict(
            [text_of(items) + " "]
        )
        return found[0].tolist()

    return row(
        "lm", make, lambda model: list(text), text_of, whole, lambda _, last: last.logits.tolist(),
        5.5,
    )  # fmt: skip


def classifier(make, items, frame, wrong):
    def whole(model, some):
        return model.predict_proba([frame(some)])[0].tolist(), model.predict([frame(some)])[0]

    return row(
        "classify", make, items, frame, whole,
        lambda _, last: (list(last.probabilities.values()), last.label), wrong,
    )  # fmt: skip


def of_texts(**settings):
    return classifier(
        trained(
            lambda: recurra.SequenceClassifier(
                hidden=5, embedding=4, bidirectional=False, **settings
            ),
            lambda m: m.fit(classified.reviews(40), **QUICK),
        ),
        lambda model: list("the fine Ones, today\nagain and Again: ΣΊΣΥΦΟΣ don't it's dull "),
        text_of,
        ["no", "text"],
    )


def of_numbers(**settings):
    def steps(model):
        rows = np.array(classified.slopes(3, seed=5)[0][1], np.float64)
        rows[3, 0] = rows[0, 1] = rows[-1] = np.nan
        return list(rows)

    return classifier(
        trained(
            lambda: recurra.SequenceClassifier(
                inputs="numbers", hidden=5, bidirectional=False, **settings
            ),
            lambda m: m.fit(classified.slopes(40), **QUICK),
        ),
        steps,
        np.array,
        [1.0, 2.0, 3.0],
    )


def tagger(**settings):
    return row(
        "tag",
        trained(
            lambda: recurra.SequenceTagger(
                hidden=5, embedding=4, character_hidden=4, bidirectional=False, **settings
            ),
            lambda m: m.fit(tagged.places(30, seed=0), **QUICK),
        ),
        lambda model: [w for words, _ in tagged.places(3, seed=1) for w in words] + ["Unseen"],
        list,
        lambda model, items: list(model.predict([list(items)])[0]),
        lambda results, last: [tag for tags in (*results, last) for tag in tags],
        ["a", 5],
    )


def wave(count):
    return np.sin(np.arange(count) / 3) + 5 + 0.1 * np.cos(np.arange(count) ** 2)


def forecaster(**settings):
    history = wave(60)

    def whole(model, items):
        stream = model.open_stream(history, seed=2)
        for value in items:
            stream.append(value)
        return said(stream.forecast())

    def numbers(forecast):
        return forecast.median.tolist(), forecast.times.tolist()

    drawn = settings.get("mode") == "autoregressive"

    def said(forecast):
        # Draws are taken at each forecast: paths depend on how many there were.
        return forecast.times.tolist() if drawn else numbers(forecast)

    return row(
        "forecast",
        trained(
            lambda: recurra.Forecaster(
                horizon=9, lookback=12, segment=3, hidden=6, embedding=6, normalise="standard",
                **settings,
            ),
            lambda m: m.fit(wave(160), **QUICK),
        ),
        lambda model: list(wave(73)[60:]),
        np.array,
        whole,
        lambda _, last: said(last),
        [[1.0, 2.0, 3.0]],
        data=history,
        seed=2,
    )  # fmt: skip


def translator(make, source, **options):
    return row(
        "translate",
        make,
        lambda model: list(source),
        text_of,
        lambda model, items: model.predict(text_of(items), **options).to_dict(),
        lambda _, last: last.to_dict(),
        7,
        **options,
    )


def transcriber(make, **options):
    rate = options.pop("rate", tones.RATE)

    def whole(model, items):
        sound = tones.Sound(np.array(items, np.float32), rate)
        return model.predict(sound, **options)[0].text

    def joined(results, last):
        return "".join(results) + last

    def samples(model):
        return tones.say(["so", "do", "mi"], np.random.default_rng(4), rate)

    return row("transcribe", make, samples, np.array, whole, joined, np.ones((2, 2)),
               rate=rate, **options)  # fmt: skip


@cache
def listening():
    model = recurra.Transcriber(**tones.TINY, bidirectional=False)
    model.fit(tones.recordings(48, seed=1), progress=False, **tones.QUICK)
    return model


@cache
def layers():
    """A stack of layers by itself, with weights drawn at random."""
    random = np.random.default_rng(0)
    sizes = {"weight_ih_l0": (12, 3), "weight_hh_l0": (12, 3), "bias_ih_l0": (12,)}
    sizes |= {"weight_ih_l1": (12, 3), "weight_hh_l1": (12, 3), "bias_ih_l1": (12,)}
    sizes |= {"bias_hh_l0": (12,), "bias_hh_l1": (12,)}
    tensors = {f"rnn.{n}": random.normal(size=s).astype(np.float32) for n, s in sizes.items()}
    architecture = Architecture("lstm", 2, False, (0.0, 0.0), {"activation": "tanh"})
    return RuntimeStack(architecture, Weights(tensors), features=3)


STREAMED = {
    "characters": language_model(golden("lm-char-lstm")),
    "words": language_model(golden("lm-word-gru"), "the big cat sees a small dog .\nwe like"),
    "byte pairs": language_model(golden("lm-bpe-lstm"), "the big  cat sees\n\n a small dog's 1st"),
    "an own cell": language_model(golden("lm-own-cell")),
    "n-grams": language_model(golden("lm-ngram-char")),
    "a mixture": language_model(golden("lm-mixture")),
    "texts, last": of_texts(pooling="last", lowercase=True),
    "texts, mean": of_texts(pooling="mean", members=2),
    "texts, largest": of_texts(pooling="max", tokenizer="bpe"),
    "texts, attention": of_texts(pooling="attention", tokenizer="char", lowercase=True),
    "numbers, last": of_numbers(pooling="last", missing="last"),
    "numbers, marked": of_numbers(pooling="last", missing="marked"),
    "numbers, mean": of_numbers(pooling="mean", missing="last", members=2),
    "numbers, attention": of_numbers(pooling="attention"),
    "tags": tagger(crf=False),
    "tags in chains": tagger(crf=True),
    "tags by features": tagger(crf=True, features=True, feature_count=1, members=2),
    "a series, direct": forecaster(mode="direct", output="quantiles", members=2),
    "a series, paths": forecaster(mode="autoregressive", lags="9,12"),
    "a source": translator(golden("translator-char"), "abcdef", beams=1),
    "a source, beams": translator(golden("translator-copy"), "hgfe", beams=3, n_best=2),
    "speech": transcriber(listening),
    "speech, beams": transcriber(listening, beams=4, bonus=0.5),
    "speech, another rate": transcriber(listening, rate=11025),
    "layers": row(
        "layers",
        layers,
        lambda stack: list(np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32)),
        np.array,
        lambda stack, items: stack.run(np.array(items)[:, None])[0][:, 0].tolist(),
        lambda results, last: np.concatenate([*results, last]).tolist(),
        [1.0, 2.0],
    ),
}


#: Items of a long sequence that are pushed one by one in tests that take each.
FEW = 12


def cut(items, sizes):
    """Items in pieces of these sizes, the last of what is left."""
    start, pieces = 0, []
    for size in sizes:
        if start < len(items):
            pieces.append(items[start : start + size])
        start += size
    if start < len(items):
        pieces.append(items[start:])
    return pieces


def pieces_of(row, model, count=FEW):
    items = row.sequence(model)
    return cut(items, [max(1, len(items) // count)] * (2 * count))


def told(result):
    if isinstance(result, np.ndarray):
        return result.tolist()
    if hasattr(result, "logits"):
        return result.logits.tolist()
    if hasattr(result, "quantiles"):
        return str(result)
    return result
