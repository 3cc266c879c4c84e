"""Classifiers of every kind: fit, measure, ask, save, load; the runtime gives what torch does."""

import json

import numpy as np
import pytest
import torch

import recurra
from recurra import SequenceClassifier
from recurra.errors import FormatError, InputError
from recurra.storage import save_model
from recurra.tasks.classifier import ClassifierData, ClassifierSettings
from recurra.tasks.classifier.data import encode, prepare
from recurra.tasks.classifier.examples import in_memory
from recurra.tasks.classifier.training import ClassifierTraining, build
from recurra.tasks.job import Job
from recurra.train import TrainConfig
from tasks.classified import QUICK, SMALL, ordered, reviews, slopes

TEXTS = reviews(80)
ARRAYS = slopes(80)
MODELS = [
    {},
    {"tokenizer": "char"},
    {"tokenizer": "byte", "pooling": "mean"},
    {"tokenizer": "bpe", "vocab_size": 280, "pooling": "attention"},
    {"subwords": 0, "lowercase": True, "punctuation": False},
    {"cell": "gru", "reset": "before", "pooling": "last"},
    {"cell": "rnn", "bidirectional": False, "pooling": "last", "min_count": 2},
    {"layers": 3, "residual": True, "layer_norm": True, "zoneout": 0.1, "weight_drop": 0.1},
    {"projection": 8, "peephole": True, "pooling": "attention", "recurrent_dropout": 0.2},
    {"learn_initial_state": True, "dropout": 0.0, "token_dropout": 0.0, "embedding_dropout": 0.0},
    {"members": 3, "pooling": "attention"},
    {"inputs": "numbers"},
    {"inputs": "numbers", "cell": "gru", "pooling": "attention", "missing": "last"},
    {"inputs": "numbers", "layers": 2, "pooling": "last", "standardise": False},
    {"inputs": "numbers", "members": 2},
]


def data_for(settings):
    return ARRAYS if settings.get("inputs") == "numbers" else TEXTS


@pytest.mark.parametrize("settings", MODELS, ids=str)
def test_fit_evaluate_predict_save_load(settings, tmp_path):
    inputs, labels = data_for(settings)
    model = SequenceClassifier(**{**SMALL, **settings})
    held = (inputs[:20], labels[:20])
    model.fit((inputs[20:], labels[20:]), valid=held, **{**QUICK, "epochs": 1})
    result = model.fit_result_
    found = model.evaluate(held)
    # the same examples by torch and by the runtime
    assert result.best["loss"] == pytest.approx(found.loss, rel=1e-4)
    assert result.best["accuracy"] == found.accuracy
    assert result.best["macro_f1"] == found.macro_f1
    p = model.predict_proba(inputs)
    assert p.shape == (80, 2)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    assert model.predict(inputs) == [model.labels[k] for k in p.argmax(1)]
    alone = np.concatenate([model.predict_proba([one]) for one in inputs[:10]])
    assert (alone == p[:10]).all()  # whatever stands beside it

    loaded = recurra.load(model.save(tmp_path / "model"))
    assert isinstance(loaded, SequenceClassifier)
    assert loaded.config == model.config
    assert loaded.labels == model.labels == tuple(sorted(set(labels)))
    assert (loaded.predict_proba(inputs) == p).all()
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"{result.best['accuracy']:.4f}" in card
    assert all(f"`{label}`" in card for label in labels)


