"""Validation data on which nothing can be measured are refused before training, with a way out."""

import numpy as np
import pytest

import recurra
from recurra.errors import InputError

GAP = np.sin(np.arange(200) / 5)
GAP[190:196] = np.nan
HOLES = np.r_[np.sin(np.arange(12)), [np.nan] * 188, np.arange(4.0)]
TAGGED = [(["Ada", "was", "here"], ["B-PER", "O", "O"])] * 6
PLAIN = [(["all", "was", "here"], ["O", "O", "O"])]
OTHER = [(["all", "was"], ["B-PLACE", "O"])]


def forecaster(values, **settings):
    model = recurra.Forecaster(horizon=4, lookback=16, hidden=4)
    return lambda: model.fit(values, steps=2, progress=False, **settings)


def tagger(train, valid, **settings):
    model = recurra.SequenceTagger(hidden=4, embedding=4)
    return lambda: model.fit(train, valid=valid, steps=2, progress=False, **settings)


def language_model(text, tmp_path, **settings):
    for name, content in (("a.txt", "the cat sat on the mat\n" * 40), ("b.txt", text)):
        (tmp_path / name).write_text(content)
    model = recurra.LanguageModel(hidden=4)
    return lambda: model.fit(
        tmp_path / "a.txt", valid=tmp_path / "b.txt", steps=2, progress=False, **settings
    )


#: What is fitted, and what is told: what is missing, and how to mend it.
CASES = {
    "a gap where a forecaster is validated": (
        lambda _: forecaster(GAP, hold_out=4), "steps of the validation.*--valid-steps",
    ),
    "no value to learn to forecast": (lambda _: forecaster(HOLES), "in training.*--missing linear"),
    "values that follow are all missing": (
        lambda _: forecaster(GAP[:190], valid=np.full(8, np.nan)), "steps of the validation",
    ),
    "no entity is held out": (lambda _: tagger(TAGGED, PLAIN), "F1.*--goal accuracy"),
    "tags nobody learnt": (lambda _: tagger(TAGGED, OTHER), "'B-PLACE'.*give other"),
    "one token of text": (lambda tmp: language_model("t", tmp), "hold out more"),
    "no text": (lambda tmp: language_model("", tmp), "empty|hold out more|no text"),
    "no line": (lambda tmp: language_model("\n", tmp, lines=True), "."),
    "no examples": (
        lambda _: lambda: recurra.SequenceClassifier(hidden=4).fit(
            (["a b", "c d"] * 9, ["x", "y"] * 9), valid=([], []), steps=2, progress=False
        ),
        "received none",
    ),
    "no pairs": (
        lambda _: lambda: recurra.Translator(hidden=8).fit(
            [("one two", "un deux"), ("three", "trois")] * 9, valid=[], steps=2, progress=False
        ),
        "none|expected",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_nothing_to_measure_is_refused_before_training(name, tmp_path):
    make, told = CASES[name]
    with pytest.raises(InputError, match=told) as caught:
        make(tmp_path)()
    assert "\n" not in str(caught.value)


def test_a_gap_is_no_fault_where_others_have_values():
    model = forecaster({"a": GAP, "b": np.sin(np.arange(200) / 5)}, hold_out=4)()
    result = model.fit_result_
    assert result.best["loss"] > 0


def test_silence_alone_is_judged_by_its_loss():
    from recurra.tasks.transcriber.recordings import Recording
    from recurra.tasks.transcriber.wav import Sound

    silent = [Recording(Sound(np.zeros(4000, np.float32), 8000), "", f"{n}") for n in range(4)]
    said = [Recording(Sound(np.zeros(4000, np.float32), 8000), "do", f"{n}") for n in range(4)]
    model = recurra.Transcriber(hidden=4)
    model.fit(said, valid=silent, steps=2, progress=False)
    result = model.fit_result_
    assert "word_error_rate" not in result.best
    assert result.best["loss"] > 0
    assert model.evaluate(silent).to_dict()["word_error_rate"] is None
