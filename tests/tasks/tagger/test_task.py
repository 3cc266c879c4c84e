"""The tagger as a user meets it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import recurra
from recurra import SequenceTagger
from recurra.errors import FormatError, InputError
from recurra.storage import read_model
from recurra.tasks.tagger.conll import read_tagged
from recurra.tasks.tagger.data import hold_out, prepare, read
from recurra.tasks.tagger.scheme import allowed_steps, find_scheme
from recurra.tasks.tagger.settings import TaggerData, TaggerOptions
from recurra.tasks.tagger.viterbi import Chain
from tasks.tagged import QUICK, TINY, columns, grammar, places

TRAIN, VALID, TEST = (grammar(n, seed=s) for n, s in ((120, 0), (20, 1), (40, 2)))


@pytest.fixture(scope="module")
def tagger():
    model = SequenceTagger(**TINY)
    model.fit(TRAIN, valid=VALID, **QUICK)
    return model


@pytest.fixture(scope="module")
def finder():
    model = SequenceTagger(**TINY, cell="gru")
    model.fit(places(120, seed=3), valid=places(20, seed=4), **QUICK)
    return model


def test_it_learns_what_words_their_spelling_and_their_neighbours_say(tagger):
    found = tagger.evaluate(TEST)
    assert found.accuracy > 0.97
    assert found.unknown_accuracy > 0.97  # names, each of which is new
    assert found.entities is None
    assert tagger.predict(["the", "walk"]) == ["DET", "NOUN"]
    assert tagger.predict([["to", "walk"], []]) == [["PART", "VERB"], []]


def test_shuffled_tags_give_chance():
    rng = np.random.default_rng(0)
    every = [tag for _, tags in TRAIN for tag in tags]
    mixed = [(words, [str(t) for t in rng.choice(every, len(words))]) for words, _ in TRAIN]
    model = SequenceTagger(**TINY)
    model.fit(mixed, valid=VALID, **{**QUICK, "goal": "loss"})
    most_frequent = max(every.count(tag) for tag in set(every)) / len(every)
    assert model.evaluate(TEST).accuracy < most_frequent + 0.15


def test_entities_are_found_by_a_chain_that_keeps_to_their_scheme(finder):
    assert finder.files.config["scheme"] == "BIO"
    found = finder.evaluate(places(40, seed=5))
    assert found.entities.overall.f1 > 0.9
    assert set(found.entities.types) == {"PLACE", "PERSON"}
    assert set(found.to_dict()) >= {"accuracy", "precision", "recall", "f1", "macro_f1", "types"}
    assert "PLACE" in str(found)
    noise = [["in", "with", "Xyz", "in", "we"] * 3, ["Abc"] * 9]
    for taggings in finder.predict_n_best(noise, 50):
        for one in taggings:
            assert find_scheme([one.tags, ["B-PLACE"]]) == "BIO"


def test_a_cost_of_what_is_missed_finds_more():
    """Of names whose half is no entity in training, whatever stands beside them."""
    rng = np.random.default_rng(0)
    data = [(["we", "Abc"], ["O", str(rng.choice(["O", "O", "B-x"]))]) for _ in range(120)]
    found = []
    for cost in (0.0, 3.0):
        model = SequenceTagger(**TINY)
        model.fit(data[:100], valid=data[100:], recall_cost=cost, **QUICK)
        found.append(model.predict(["we", "Abc"]))
    assert found == [["O", "O"], ["O", "B-x"]]


def test_n_best_and_probabilities_belong_together(finder):
    sentence = ["in", "Abc", "with"]
    (best,) = finder.predict_n_best([sentence], 3)
    assert list(best[0].tags) == finder.predict(sentence)
    assert 0 >= best[0].log_probability > best[1].log_probability > best[2].log_probability
    everything = finder.predict_n_best([sentence], 10_000)[0]
    assert sum(np.exp(one.log_probability) for one in everything) == pytest.approx(1)
    (marginals,) = finder.predict_proba([sentence])
    expected = np.zeros_like(marginals)
    for one in everything:
        for t, tag in enumerate(one.tags):
            expected[t, finder.tags.index(tag)] += np.exp(one.log_probability)
    np.testing.assert_allclose(marginals, expected, atol=1e-9)


def test_features_tell_a_tag_from_the_words_beside(tmp_path):
    """Layers that are of no use: what is known is known by features, up to two words away."""
    rng = np.random.default_rng(0)
    letters = [*"abcdefgh"]

    def told(count):
        """A word is X where the one two before it has a capital; no word comes twice."""
        found = []
        for _ in range(count):
            words = ["".join(rng.choice(letters, 6)) for _ in range(8)]
            words = [word.title() if rng.random() < 0.3 else word for word in words]
            tags = ["X" if t > 1 and words[t - 2].istitle() else "Y" for t in range(8)]
            found.append((words, tags))
        return found

    train, test = told(100), told(40)
    blind = {"characters": 0, "embedding": 1, "min_count": 9, "hidden": 1, "layers": 1}
    figures = {}
    for window in (None, 1, 2):
        how = {"features": window is not None, "feature_window": window or 0}
        model = SequenceTagger(**blind, **how)
        model.fit(train, valid=test, **{**QUICK, "lr": 0.05})
        figures[window] = model.evaluate(test).accuracy
    assert figures[2] > 0.95
    assert max(figures[None], figures[1]) < 0.85
    loaded = recurra.load(model.save(tmp_path / "model"))
    sentences = [words for words, _ in test]
    assert loaded.predict(sentences) == model.predict(sentences)
    with pytest.raises(InputError, match="features: none is true of 9999 words"):
        SequenceTagger(**TINY, features=True, feature_count=9999).fit(train, **QUICK)


VARIANTS = {
    "lstm": {"cell": "lstm", "subwords": 6},
    "crf": {"crf": True, "cell": "gru"},
    "characters alone": {"embedding": 0, "cell": "rnn"},
    "n-grams alone": {"embedding": 0, "subwords": 7, "gram_count": 1, "characters": 0},
    "words alone": {"characters": 0, "lowercase": False, "min_count": 3},
    "committee": {"members": 3, "crf": True},
    "features": {"features": True, "feature_window": 1, "feature_count": 1},
    "features of more": {"features": True, "members": 2, "crf": True, "bidirectional": False},
    "deep": {"layers": 2, "residual": True, "zoneout": 0.1, "learn_initial_state": True},
    "one direction": {"bidirectional": False, "layer_norm": True},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_what_runs_without_torch_is_what_was_trained(name, tmp_path):
    model = SequenceTagger(**{**TINY, **VARIANTS[name]})
    model.fit(TRAIN[:20], valid=VALID[:5], **{**QUICK, "epochs": 1})
    from recurra.tasks.tagger.training import build

    prepared = prepare(TRAIN[:20], VALID[:5], model.config, TaggerData(), seed=0, files=model.files)
    module = build(model.config, prepared, 1)
    tensors = {n: torch.from_numpy(np.array(v)) for n, v in model.files.tensors.items()}
    module.load_state_dict(tensors)
    module.eval()
    sentences = [words for words, _ in TEST[:7]] + [["a" * 50]]
    batch = prepared.forms.batch([prepared.forms.encode(words) for words in sentences])
    words, places, *bags, lengths = (
        torch.from_numpy(part) if isinstance(part, np.ndarray) else part for part in batch
    )
    groups, grams, features = bags
    with torch.no_grad():
        expected = module(
            words,
            places,
            [tuple(map(torch.from_numpy, group)) for group in groups],
            tuple(map(torch.from_numpy, grams)),
            tuple(map(torch.from_numpy, features)),
            lengths,
        )
        expected = expected.mean(0) if expected.dim() == 4 else expected
    found = model._emissions(sentences)
    for column, (words, scores) in enumerate(zip(sentences, found, strict=True)):
        wanted = expected[: len(words), column].numpy()
        np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-5)
        (alone,) = model._emissions([words])
        np.testing.assert_array_equal(alone, scores)  # to the bit, whatever it is read with
    loaded = recurra.load(model.save(tmp_path / "model"))
    assert loaded.predict(sentences) == model.predict(sentences)
    assert isinstance(loaded, SequenceTagger)


def test_the_best_model_is_the_one_with_the_best_figure_of_its_own(tmp_path):
    model = SequenceTagger(**TINY)
    model.fit(TRAIN[:40], valid=VALID, out=tmp_path / "run", **{**QUICK, "eval_every": 5})
    result = model.fit_result_
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    figures = [row["valid_accuracy"] for row in rows if "valid_accuracy" in row]
    assert result.best["accuracy"] == max(figures)
    assert model.evaluate(VALID).accuracy == pytest.approx(max(figures))


def test_nothing_is_learnt_from_data_that_are_held_out():
    """Words, characters and tags of validation are unknown to a model that never trained on them,
    and what it predicts does not depend on them."""
    odd = [(["Zz", "the", "ß"], ["ODD", "DET", "PUNCT"])]
    model = SequenceTagger(**TINY)
    model.fit(TRAIN[:30], valid=[*VALID[:5], *odd], **{**QUICK, "steps": 4, "epochs": None})
    other = SequenceTagger(**TINY)
    other.fit(TRAIN[:30], valid=VALID[5:], **{**QUICK, "steps": 4, "epochs": None})
    vocabulary = model.files.tokenizer
    assert "zz" not in vocabulary["words"]
    assert not {"Z", "ß"} & set(vocabulary["characters"])
    assert "ODD" not in model.tags
    assert vocabulary == other.files.tokenizer
    assert model.tags == other.tags
    train, held_out = hold_out(read(TRAIN, TaggerData()), 0.25, seed=3)
    assert len(train) == 90
    assert len(held_out) == 30
    prepared = prepare(TRAIN, None, model.config, TaggerData(), seed=3, files=None)
    kept, _ = hold_out(read(TRAIN, TaggerData()), 0.1, seed=3)
    assert set(prepared.vocabulary.words) - {"<unk>"} == {w.lower() for r in kept.words for w in r}


def test_it_trains_further_with_what_it_knows(tagger, tmp_path):
    model = SequenceTagger.load(tagger.save(tmp_path / "model"))
    before = model.evaluate(TEST).accuracy
    model.fit(grammar(40, seed=9), valid=VALID, **{**QUICK, "epochs": 2, "lr": 0.001})
    assert model.files.tokenizer == tagger.files.tokenizer
    assert model.evaluate(TEST).accuracy > before - 0.02
    with pytest.raises(InputError, match="the tags 'NEW' are new to the model, which has"):
        model.fit([(["a"], ["NEW"])], valid=VALID, **QUICK)


def test_a_run_resumes_bit_by_bit(tmp_path):
    settings = {**QUICK, "epochs": None, "steps": 8, "checkpoint_every": 0}
    whole = SequenceTagger(**TINY)
    whole.fit(TRAIN[:40], valid=VALID, out=tmp_path / "whole", **settings)
    parted = SequenceTagger(**TINY)
    stop = {"count": 0}

    class Stop:
        def __getattr__(self, name):
            return lambda *_: None

        def on_step(self, event):
            stop["count"] += 1
            if stop["count"] == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parted.fit(TRAIN[:40], valid=VALID, out=tmp_path / "parted", callbacks=[Stop()], **settings)
    parted.fit(TRAIN[:40], valid=VALID, out=tmp_path / "parted", **settings)
    for name, value in whole.files.tensors.items():
        np.testing.assert_array_equal(value, parted.files.tensors[name], err_msg=name)


@pytest.mark.parametrize(
    ("sentences", "scheme"),
    [
        ([["B-a", "I-a", "O"]], "BIO"),
        ([["I-a", "I-a", "B-a", "O"]], "IOB1"),
        ([["I-a", "O"]], "IOB1"),
        ([["B-a", "E-a", "S-b"]], "IOBES"),
        ([["B-a", "E-b"]], None),
        ([["O", "B-b", "I-a"], ["O", "B-a"]], None),
        ([["NOUN", "O"]], None),
        ([["O"]], None),
    ],
)
def test_the_scheme_is_found_from_the_tags(sentences, scheme):
    assert find_scheme(sentences) == scheme


@pytest.mark.parametrize("scheme", ["BIO", "IOB1", "IOBES"])
def test_what_is_allowed_is_what_a_scheme_can_write(scheme):
    """All ways to write short sentences of entities, and nothing else."""
    tags = ["B-a", "B-b", "I-a", "I-b", "O"] + ["E-a", "E-b", "S-a", "S-b"] * (scheme == "IOBES")
    allowed = allowed_steps(tags, scheme)
    edge = len(tags)
    step = np.where(allowed, 0.0, -np.inf)
    chain = Chain(step[edge, :edge], step[:edge, :edge], step[:edge, edge + 1])
    paths = chain.n_best(np.zeros((4, edge)), 10_000)
    found = {tuple(tags[y] for y in path.tags) for path in paths}

    def write(size, before=None):
        if size == 0:
            yield ()
            return
        yield from (("O", *rest) for rest in write(size - 1))
        for kind in "ab":
            for length in range(1, size + 1):
                if scheme == "BIO":
                    one = (f"B-{kind}", *[f"I-{kind}"] * (length - 1))
                elif scheme == "IOB1":
                    first = "B" if before == kind else "I"
                    one = (f"{first}-{kind}", *[f"I-{kind}"] * (length - 1))
                else:
                    inside = [f"I-{kind}"] * (length - 2)
                    one = (f"S-{kind}",) if length == 1 else (f"B-{kind}", *inside, f"E-{kind}")
                yield from ((*one, *rest) for rest in write(size - length, kind))

    assert found == set(write(4))


def test_files_are_tagged_in_their_own_columns(finder, tmp_path):
    test = places(3, seed=6)
    path = tmp_path / "test.conll"
    path.write_text(columns(test))
    tags = finder.predict([words for words, _ in test])
    rows = list(finder.predict_file(path, TaggerOptions()))
    text = "".join(f"{row}\n" for row in rows)
    back = tmp_path / "back.conll"
    back.write_text(text)
    assert [list(s.tags) for s in read_tagged(back).sentences] == tags
    assert read_tagged(back, tag_column=2).sentences == read_tagged(path).sentences
    (first, *_) = finder.predict_file(path, TaggerOptions(n_best=2, probabilities=True))
    told = first.to_dict()
    assert told["n_best"][0]["tags"] == told["tags"] == tags[0]
    assert len(told["probabilities"]) == len(told["words"])
    json.dumps(told)


@pytest.mark.parametrize(
    ("data", "settings", "told"),
    [
        ([], {}, "data: expected tagged sentences, received none"),
        ([(["a", "b"], ["X"])], {}, "sentence 1: expected a tag for each of 2 words, received 1"),
        ([(["a"], ["X"]), (["a", ""], ["X", "X"])], {}, "sentence 2: expected words, received ''"),
        ([("ab", ["X", "Y"])], {}, "sentence 1: expected a list of words, received a text"),
        ([3], {}, "sentence 1: expected a pair of words and tags, received int"),
        ([(["a"], ["X"])], {}, "expected at least two sentences, received 1"),
        ([(["a"], ["X"])] * 4, {}, "expected at least two tags, received 'X' only"),
        (TRAIN, {"btach": 3}, "did you mean batch?"),
        (TRAIN, {"batch": 0, "goal": "bleu"}, "batch must be a whole number at least 1"),
        (TRAIN, {"tag_column": "pos"}, "tag_column must be"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(data, settings, told):
    with pytest.raises(InputError) as error:
        SequenceTagger(**TINY).fit(data, progress=False, **settings)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda m: m.predict("the walk"), "expected lists of words, received a text: split it"),
        (lambda m: m.predict([["a"], "the walk"]), "sentence 2: expected a list of words"),
        (lambda m: m.predict([["a", 3]]), "sentence 1: expected words, received 3"),
        (lambda m: m.predict_n_best([["a"]], 0), "n: expected a number from 1 on, received 0"),
        (lambda m: SequenceTagger().predict([["a"]]), "this sequence tagger is not trained yet"),
        (
            lambda m: SequenceTagger(embedding=0, characters=0),
            "there is nothing to read",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(tagger, call, told):
    with pytest.raises(InputError) as error:
        call(tagger)
    assert told in str(error.value)


def test_files_that_do_not_belong_together_are_refused(tagger, tmp_path):
    files = read_model(tagger.save(tmp_path / "model"))
    files.config["tags"] = files.config["tags"][:-1]
    with pytest.raises(FormatError, match=r"head\.weight: expected shape"):
        SequenceTagger.from_files(files)
    files = read_model(tmp_path / "model")
    files.tokenizer["words"] = files.tokenizer["words"][:-1]
    with pytest.raises(FormatError, match="features and tags, the other files have"):
        SequenceTagger.from_files(files)
    files = read_model(tmp_path / "model")
    tags = len(files.config["tags"])
    for shape, told in (((3, 2 * tags), "at an odd number of words"), ((3, tags), "features and")):
        files.tensors["features.weight"] = np.zeros(shape, np.float32)
        with pytest.raises(FormatError, match=told):
            SequenceTagger.from_files(files)


WITHOUT_TORCH = """
import json, sys
sys.modules.update(dict.fromkeys(["torch", "rich", "matplotlib"]))
import recurra
model = recurra.load(sys.argv[1])
print(json.dumps(model.predict([["the", "walk", "Abc"]])))
"""


def test_it_runs_without_torch(tagger, tmp_path):
    path = tagger.save(tmp_path / "model")
    command = [sys.executable, "-W", "error", "-c", WITHOUT_TORCH, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == tagger.predict([["the", "walk", "Abc"]])
