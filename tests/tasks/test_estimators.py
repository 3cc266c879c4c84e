"""The six tasks as estimators: parameters, fitted attributes, searches, copies, weights."""

import dataclasses
import inspect
import subprocess
import sys

import joblib
import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

import recurra
from recurra.cells import cell, tanh
from recurra.errors import InputError
from recurra.tasks.catalog import ENTRIES
from recurra.tasks.estimator import weights_of
from tasks import classified, tagged, tones
from tasks.texts import prose

CLASSES = {entry.word: entry.load() for entry in ENTRIES}
each_class = pytest.mark.parametrize("word", CLASSES)
TINY = {"hidden": 4, "steps": 2, "batch": 8, "threads": 1, "progress": False}
#: Settings, inputs and answers of each task, as scikit-learn gives them.
SENTENCES = tagged.places(30, seed=0)
RECORDINGS = tones.recordings(12)
EXAMPLES = {
    "classify": ({"embedding": 4}, *classified.reviews(40)),
    "tag": ({"embedding": 4}, [words for words, _ in SENTENCES], [tags for _, tags in SENTENCES]),
    "forecast": ({}, np.random.default_rng(0).normal(size=(20, 6)), np.arange(20.0)),
    "translate": (
        {"source_tokenizer": "char", "target_tokenizer": "char"},
        [f"a{k}" for k in range(30)],
        [f"{k}b" for k in range(30)],
    ),
    "transcribe": (
        {**tones.TINY, "hidden": 4},
        [one.sound for one in RECORDINGS],
        [one.text for one in RECORDINGS],
    ),
}


def made(word, **more):
    return CLASSES[word](**{**TINY, **EXAMPLES[word][0], **more})


@pytest.fixture(scope="module")
def fitted():
    found = {}
    for word, (_, X, y) in EXAMPLES.items():
        model = made(word)
        assert model.fit(X, y) is model
        found[word] = model
    return found


@each_class
def test_every_setting_is_a_parameter(word):
    cls = CLASSES[word]
    names = [field.name for table in cls._tables() for field in dataclasses.fields(table)]
    assert len(names) == len(set(names))
    assert list(cls().get_params()) == names == list(inspect.signature(cls).parameters)
    for name, value in cls().get_params().items():
        assert inspect.signature(cls).parameters[name].default == value


@each_class
def test_parameters_are_what_was_given(word):
    model = CLASSES[word](hidden=12, lr=0.5, epochs=3, batch=5, progress=False)
    given = {"hidden": 12, "lr": 0.5, "epochs": 3, "batch": 5, "progress": False}
    assert model.get_params().items() >= given.items()
    other = clone(model)
    assert other.get_params() == model.get_params()
    assert other.config == model.config
    assert other.set_params(hidden=7, lr=0.1) is other
    assert (other.config.hidden, other.get_params()["lr"]) == (7, 0.1)
    assert (model.config.hidden, model.get_params()["lr"]) == (12, 0.5)


@each_class
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"hiden": 3}, r"hiden \(did you mean hidden\?\)"),
        ({"hidden": 0}, "hidden must be a whole number"),
        ({"lr": -1.0}, "lr must be a number above 0"),
        ({"lr": -1.0, "hidden": 0}, "hidden must be .*lr must be"),
        ({"minutes": 1, "epochs": 2}, "only one of minutes, epochs"),
    ],
    ids=str,
)
def test_wrong_parameters_change_nothing(word, wrong, told):
    with pytest.raises(InputError, match=told):
        CLASSES[word](**wrong)
    model = CLASSES[word](hidden=5)
    before = model.get_params()
    with pytest.raises(InputError, match=told):
        model.set_params(**wrong)
    assert model.get_params() == before


@each_class
def test_before_fit_it_has_no_fitted_attributes(word):
    model = CLASSES[word]()
    for name in ("fit_result_", "classes_", "n_features_in_", "feature_names_in_"):
        assert not hasattr(model, name)
    with pytest.raises(NotFittedError):
        check_is_fitted(model)
    with pytest.raises(NotFittedError, match="is not trained yet: call fit, or"):
        _ = model.files
    with pytest.raises(InputError, match="is not trained yet"):
        _ = model.files