@pytest.mark.parametrize("settings", MODELS, ids=str)
def test_the_runtime_computes_what_torch_does(settings, tmp_path):
    """Also of words it never saw, of an empty text, and among others of any length."""
    inputs, labels = data_for(settings)
    config = ClassifierSettings(**{**SMALL, **settings})
    prepared = prepare((inputs, labels), None, config, ClassifierData(), seed=0, files=None)
    job = Job(None, None, None, False, config, ClassifierData(), TrainConfig(), None, (), 0.0)
    torch.manual_seed(0)
    task = ClassifierTraining(job, prepared, build(config, prepared, 0).eval())
    with torch.no_grad():
        for parameter in task.module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    tensors = {n: v.numpy() for n, v in task.module.state_dict().items()}
    asked = inputs[:25]
    if config.reads_text:
        asked = [*asked, "finest dulling ☃", "awfully lovely " * 40, ""]
    else:
        gap = inputs[0].copy()
        gap[1:3, 1] = np.nan
        asked = [*asked, gap, np.tile(inputs[1], (30, 1))]
    tokenizer = prepared.reader.tokenizer.to_json() if config.reads_text else None
    save_model(tmp_path / "m", config=task.config(), tensors=tensors, tokenizer=tokenizer)
    model = SequenceClassifier.load(tmp_path / "m")
    examples = in_memory(asked, None, numbers=not config.reads_text)
    expected = task.probabilities(encode(examples, prepared.reader))
    np.testing.assert_allclose(model.predict_proba(asked), expected, atol=2e-5)
    assert np.ptp(expected[:, 0]) > 0.02  # it is no constant


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_a_batch_among_them(world):
    inputs, labels = TEXTS
    config = ClassifierSettings(**SMALL)
    data = ClassifierData(batch=12)
    prepared = prepare((inputs, labels), None, config, data, seed=0, files=None)
    job = Job(None, None, None, False, config, data, TrainConfig(), None, (), 0.0)
    task = ClassifierTraining(job, prepared, build(config, prepared, 0).eval())
    whole = task.batches(1, rank=0, world=1)
    parts = [task.batches(1, rank=rank, world=world) for rank in range(world)]
    with torch.no_grad():
        for index, batch in enumerate(whole):
            loss, count, _ = task.loss(batch, None)
            shares = [task.loss(part[index], None) for part in parts]
            assert sum(n for _, n, _ in shares) == count == len(batch.indices)
            assert float(sum(part for part, _, _ in shares)) == pytest.approx(float(loss), rel=1e-5)


def test_members_are_drawn_apart_and_their_probabilities_averaged():
    model = SequenceClassifier(**SMALL, members=3)
    model.fit(TEXTS, **{**QUICK, "epochs": 1})
    tensors = model.files.tensors
    heads = [tensors[f"members.{k}.head.weight"] for k in range(3)]
    assert not np.allclose(heads[0], heads[1])
    assert not np.allclose(heads[1], heads[2])
    alone = []
    for member in model.runtime.members:
        lexicon = model._reader.lexicon()
        forms = [lexicon.encode(text) for text in TEXTS[0]]
        alone.append(member.texts(forms, lexicon))
    np.testing.assert_allclose(model.predict_proba(TEXTS[0]), np.mean(alone, axis=0), atol=1e-6)


def test_balanced_classes_count_alike_in_the_loss():
    inputs, labels = [str(k) for k in range(40)], ["rare"] * 4 + ["usual"] * 36
    config = ClassifierSettings(**SMALL)
    losses = {}
    for weights in ("none", "balanced"):
        data = ClassifierData(class_weights=weights, batch=36)
        prepared = prepare((inputs, labels), (inputs, labels), config, data, seed=0, files=None)
        job = Job(None, None, None, False, config, data, TrainConfig(), None, (), 0.0)
        task = ClassifierTraining(job, prepared, build(config, prepared, 0).eval())
        with torch.no_grad():
            task.module.head.weight.zero_()
            task.module.head.bias[:] = torch.tensor([-1.0, 1.0])  # all are "usual"
            losses[weights] = [
                float(sum(task.loss(batch, None)[0] for batch in task.batches(0, rank=0, world=1)))
            ]
    rare, usual = np.log1p(np.exp(2)), np.log1p(np.exp(-2))
    assert losses["none"][0] == pytest.approx(4 * rare + 36 * usual, rel=1e-5)
    assert losses["balanced"][0] == pytest.approx(20 * rare + 20 * usual, rel=1e-5)


def test_fit_again_goes_on_with_the_same_labels_and_words():
    model = SequenceClassifier(**SMALL)
    model.fit(TEXTS, **QUICK)
    tokens, before = len(model._reader.tokenizer), model.evaluate(TEXTS).loss
    model.fit((["fine newword"] * 20, ["good"] * 20), valid=TEXTS, **{**QUICK, "lr": 1e-9})
    assert len(model._reader.tokenizer) == tokens
    assert model.labels == ("bad", "good")
    assert model.evaluate(TEXTS).loss == pytest.approx(before, rel=1e-3)


