"""Whatever is given to `fit`, `predict` and `evaluate` of each task: the result is right, or one
error of ours in one line."""

import math

import numpy as np
import pytest

from recurra import Forecaster, LanguageModel, SequenceClassifier, SequenceTagger
from recurra.baselines.language_model.mixture import MixtureModel
from recurra.baselines.language_model.ngram import NGramModel
from recurra.errors import InputError
from recurra.tasks.transcriber import Transcriber
from recurra.tasks.transcriber.recordings import Recording
from recurra.tasks.transcriber.wav import Sound
from recurra.tasks.translator import Translator
from tasks import odd_values
from tasks.tones import recordings

ONE = {"steps": 1, "progress": False}
TEXTS = ["good film", "bad film", "fine film", "dull film"] * 3
WAVE = [float(v) for v in np.sin(np.arange(60) / 3)]
TEXT = "the cat sat on the mat.\n" * 40


def _language_model(folder):
    path = folder / "text.txt"
    path.write_text(TEXT)
    model = LanguageModel(hidden=4)
    model.fit(path, batch=2, bptt=8, **ONE)
    return model, {"batch": 2, "bptt": 8}, [TEXTS[:2]], lambda: LanguageModel(hidden=4)


def _ngram(folder):
    path = folder / "text.txt"
    path.write_text(TEXT)
    model = NGramModel(order=2)
    model.fit(path)
    return model, None, [TEXTS[:2]], lambda: NGramModel(order=2)


def _mixture(folder):
    one, two = _ngram(folder)[0], _ngram(folder)[0]
    return MixtureModel([one, two]), None, [TEXTS[:2]], lambda: MixtureModel([one, two])


def _classifier(folder):
    def make():
        return SequenceClassifier(hidden=4, embedding=4, subwords=0)

    model = make()
    model.fit((TEXTS, [0, 1] * 6), **ONE)
    return model, {}, [TEXTS, [0, 1] * 6], make


def _numbers(folder):
    def make():
        return SequenceClassifier(inputs="numbers", hidden=4)

    rows = [np.ones((3, 2)), [[1, 2], [None, 4]]] * 6
    model = make()
    model.fit((rows, ["a", "b"] * 6), **ONE)
    return model, {}, [rows, ["a", "b"] * 6], make


def _tagger(folder):
    def make():
        return SequenceTagger(hidden=4, embedding=4, characters=0, layers=1)

    words, tags = [["Ada", "was"], ["here"]] * 6, [["N", "V"], ["A"]] * 6
    model = make()
    model.fit(list(zip(words, tags, strict=True)), **ONE)
    return model, {}, [words, tags], make


def _forecaster(folder):
    def make():
        return Forecaster(horizon=2, lookback=4, hidden=4, embedding=4)

    model = make()
    model.fit([WAVE, WAVE[:40]], **ONE)
    return model, {}, [[WAVE, WAVE[:40]]], make


def _translator(folder):
    def make():
        kinds = {"source_tokenizer": "char", "target_tokenizer": "char"}
        return Translator(hidden=4, layers=1, **kinds)

    sources = [a + b for a in "abc" for b in "abcd"]
    targets = [source[::-1] for source in sources]
    model = make()
    model.fit(list(zip(sources, targets, strict=True)), **ONE)
    return model, {}, [sources, targets], make


def _transcriber(folder):
    def make():
        return Transcriber(hidden=4, layers=1, mels=8, tokenizer="word")

    said = recordings(12)
    model = make()
    model.fit(said, bad="skip", **ONE)
    return model, {"bad": "skip"}, [said], make


TASKS = {
    "language model": _language_model,
    "n-grams": _ngram,
    "mixture": _mixture,
    "classifier": _classifier,
    "classifier of numbers": _numbers,
    "tagger": _tagger,
    "forecaster": _forecaster,
    "translator": _translator,
    "transcriber": _transcriber,
}


@pytest.fixture(scope="module", params=list(TASKS))
def task(request, tmp_path_factory):
    """A trained model, settings of fit, the parts of its data, and what makes a new one."""
    return TASKS[request.param](tmp_path_factory.mktemp("odd"))


def outcome(call, *given, **settings):
    """The one line of our error, or None where the call went well; any other error is a failure."""
    try:
        call(*given, **settings)
    except InputError as error:
        line = str(error)
        assert "\n" not in line, line
        assert len(line) < 600, line
        assert line.strip(), "an error says something"
        return line
    return None