@pytest.mark.parametrize("word", EXAMPLES)
def test_fit_of_inputs_and_answers(word, fitted, tmp_path):
    model = fitted[word]
    check_is_fitted(model)
    assert model.fit_result_.steps == 2
    _, X, y = EXAMPLES[word]
    score = model.score(X, y)
    assert isinstance(score, float)
    answers = model.predict(X)
    assert len(answers) == len(X)
    if word not in ("forecast",):  # where a pair is two series
        pair = made(word).fit((list(X), list(y)))
        assert pair.files.tensors.keys() == model.files.tensors.keys()
        for name, tensor in pair.files.tensors.items():
            np.testing.assert_array_equal(tensor, model.files.tensors[name])
    again = clone(model).fit(X, y)
    joblib.dump(again, tmp_path / "model")
    again = joblib.load(tmp_path / "model")
    for name, tensor in again.files.tensors.items():
        np.testing.assert_array_equal(tensor, model.files.tensors[name])


@pytest.mark.parametrize("word", EXAMPLES)
def test_answers_for_each_input(word):
    _, X, y = EXAMPLES[word]
    with pytest.raises(InputError, match=f"{len(X)} .*{len(y) - 1}"):
        made(word).fit(X, y[:-1])


def test_a_language_model_has_no_answers(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(prose(300))
    model = recurra.LanguageModel(**TINY, bptt=8, embedding=4)
    with pytest.raises(InputError, match=r"y: a text is its own answer"):
        model.fit(path, ["a"])
    assert model.fit(path) is model
    assert model.score(path) == -model.evaluate(path).nats_per_token


def test_settings_of_a_call_come_first():
    X, y = classified.slopes(40)
    model = recurra.SequenceClassifier(inputs="numbers", hidden=4, epochs=50, progress=False)
    assert model.fit(X, y, steps=3, batch=20).fit_result_.steps == 3
    assert model.get_params()["epochs"] == 50
    model.set_params(epochs=None, steps=4)
    assert model.fit(X, y).fit_result_.steps == 4


def weights(model):
    return {name: tensor.copy() for name, tensor in model.files.tensors.items()}


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


#: How fit is called a second time, and whether it goes on from the weights of the first.
AGAIN = {
    "data": (lambda m, X, y: m.fit((X, y), lr=1e-9), True),
    "X, y": (lambda m, X, y: m.fit(X, y), False),
    "X, y, warm": (lambda m, X, y: m.fit(X, y, warm_start=True, lr=1e-9), True),
    "data, cold": (lambda m, X, y: m.fit((X, y), warm_start=False), False),
    "set warm": (lambda m, X, y: m.set_params(warm_start=True).fit(X, y, lr=1e-9), True),
    "another network": (lambda m, X, y: m.set_params(hidden=5).fit((X, y)), False),
}


@pytest.mark.parametrize("way", AGAIN)
def test_fit_again(way):
    """`fit(X, y)` knows nothing of an earlier one, or folds would share what they have seen."""
    X, y = classified.slopes(40)
    settings = {"inputs": "numbers", **TINY}
    model = recurra.SequenceClassifier(**settings).fit(X, y)
    first = weights(model)
    call, goes_on = AGAIN[way]
    call(model, X, y)
    if goes_on:
        for name, tensor in weights(model).items():
            np.testing.assert_allclose(tensor, first[name], atol=1e-6)
    elif way == "another network":
        fresh = recurra.SequenceClassifier(**{**settings, "hidden": 5}).fit(X, y)
        assert same(weights(model), weights(fresh))
    else:
        assert same(weights(model), first)
        other = np.array(["x", "y", "z"] * 14)[:40]
        assert set(model.fit(X, other, warm_start=False).classes_) == {"x", "y", "z"}


def test_a_trained_model_keeps_its_network_until_the_next_fit():
    X, y = classified.slopes(40)
    model = recurra.SequenceClassifier(inputs="numbers", **TINY).fit(X, y)
    before = model.predict_proba(X)
    model.set_params(hidden=9)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    with pytest.raises(InputError, match="keeps its network"):
        model.fit(X, y, warm_start=True)
    assert model.fit(X, y).config.hidden == 9


#: Labels as given, and the dtype they come back in; None for a list.
LABELS = {
    "list of texts": (["no", "yes"], None),
    "list of ints": ([3, 5], "int64"),
    "list of floats": ([1.5, 2.5], "float64"),
    "list of truths": ([False, True], "bool"),
    "int8": (np.array([3, 5], "int8"), "int8"),
    "float32": (np.array([1.5, 2.5], "float32"), "float32"),
    "bool": (np.array([False, True]), "bool"),
    "texts": (np.array(["no", "yes"]), "<U3"),
    "objects": (np.array(["no", "yes"], object), "object"),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_come_back_with_their_type(kind, tmp_path):
    pair, dtype = LABELS[kind]
    X, _ = classified.slopes(40)
    y = np.tile(pair, 20) if isinstance(pair, np.ndarray) else pair * 20
    model = recurra.SequenceClassifier(inputs="numbers", **TINY).fit(X, y)
    for one in (model, recurra.load(model.save(tmp_path / "model"))):
        found = one.predict(X)
        if dtype is None:
            assert isinstance(found, list)
            assert {type(label) for label in found} <= {str}
        else:
            assert found.dtype == dtype
        assert one.classes_.tolist() == sorted(np.asarray(pair).tolist())
        assert one.predict(X[:0]) is not None
        assert one.score(X, y) == np.mean(np.asarray(found) == np.asarray(y))
        log = one.predict_log_proba(X)
        np.testing.assert_allclose(np.exp(log), one.predict_proba(X), rtol=1e-6)


def test_searches_pipelines_and_folds():
    X, y = classified.slopes(60)
    model = recurra.SequenceClassifier(inputs="numbers", pooling="last", **{**TINY, "steps": 30})
    scores = cross_val_score(model, X, y, cv=3)
    assert scores.shape == (3,)
    search = GridSearchCV(
        make_pipeline(FunctionTransformer(lambda X: [row * 1.0 for row in X]), model),
        {"sequenceclassifier__lr": [1e-9, 0.05], "sequenceclassifier__hidden": [3, 4]},
        cv=2,
    ).fit(X, np.array(y))
    assert search.best_params_["sequenceclassifier__lr"] == 0.05
    assert search.best_score_ > 0.8
    assert set(search.predict(X)) <= set(y)
    assert is_classifier(model)
    assert is_regressor(recurra.Forecaster())


def test_weights_of_examples():
    """Examples of weight 0 are not there; weights change what is learnt; sizes do not count."""
    X, y = classified.slopes(60)
    other = {"rises": "falls", "falls": "rises"}
    X2, y2 = [*X, *X], [*y, *(other[label] for label in y)]  # each twice, with either label
    model = recurra.SequenceClassifier(
        inputs="numbers", pooling="last", **{**TINY, "steps": 60, "lr": 0.03}
    )
    light = np.repeat([1.0, 0.0], 60)
    only = weights(model.fit(X2, y2, sample_weight=light))
    assert same(only, weights(model.fit(X, y)))
    heavy = np.repeat([9.0, 1.0], 60)
    assert model.fit(X2, y2, sample_weight=heavy).score(X, y) > 0.8
    one = weights(model)
    assert same(one, weights(model.fit(X2, y2, sample_weight=heavy * 4)))
    assert model.fit(X2, y2, sample_weight=heavy[::-1]).score(X, y) < 0.2
    right = model.score(X2, y2, sample_weight=heavy)
    assert right == pytest.approx(1 - model.score(X2, y2, sample_weight=heavy[::-1]))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([1.0], "expected 2 weights, one for each example, received 1"),
        ([1.0, -1.0], "at least 0"),
        ([1.0, np.nan], "at least 0"),
        ([0, 0], "expected some above zero"),
        (["a", "b"], "a number for each example"),
        ([[1.0], [1.0]], "a number for each example"),
    ],
)
def test_wrong_weights(given, told):
    with pytest.raises(InputError, match=told):
        weights_of(given, 2)


@pytest.mark.parametrize("word", [word for word in EXAMPLES if word != "classify"])
def test_tasks_without_weights_say_so(word):
    _, X, y = EXAMPLES[word]
    with pytest.raises(InputError, match="weighs no examples: leave it out"):
        made(word).fit(X, y, sample_weight=np.ones(len(X)))


def test_own_cells_are_parameters():
    @cell(states="h", gates="g")
    def plain(x, u, h, opt):
        return dict(h=tanh(x.g + u(h).g))

    model = recurra.SequenceClassifier(cell=plain, inputs="numbers", **TINY)
    assert model.get_params()["cell"] is plain
    assert clone(model).get_params()["cell"] is plain


def test_scikit_learn_is_not_needed():
    code = (
        "import sys, recurra\n"
        "model = recurra.SequenceClassifier(hidden=3)\n"
        "model.get_params(); model.set_params(hidden=4)\n"
        "try: model.predict(['a'])\n"
        "except ValueError as error: print(type(error).__name__)\n"
        "print([n for n in ('sklearn', 'pandas', 'polars', 'torch') if n in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["InputError", "[]"]