def test_a_run_that_stopped_early_ends_as_one_that_did_not(tmp_path):
    class Stop(Exception):  # noqa: N818
        pass

    class StopAt:
        def on_start(self, event): ...
        def on_validation(self, event): ...
        def on_end(self, result): ...
        def on_step(self, event):
            if event.step == 9:
                raise Stop

    how = {**QUICK, "epochs": 2, "checkpoint_every": 0.0}
    SequenceClassifier(**SMALL).fit(TEXTS, out=tmp_path / "whole", **how)
    broken = {"out": tmp_path / "broken", **how}
    with pytest.raises(Stop):
        SequenceClassifier(**SMALL).fit(TEXTS, callbacks=[StopAt()], **broken)
    SequenceClassifier(**SMALL).fit(TEXTS, **broken)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        one, other = (tmp_path / run / "best" / name for run in ("whole", "broken"))
        assert one.read_bytes() == other.read_bytes(), name
    other = reviews(80, seed=5)
    with pytest.raises(InputError, match="train"):
        SequenceClassifier(**SMALL).fit(other, **broken)


def test_the_best_model_is_chosen_by_the_goal(tmp_path):
    for goal in ("accuracy", "macro_f1", "loss"):
        run = tmp_path / goal
        how = {**QUICK, "eval_every": 4, "out": run, "goal": goal}
        result = SequenceClassifier(**SMALL).fit(TEXTS, **how).fit_result_
        lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        seen = [line[f"valid_{goal}"] for line in lines if f"valid_{goal}" in line]
        assert result.best[goal] == (min(seen) if goal == "loss" else max(seen))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"subwords": 2, "tokenizer": "char"}, "subwords: only words"),
        ({"tokenizer": "byte", "vocab_size": 9}, "vocab_size: bytes"),
        ({"pooling": "sum", "hidden": 0}, r"hidden.*pooling|pooling.*hidden"),
        ({"poolng": "max"}, "did you mean pooling"),
        ({"peephole": True, "cell": "gru"}, "peephole"),
    ],
)
def test_settings_that_do_not_fit(settings, told):
    with pytest.raises(InputError, match=told) as caught:
        SequenceClassifier(**settings)
    assert "\n" not in str(caught.value)


def test_a_model_whose_files_disagree_is_refused(tmp_path):
    model = SequenceClassifier(**SMALL)
    model.fit(TEXTS, **{**QUICK, "epochs": 1})
    files = model.files
    for change, told in (
        ({"labels": ["a", "b", "c"]}, "3"),
        ({"labels": None}, "labels"),
        ({"inputs": {"subwords": ["abc"]}}, "n-grams"),
        ({"inputs": {"subwords": 3}}, "n-grams"),
        ({"inputs": None}, "words"),
    ):
        config = {**files.config, **change}
        save_model(tmp_path / "m", config=config, tensors=files.tensors, tokenizer=files.tokenizer)
        with pytest.raises(FormatError, match=told) as caught:
            recurra.load(tmp_path / "m")
        assert "\n" not in str(caught.value)
    config = {**files.config, "task": "language_model"}
    save_model(tmp_path / "m", config=config, tensors=files.tensors, tokenizer=files.tokenizer)
    with pytest.raises(FormatError, match="'language_model'"):
        SequenceClassifier.load(tmp_path / "m")


def test_an_untrained_one_says_so():
    model = SequenceClassifier()
    for ask in (lambda: model.predict("a"), lambda: model.evaluate(TEXTS), lambda: model.labels):
        with pytest.raises(InputError, match="not trained yet"):
            ask()
    assert repr(model) == "<SequenceClassifier: lstm, 1 × 128, not trained>"


def test_ordered_texts_are_as_promised():
    texts, labels = ordered(40)
    for text, other in zip(texts[::2], texts[1::2], strict=True):
        assert sorted(text.split()) == sorted(other.split())
        assert text != other
    assert labels == ["music", "sport"] * 20