def test_odd_values_as_a_whole(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, settings, _, make = task
    how = {} if settings is None else {**ONE, **settings}
    refused = 0
    for name, value in odd_values.values().items():
        line = outcome(make().fit, value, **how)
        assert name != "None" or line is not None
        refused += line is not None
    assert refused > 40
    for verb in (model.predict, model.evaluate):
        for name, value in odd_values.values().items():
            line = outcome(verb, value)
            if name in ("None", "5", "object", "class", "function"):
                assert line is not None, (verb, name)
                assert "expected" in line, (verb, name, line)


def test_a_stray_value_among_right_ones(task, tmp_path, monkeypatch):
    """One item is replaced, at a place and by a value drawn from a seed."""
    monkeypatch.chdir(tmp_path)
    model, settings, parts, make = task
    random = np.random.default_rng(0)
    names = list(odd_values.values())
    for _ in range(30):
        value = odd_values.values()[names[random.integers(len(names))]]
        changed = [list(part) for part in parts]
        side = changed[random.integers(len(changed))]
        side[random.integers(len(side))] = value
        outcome(model.predict, changed[0])
        outcome(model.evaluate, _together(model, changed))
        if settings is not None and random.random() < 0.3:
            outcome(make().fit, _together(model, changed), **{**ONE, **settings})


def _together(model, parts):
    if len(parts) == 1:
        return parts[0]
    if isinstance(model, SequenceClassifier):
        return tuple(parts)
    return list(zip(*parts, strict=True))


CONTAINERS = {
    "list": list,
    "tuple": tuple,
    "generator": lambda items: (item for item in items),
    "object array": lambda items: np.array([*items, None], object)[:-1],
    "Series": lambda items: __import__("pandas").Series(list(items)),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_what_holds_the_inputs_does_not_matter(task, kind):
    model, _, parts, _ = task
    inputs = parts[0]
    if isinstance(model, Forecaster) and kind == "Series":
        inputs = WAVE
    if isinstance(model, Transcriber):
        inputs = [one.sound for one in inputs]
    expected = model.predict(inputs)
    found = model.predict(CONTAINERS[kind](inputs))
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert str(one) == str(other)


def test_frames_tensors_and_generators_are_taken(tmp_path):
    import pandas as pd
    import torch

    labels = [0, 1] * 6
    frame = pd.DataFrame({"text": TEXTS, "label": labels})
    expected = SequenceClassifier(hidden=4, embedding=4, subwords=0)
    expected.fit((TEXTS, labels), **ONE)
    for data in (
        frame,
        {"text": TEXTS, "label": labels},
        (frame["text"], frame["label"]),
        ((text for text in TEXTS), (label for label in labels)),
        (np.array(TEXTS), torch.tensor(labels)),
    ):
        model = SequenceClassifier(hidden=4, embedding=4, subwords=0)
        model.fit(data, **ONE)
        np.testing.assert_array_equal(model.predict_proba(TEXTS), expected.predict_proba(TEXTS))
        assert model.labels == (0, 1)
    np.testing.assert_array_equal(model.predict_proba(frame), expected.predict_proba(TEXTS))

    rows = np.random.default_rng(0).normal(size=(12, 3, 2))
    of_numbers = SequenceClassifier(inputs="numbers", hidden=4)
    of_numbers.fit((rows, labels), **ONE)
    wide = pd.DataFrame(rows.reshape(12, 6)).assign(y=labels)
    for data, how in (((torch.tensor(rows), labels), {}), (wide, {"features": 2})):
        model = SequenceClassifier(inputs="numbers", hidden=4)
        model.fit(data, **how, **ONE)
        np.testing.assert_array_equal(model.predict_proba(rows), of_numbers.predict_proba(rows))

    days = pd.date_range("2024-01-01", periods=60)
    dated = pd.DataFrame({"ds": days, "y": WAVE})
    found = []
    path = tmp_path / "wave.csv"
    dated.to_csv(path, index=False)
    for data in (path, dated, dated.set_index("ds"), pd.Series(WAVE, index=days)):
        model = Forecaster(horizon=2, lookback=4, hidden=4, embedding=4)
        model.fit(data, **ONE)
        found.append(model.predict(data)[0])
        days_ahead = found[-1].times.astype("datetime64[D]").astype(str).tolist()
        assert days_ahead == ["2024-03-01", "2024-03-02"]
        np.testing.assert_array_equal(found[-1].mean, found[0].mean)

    pairs = pd.DataFrame({"source": ["ab", "ba", "bb"] * 4, "target": ["x", "y", "z"] * 4})
    for data in (pairs, pairs.to_dict("list"), pairs.itertuples(index=False)):
        model = Translator(hidden=4, layers=1, source_tokenizer="char", target_tokenizer="char")
        model.fit(data, **ONE)


OPTIONS = [
    ("forecaster", "predict", {"levels": "0.5"}),
    ("forecaster", "predict", {"levels": 0.5}),
    ("forecaster", "predict", {"levels": [2]}),
    ("forecaster", "predict", {"samples": -1}),
    ("forecaster", "predict", {"samples": "many"}),
    ("forecaster", "predict", {"seed": "x"}),
    ("forecaster", "evaluate", {"steps": "two"}),
    ("forecaster", "evaluate", {"stride": None}),
    ("forecaster", "evaluate", {"stride": 0}),
    ("translator", "predict", {"beams": "4"}),
    ("translator", "predict", {"n_best": 9}),
    ("transcriber", "predict", {"beams": None}),
    ("transcriber", "predict", {"language_model": 5, "beams": 2}),
    ("language model", "evaluate", {"dynamic": "yes"}),
]


@pytest.mark.parametrize(("name", "verb", "options"), OPTIONS, ids=str)
def test_options_that_are_none(name, verb, options, tmp_path):
    model, _, parts, _ = TASKS[name](tmp_path)
    data = _together(model, parts) if verb == "evaluate" else parts[0]
    if name == "language model":
        data = tmp_path / "text.txt"
    assert outcome(getattr(model, verb), data, **options) is not None


@pytest.mark.parametrize("setting", ["out", "callbacks", "valid"])
def test_what_stands_beside_the_data(task, setting):
    model, settings, parts, make = task
    if settings is None:
        return
    data = _together(model, parts)
    if isinstance(model, LanguageModel):
        data = [__file__]
    for value in (5, math.inf, object()):
        line = outcome(make().fit, data, **{setting: value}, **settings, **ONE)
        assert line is not None


def test_recordings_without_a_text_are_named():
    sound = Sound(np.zeros(4000, np.float32), 8000)
    line = outcome(Transcriber(hidden=4).fit, [Recording(sound, None, "a.wav")], **ONE)
    assert "a.wav" in line
