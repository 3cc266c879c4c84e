"""Models are copied in memory at any moment and in any way, give the same, and are independent."""

import copy
import io
import multiprocessing
import pickle

import joblib
import numpy as np
import pytest

import recurra
from golden.outputs import DIRECTORIES, HERE, MODELS, ask
from recurra import native
from recurra.baselines.language_model.mixture import MixtureModel
from recurra.baselines.language_model.ngram import NGramModel
from recurra.cells import find
from recurra.errors import InputError
from recurra.export import onnx
from recurra.tasks.transcriber import Transcriber
from tasks import classified, tagged, tones
from tasks.texts import prose


def by_pickle(model):
    return pickle.loads(pickle.dumps(model))


def by_old_pickle(model):
    return pickle.loads(pickle.dumps(model, protocol=2))


def by_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


WAYS = [by_pickle, by_old_pickle, by_joblib, copy.copy, copy.deepcopy]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
QUICK = {"steps": 2, "batch": 8, "threads": 1, "progress": False}
TEXT = prose(300)


def texts(folder):
    path = folder / "corpus.txt"
    path.write_text(TEXT)
    return path


def series():
    return [np.sin(np.arange(60) / 3) + k for k in range(2)]


#: Untrained model, what trains it, and what asks it (and so makes what a copy must not hold).
TASKS = {
    "language model": (
        lambda: recurra.LanguageModel(hidden=6, embedding=4, cell="gru"),
        lambda m, folder: m.fit(texts(folder), bptt=8, **QUICK),
        lambda m: (
            m.generate("the ", seed=1, max_tokens=20).text,
            m.evaluate(text=TEXT[:200]).nats_per_token,
        ),
    ),
    "n-grams": (
        lambda: NGramModel(order=3),
        lambda m, folder: m.fit(texts(folder)),
        lambda m: (
            m.generate("the ", seed=1, max_tokens=20).text,
            m.evaluate(text=TEXT[:200]).nats_per_token,
        ),
    ),
    "classifier": (
        lambda: recurra.SequenceClassifier(hidden=4, embedding=4, pooling="attention"),
        lambda m, folder: m.fit(classified.reviews(40), **QUICK),
        lambda m: (m.predict_proba(["a fine one", "dull"]), m.evaluate(classified.reviews(9)).loss),
    ),
    "classifier of numbers": (
        lambda: recurra.SequenceClassifier(inputs="numbers", hidden=4, pooling="last", members=2),
        lambda m, folder: m.fit(classified.slopes(40), **QUICK),
        lambda m: (m.predict_proba(classified.slopes(5, seed=2)[0]),),
    ),
    "tagger": (
        lambda: recurra.SequenceTagger(hidden=4, embedding=4, character_hidden=4, crf=True),
        lambda m, folder: m.fit(tagged.places(30, seed=0), **QUICK),
        lambda m: (
            m.predict([["we", "were", "Here"]]),
            *m.predict_proba([["we", "were"]]),
            m.evaluate(tagged.places(9, seed=1)).accuracy,
        ),
    ),
    "forecaster": (
        lambda: recurra.Forecaster(horizon=3, lookback=6, hidden=4),
        lambda m, folder: m.fit(series(), **QUICK),
        lambda m: (m.predict(series())[0].mean, m.evaluate(series()).to_dict()["mase"]),
    ),
    "translator": (
        lambda: recurra.Translator(source_tokenizer="char", target_tokenizer="char", hidden=4),
        lambda m, folder: m.fit([(f"a{k}", f"{k}b") for k in range(30)], **QUICK),
        lambda m: (
            m.predict("a1", beams=2).logprob,
            m.evaluate([("a1", "1b")]).nats_per_token,
        ),
    ),
    "transcriber": (
        lambda: recurra.Transcriber(**{**tones.TINY, "hidden": 4}),
        lambda m, folder: m.fit(tones.recordings(12), **QUICK),
        lambda m: (
            m.predict(tones.recordings(2, seed=4)[0].sound)[0].score,
            str(m.evaluate(tones.recordings(2, seed=4))),
        ),
    ),
}
tasks = pytest.mark.parametrize("task", TASKS)


def mixture():
    parts = [recurra.load(HERE / "lm-mixture" / "model").models[k] for k in (0, 1)]
    return MixtureModel(parts, weights=[0.25, 0.75])


