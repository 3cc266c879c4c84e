"""Transcribers of a language of tones: trained, measured, saved, streamed; and what they refuse."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recurra
from recurra import LanguageModel, Transcriber
from recurra.errors import FormatError, InputError
from recurra.tasks.transcriber import TranscriberData, TranscriberScores, TranscriberSettings
from recurra.tasks.transcriber.data import prepare
from recurra.tasks.transcriber.recordings import Recording
from recurra.tasks.transcriber.wav import Sound, write_wav
from tasks.tones import QUICK, TINY, recordings

TRAIN, VALID, TEST = recordings(96, seed=1), recordings(24, seed=2), recordings(40, seed=3)


def fitted(data=TRAIN, **settings):
    model = Transcriber(**TINY, **settings)
    model.fit(data, valid=VALID, progress=False, **QUICK)
    return model


@pytest.fixture(scope="module")
def whole():
    """Reads both ways, and scales each recording by itself."""
    return fitted(bidirectional=True, normalise="recording")


@pytest.fixture(scope="module")
def streaming():
    return fitted(bidirectional=False)


def test_it_learns(whole, streaming):
    for model in (whole, streaming):
        found = model.evaluate(TEST)
        assert found.word_error_rate < 0.04, found
        assert found.recordings == 40


def heard_right(model):
    heard = [str(one) for one in model.predict(TEST)]
    return [one for one, text in zip(TEST, heard, strict=True) if one.text == text]


def test_with_shuffled_texts_it_learns_nothing():
    texts = [one.text for one in TRAIN]
    np.random.default_rng(0).shuffle(texts)
    shuffled = [
        Recording(one.sound, text)
        for one, text in zip(TRAIN, texts, strict=True)
        if len(text.split()) <= 2 + one.sound.seconds / 0.3
    ]
    model = Transcriber(**TINY, bidirectional=False)
    model.fit(shuffled, valid=VALID, progress=False, bad="skip", **QUICK)
    assert model.evaluate(TEST).word_error_rate > 0.5


def test_judged_as_in_training(streaming):
    """The best validation of the torch side is what the loaded model finds without torch."""
    model = Transcriber(**TINY, bidirectional=False)
    model.fit(TRAIN, valid=VALID, progress=False, **{**QUICK, "epochs": 4})
    result = model.fit_result_
    found = model.evaluate(VALID)
    assert result.best["word_error_rate"] == found.word_error_rate
    assert result.best["character_error_rate"] == found.character_error_rate
    heard = [str(one) for one in model.predict(VALID)]
    said = [one.text for one in VALID]
    assert found == TranscriberScores.of(
        said, heard, seconds=sum(one.sound.seconds for one in VALID)
    )


def test_transcripts_tell_when_and_how_surely(whole):
    (found,) = whole.predict(TEST[0])
    words = TEST[0].text.split()
    assert (str(found), list(found.tokens)) == (TEST[0].text, words)
    assert found.score < 0
    assert list(found.times) == sorted(found.times)
    assert len(found.times) == len(words)
    assert found.times[0] >= 0
    assert found.times[-1] <= TEST[0].sound.seconds
    assert json.loads(json.dumps(found.to_dict()))["text"] == TEST[0].text


def test_a_beam_gives_alternatives_best_first(whole):
    (found,) = whole.predict(TEST[0], beams=8, n_best=3)
    scores = [found.score, *(score for _, score in found.alternatives)]
    assert str(found) == TEST[0].text
    assert scores == sorted(scores, reverse=True)
    assert len({found.text, *(text for text, _ in found.alternatives)}) == 3


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=12), st.sampled_from([1, 4]))
def test_sound_in_pieces_gives_the_text_of_the_whole(streaming, sizes, beams):
    one = TEST[sum(sizes) % len(TEST)]
    stream, samples, start, said = streaming.stream(beams=beams), one.sound.samples, 0, []
    for size in [*sizes, len(samples)]:
        said.append(stream.push(samples[start : start + size]))
        start += size
    said.append(stream.finish())
    (expected,) = streaming.predict(one, beams=beams)
    assert "".join(said) == stream.text == expected.text


def test_text_comes_while_it_is_spoken(streaming):
    one = max(heard_right(streaming), key=lambda one: len(one.text))
    half = len(one.sound.samples) // 2
    stream = streaming.stream()
    early = stream.push(one.sound.samples[:half])
    assert early
    assert early + stream.push(one.sound.samples[half:]) + stream.finish() == one.text


def test_sound_at_another_rate_is_heard_too(streaming):
    fast = recordings(20, seed=5, rate=16000)
    assert streaming.evaluate(fast).word_error_rate < 0.05
    stream = streaming.stream(rate=16000)
    said = stream.push(fast[0].sound.samples) + stream.finish()
    assert said == str(streaming.predict(fast[0])[0])


def test_saved_and_loaded_it_is_the_same(whole, tmp_path):
    whole.save(tmp_path / "model")
    loaded = recurra.load(tmp_path / "model")
    assert isinstance(loaded, Transcriber)
    assert loaded.predict(TEST[:5]) == whole.predict(TEST[:5])
    assert loaded.config == whole.config
    card = (tmp_path / "model" / "README.md").read_text()
    assert "word error rate" in card
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["task"] == "transcriber"


def test_it_trains_on_with_its_words_and_its_scale(streaming, tmp_path):
    streaming.save(tmp_path / "model")
    model = recurra.load(tmp_path / "model")
    louder = [Recording(Sound(2 * r.sound.samples, 8000), r.text) for r in recordings(24, seed=7)]
    before = model.files.config
    model.fit(louder, valid=VALID, progress=False, steps=3, lr=1e-4, batch=8, threads=1)
    assert model.files.config["scale"] == before["scale"]
    assert model.files.tokenizer == streaming.files.tokenizer
    assert model.evaluate(TEST).word_error_rate < 0.1


def test_no_held_out_recording_has_a_say():
    """Other held-out recordings, with other words, louder and faster: the same tokens and scale."""
    other = [Recording(Sound(9 * r.sound.samples, 4000), f"la {r.text}", "x") for r in VALID]
    both = [
        prepare(TRAIN, held, TranscriberSettings(**TINY), TranscriberData(), seed=0)
        for held in (VALID, other)
    ]
    first, second = both
    assert first.features == second.features
    assert first.tokenizer.to_json() == second.tokenizer.to_json()
    assert first.scale.mean.tolist() == second.scale.mean.tolist()
    assert first.scale.deviation.tolist() == second.scale.deviation.tolist()
    frames = np.concatenate([e.frames for e in first.train])
    np.testing.assert_allclose(first.scale.mean, frames.mean(0), rtol=1e-4)
    np.testing.assert_allclose(first.scale.deviation, frames.std(0) + 1e-3, rtol=1e-3)
    unknown = second.valid[0]
    assert unknown.ids[0] == second.tokenizer.unk_id
    assert unknown.text.startswith("la ")


def test_a_share_is_held_out_at_random_once():
    config, data = TranscriberSettings(**TINY), TranscriberData(valid_share=0.25)
    first, again, other = (prepare(TRAIN, None, config, data, seed=seed) for seed in (1, 1, 2))
    assert (len(first.train), len(first.valid)) == (72, 24)
    assert first.sha256 == again.sha256 != other.sha256
    whole = sorted((e.seconds, e.text) for e in (*first.train, *first.valid))
    assert whole == sorted((r.sound.seconds, r.text) for r in TRAIN)


def test_sound_is_changed_anew_each_epoch_and_the_same_when_read_again():
    from recurra.settings import check
    from recurra.tasks.job import Job
    from recurra.tasks.transcriber.training import TranscriberTraining
    from recurra.train import TrainConfig

    model = TranscriberSettings(**TINY)
    data = TranscriberData(speed=0.2, noise=0.5, time_masks=1, frequency_masks=1, batch=8)
    train = TrainConfig(seed=3)
    check(model, data, train)
    prepared = prepare(TRAIN, VALID, model, data, seed=3)
    task = TranscriberTraining(
        Job(TRAIN, VALID, None, False, model, data, train, None, (), 0.0), prepared
    )
    epochs = [task.batches(epoch, rank=0, world=1) for epoch in (0, 0, 1)]
    first, again, later = ([b.inputs.numpy() for b in batches] for batches in epochs)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert sum(b.count for b in epochs[0]) == len(TRAIN)
    assert {a.shape for a in first} != {a.shape for a in later}


def test_a_text_too_long_for_its_sound(whole):
    short = Recording(Sound(TRAIN[0].sound.samples[:2000], 8000), "do " * 30, "hasty")
    with pytest.raises(InputError, match=r"hasty: 0.25 s are 5 steps .* needs 59.*skip_bad"):
        fitted([*TRAIN, short], bidirectional=False)
    model = Transcriber(**TINY)
    model.fit([*TRAIN, short], valid=VALID, progress=False, skip_bad=True, steps=2, batch=8)
    (told,) = model.files.config["training"]["skipped"]
    assert told.startswith("hasty: 0.25 s")
    assert model.files.config["training"]["recordings"] == len(TRAIN)
    assert whole.evaluate([short]).words.length == 30  # to be measured on, it is a recording


def test_silence_and_empty_texts_are_recordings_too():
    silent = [Recording(Sound(np.zeros(n, np.float32), 8000), "", f"{n}") for n in (0, 10, 4000)]
    model = Transcriber(**TINY, bidirectional=True, normalise="recording")
    model.fit([*TRAIN, *silent], valid=[*VALID, *silent], progress=False, steps=20, batch=8)
    assert [str(one) for one in model.predict([one.sound for one in silent])][:2] == ["", ""]
    model.fit(silent, valid=silent, progress=False, steps=2)
    assert np.isfinite(model.fit_result_.best["loss"])


def test_a_language_model_turns_what_is_in_doubt(whole, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("so so so\n" * 60)
    lm = LanguageModel(tokenizer="word", hidden=8)
    lm.fit(text, lines=True, progress=False, steps=60, batch=4, lr=0.02)
    both = tmp_path / "both.txt"
    both.write_text("do mi so\nso mi do\n" * 50)
    fair = LanguageModel(tokenizer="word", hidden=8)
    fair.fit(both, lines=True, progress=False, steps=60, batch=4, lr=0.02)
    one = Recording(Sound(TEST[0].sound.samples, 8000), "do mi", "x")
    with pytest.raises(InputError, match=r"\['do', 'mi'\] are not in its vocabulary") as caught:
        _strict(lm, whole)
    assert "\n" not in str(caught.value)
    plain = whole.predict(one, beams=20)
    unweighted = whole.predict(one, beams=20, language_model=fair, weight=0.0)
    assert plain[0].text == unweighted[0].text == TEST[0].text
    heavy = whole.predict(one, beams=20, language_model=fair, weight=50.0)[0].text
    assert heavy != plain[0].text
    assert whole.predict(one, beams=20, language_model=fair, weight=0.0, bonus=100.0)[0].text != ""
    fair.save(tmp_path / "lm")
    by_path = whole.predict(one, beams=20, language_model=tmp_path / "lm", weight=50.0)
    assert by_path[0].text == heavy
    with pytest.raises(InputError, match="the best path asks none: set a beam"):
        whole.predict(one, language_model=fair)
    with pytest.raises(InputError, match="expected a language model, received 5"):
        whole.predict(one, beams=2, language_model=5)


def _strict(lm, model):
    """Ask for tokens of which some are not there, of a vocabulary without <unk>."""
    from recurra.tasks.transcriber.ctc import TextModel

    class Strict:
        unk_id, eos_id = None, lm.tokenizer.eos_id
        __len__ = staticmethod(lambda: len(lm.tokenizer))
        token = staticmethod(lm.tokenizer.token)

    TextModel(lm.runtime, Strict(), ["do", "mi", "so"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"rate": 8000, "high": 5000.0}, "stay below half the rate"),
        ({"rate": 8000, "mels": 200}, "bands are narrower"),
        ({"tokenizer": "byte"}, "tokenizer must be one of char, word, bpe"),
        ({"normalise": "none", "stride": 0}, "stride must be .*normalise must be one of"),
        ({"bidrectional": True}, "did you mean bidirectional"),
        ({"cell": "gru", "peephole": True}, "peephole: the cell gru has no option peephole"),
    ],
)
def test_settings_that_do_not_fit(arguments, told):
    with pytest.raises(InputError, match=told):
        Transcriber(**arguments)


def test_data_and_options_that_do_not_fit(whole, streaming):
    with pytest.raises(InputError, match="stay below half the rate"):
        Transcriber(high=5000.0).fit(TRAIN, progress=False, steps=1)
    with pytest.raises(InputError, match="n_best must be at most beams"):
        whole.predict(TEST[:1], n_best=2)
    with pytest.raises(InputError, match=r"unknown settings: beam \(did you mean beams"):
        whole.predict(TEST[:1], beam=2)
    with pytest.raises(
        InputError, match=r"expected paths, or recurra\.tasks\.transcriber.*received int"
    ):
        whole.predict([5])
    with pytest.raises(InputError, match="recording 0: expected a Recording with its text"):
        whole.evaluate([TEST[0].sound])
    with pytest.raises(InputError, match="expected enough to hold out a share"):
        Transcriber().fit(TRAIN[:1], progress=False)
    with pytest.raises(InputError, match="bidirectional=False"):
        whole.stream()
    with pytest.raises(InputError, match="expected rates from 1 Hz on"):
        streaming.stream(rate=-1)
    with pytest.raises(InputError, match="not trained yet"):
        Transcriber().predict(TEST)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scale": {"mean": [1.0], "deviation": [1.0]}}, "scale: expected 16 numbers"),
        ({"features": {"rate": -1}}, "features and scale of a transcriber.*rate must be"),
        ({"features": None}, "features and scale of a transcriber"),
        ({"scale": 7}, "features and scale of a transcriber"),
    ],
)
def test_a_damaged_configuration(whole, change, told):
    from dataclasses import replace

    files = replace(whole.files, config={**whole.files.config, **change})
    with pytest.raises(FormatError, match=told):
        Transcriber.from_files(files)
    with pytest.raises(FormatError, match=r"tokenizer\.json"):
        Transcriber.from_files(replace(whole.files, tokenizer=None))


RUN = """
import sys
sys.modules.update(dict.fromkeys(["torch", "tokenizers", "rich", "matplotlib"]))
import recurra
from recurra.tasks.transcriber.wav import read_wav
model = recurra.load(sys.argv[1])
print(*model.predict(sys.argv[2]))
print(*model.predict(sys.argv[2], beams=4))
stream = model.stream()
print(stream.push(read_wav(sys.argv[2]).samples) + stream.finish())
"""


def test_it_runs_where_torch_is_not(streaming, tmp_path):
    streaming.save(tmp_path / "model")
    one = heard_right(streaming)[0]
    write_wav(tmp_path / "a.wav", one.sound)
    command = [sys.executable, "-W", "error", "-c", RUN, tmp_path / "model", tmp_path / "a.wav"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [one.text] * 3


class Stopper:
    """Raises after a step, as a crash would."""

    def __init__(self, step):
        self.step = step

    def on_start(self, event): ...

    def on_validation(self, event): ...

    def on_end(self, result): ...

    def on_step(self, event):
        if event.step == self.step:
            raise KeyError("stop")


def test_a_run_goes_on_exactly_and_only_with_the_same_recordings(tmp_path):
    how = {
        **{"steps": 14, "batch": 16, "lr": 0.02, "threads": 1, "checkpoint_every": 0.0},
        **{"eval_every": 7, "speed": 0.1, "noise": 0.5, "time_masks": 1, "progress": False},
    }

    def fit(out, data=TRAIN, callbacks=()):
        model = Transcriber(**TINY)
        model.fit(data, valid=VALID, out=tmp_path / out, callbacks=callbacks, **how)
        return model

    with pytest.raises(KeyError):
        fit("broken", callbacks=[Stopper(9)])  # in the middle of the second epoch
    whole, broken = fit("whole"), fit("broken")
    for name, tensor in whole.files.tensors.items():
        assert (broken.files.tensors[name] == tensor).all(), name
    louder = [Recording(Sound(r.sound.samples * 2, 8000), r.text) for r in TRAIN]
    with pytest.raises(InputError, match="recordings"):
        fit("whole", louder)


@pytest.mark.parametrize(("changes", "held"), [({}, "frames"), ({"speed": 0.1}, "samples")])
def test_of_sound_and_features_one_is_held(changes, held):
    config, data = TranscriberSettings(**TINY), TranscriberData(**changes)
    prepared = prepare(TRAIN, VALID, config, data, seed=0)
    for one in prepared.train:
        assert (one.samples is not None) == (held == "samples")
        assert (len(one.frames) > 0) == (held == "frames")
        assert one.frames.base is None or one.frames.base.size <= one.frames.size
    assert prepared.scale.mean is not None