def same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of each task, and the directory it is saved in."""
    found = {}
    for name, (make, fit, _) in TASKS.items():
        folder = tmp_path_factory.mktemp("task")
        model = make()
        fit(model, folder)
        found[name] = model, model.save(folder / "model")
    return found


@tasks
@ways
def test_before_fit(task, way, tmp_path):
    make, fit, ask_it = TASKS[task]
    model = make()
    other = way(model)
    assert other.config == model.config
    assert repr(other) == repr(model)
    with pytest.raises(InputError, match="not trained"):
        ask_it(other)
    fit(other, tmp_path)
    with pytest.raises(InputError, match="not trained"):
        ask_it(model)


@tasks
@ways
@pytest.mark.parametrize("moment", ["fit", "use", "load", "load and use"])
def test_after(task, way, moment, trained):
    model, path = trained[task]
    ask_it = TASKS[task][2]
    wanted = ask_it(model)
    if "load" in moment:
        model = type(model).load(path)
    elif moment == "fit":
        model = copy.copy(model)  # without what was made by asking
    if "use" in moment:
        same(ask_it(model), wanted)
    other = way(model)
    assert repr(other) == repr(model)
    same(ask_it(other), wanted)
    same(ask_it(way(other)), wanted)  # of a copy


@tasks
@pytest.mark.parametrize("way", [by_pickle, copy.copy], ids=["pickle", "copy"])
def test_a_copy_learns_by_itself(task, way, trained, tmp_path):
    model, _ = trained[task]
    _, fit, ask_it = TASKS[task]
    wanted, weights = ask_it(model), {n: t.copy() for n, t in model.files.tensors.items()}
    fit(way(model), tmp_path)
    same(ask_it(model), wanted)
    for name, tensor in weights.items():
        np.testing.assert_array_equal(model.files.tensors[name], tensor)


@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name][1] != "layer.pt2"])
def test_recorded_models_and_what_runs_them(name, monkeypatch):
    if name.startswith("onnx"):
        pytest.importorskip("onnx")
    model = recurra.load(HERE / name / MODELS[name][1])
    monkeypatch.setattr(recurra, "load", lambda path: model)
    wanted, numbers = ask(name)
    for way in (by_pickle, copy.deepcopy):
        copies = [way(model)]
        if name in DIRECTORIES:
            copies.append(copy.copy(model))
            copies[1].__dict__["runtime"] = way(model.runtime)
        for other in copies:
            monkeypatch.setattr(recurra, "load", lambda path, other=other: other)
            facts, found = ask(name)
            assert facts == wanted
            same(list(found.values()), list(numbers.values()))


@ways
def test_mixtures(way):
    model = mixture()
    wanted = model.generate("the ", seed=1, max_tokens=20).text
    other = way(model)
    np.testing.assert_array_equal(other.weights, model.weights)
    assert other.generate("the ", seed=1, max_tokens=20).text == wanted
    other.fit(text=TEXT)
    np.testing.assert_array_equal(model.weights, [0.25, 0.75])


@ways
def test_steppers_go_on_by_themselves(way):
    if not native.available():
        pytest.skip("the kernels are not installed")
    random, program = np.random.default_rng(0), find("lstm").program()
    shapes = [p.shape(gates=4, inputs=3, hidden=5) for p in program.parameters]
    parameters = [random.standard_normal(shape).astype(np.float32) for shape in shapes]
    stepper = native.Stepper(program, parameters, batch=2)
    x = random.standard_normal((6, 2, 3)).astype(np.float32)
    for step in range(3):
        stepper.step(x[step])
    for parameter in parameters:
        parameter[:] = 0  # a stepper has its own
    other = way(stepper)
    for step in range(3, 6):
        same([other.step(x[step]).copy()], [stepper.step(x[step])])
    other.step(x[0])
    assert not np.array_equal(other.states[0], stepper.states[0])


@ways
def test_states_and_streams_go_on_by_themselves(way):
    model = recurra.load(HERE / "lm-char-lstm" / "model")
    first = model.generate("the ", temperature=0, max_tokens=5)
    on = {"temperature": 0, "max_tokens": 9}
    wanted = model.generate("", state=first.state, **on).text
    assert way(model).generate("", state=way(first.state), **on).text == wanted
    if way is copy.copy:
        return  # a stream's copy shares its numbers
    heard = recurra.load(HERE / "transcriber-char" / "model")
    sound = tones.recordings(1, seed=4)[0].sound
    stream = heard.stream(rate=sound.rate)
    stream.push(sound.samples[:3000])
    other = way(stream)
    for one in (stream, other):
        one.push(sound.samples[3000:])
    assert stream.finish() == other.finish()


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_other_processes_get_models(start, trained):
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"the system does not know {start}")
    models = [trained[name][0] for name in ("language model", "classifier")]
    wanted = [repr(model) for model in models], models[0].generate("the ", temperature=0).text
    with multiprocessing.get_context(start).Pool(1) as pool:
        assert pool.map_async(repr, models).get(120) == wanted[0]
        found = pool.apply_async(
            recurra.LanguageModel.generate, (models[0], "the "), {"temperature": 0}
        )
        assert found.get(120).text == wanted[1]


def test_a_network_that_was_given_is_kept():
    model = recurra.load(HERE / "transcriber-word" / "model")
    other = Transcriber.around(model.files, recurra.load(HERE / "transcriber-word/model").runtime)
    for way in WAYS:
        made = way(other)
        assert made._network is not None
        assert made.runtime is made._network


def test_onnx_models_are_prepared_anew(tmp_path):
    pytest.importorskip("onnx")
    (path,) = onnx(HERE / "lm-char-gru" / "model", tmp_path / "m.onnx")
    model = recurra.load(path)
    ids = np.array([[1, 2, 3]])
    for way in WAYS:
        other = way(model)
        same(list(other.run({"ids": ids}).values()), list(model.run({"ids": ids}).values()))
