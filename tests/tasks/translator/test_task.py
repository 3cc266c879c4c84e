"""Translators: what they learn, what they may not see, and what a user gets of them."""

import json
import subprocess
import sys

import numpy as np
import pytest

import recurra
from recurra.errors import FormatError, InputError
from recurra.storage import read_model
from recurra.tasks.translator.data import Encoded, open_pairs, split_pairs
from recurra.tasks.translator.pairs import read_pairs
from recurra.tasks.translator.vocabulary import Vocabulary

LETTERS = {"source_tokenizer": "char", "target_tokenizer": "char"}
SMALL = {**LETTERS, "hidden": 48, "layers": 1, "decoder_layers": 2, "dropout": 0.0}
TRAINING = {"batch": 32, "lr": 0.01, "label_smoothing": 0.0, "progress": False}


def reversals(count=1500, seed=0):
    """Words and the same from their ends: the last letter of the target is the first one read."""
    random = np.random.default_rng(seed)
    words = ["".join(random.choice(list("abcdefgh"), random.integers(3, 8))) for _ in range(count)]
    return [(word, word[::-1]) for word in dict.fromkeys(words)]


@pytest.fixture(scope="module")
def trained():
    pairs = reversals(2500)
    model = recurra.Translator(**SMALL)
    model.fit(pairs[:-200], valid=pairs[-200:-100], epochs=4, **{**TRAINING, "lr": 0.005})
    return model, pairs[-100:]


def test_it_learns_what_needs_every_letter_in_its_place(trained):
    model, test = trained
    found = model.evaluate(test)
    assert found.wrong <= 0.1
    assert found.nats_per_token < 0.1
    assert (found.sources, found.references) == (100, 100)


def test_shuffled_targets_give_chance():
    pairs = reversals()
    targets = [target for _, target in pairs]
    np.random.default_rng(0).shuffle(targets)
    shuffled = list(zip([source for source, _ in pairs], targets, strict=True))
    model = recurra.Translator(**SMALL)
    model.fit(shuffled[:700], valid=pairs[-150:-100], epochs=3, **TRAINING)
    found = model.evaluate(pairs[-100:])
    assert found.wrong >= 0.95
    assert found.nats_per_token > 1.6  # a letter or the end by itself: about ln 8 of them


def test_beams_find_what_is_more_probable(trained):
    model, test = trained
    sources = [source for source, _ in test]
    greedy = model.predict(sources, beams=1, length_penalty=0)
    wide = model.predict(sources, beams=6, length_penalty=0)
    assert all(w.logprob >= g.logprob - 1e-4 for w, g in zip(wide, greedy, strict=True))
    best = model.predict(sources[0], beams=6, n_best=4)
    listed = [best, *best.others]
    assert [t.score for t in listed] == sorted((t.score for t in listed), reverse=True)
    assert len({t.text for t in listed}) == 4


def test_a_source_is_translated_alone_as_among_others(trained):
    model, test = trained
    sources = [source for source, _ in test[:20]]
    together = model.predict(sources, side_by_side=7)
    for source, one in zip(sources, together, strict=True):
        alone = model.predict(source)
        assert alone.text == one.text
        assert alone.score == pytest.approx(one.score, abs=1e-5)


def test_it_looks_where_the_letter_is(trained, tmp_path):
    model, test = trained
    right = count = 0
    for source, target in test[:30]:
        found = model.attention(source, target)
        assert found.source == tuple(source)
        assert found.target == (*target, "⏎")
        np.testing.assert_allclose(found.weights.sum(1), 1, atol=1e-5)
        places = found.weights[:-1].argmax(1)
        wanted = np.arange(len(source))[::-1]
        right, count = right + (abs(places - wanted) <= 1).sum(), count + len(source)
    assert right > 0.8 * count
    picture = found.plot(tmp_path / "attention.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    with pytest.raises(InputError, match="cannot be written"):
        found.plot(tmp_path / "none" / "attention.png")


def test_saved_and_loaded_without_torch(trained, tmp_path):
    model, test = trained
    path = model.save(tmp_path / "model")
    sources = [source for source, _ in test[:5]]
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import json, recurra\n"
        f"model = recurra.load({str(path)!r})\n"
        f"print(json.dumps([t.to_dict() for t in model.predict({sources!r}, n_best=2)]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert json.loads(done.stdout) == [t.to_dict() for t in model.predict(sources, n_best=2)]
    card = (path / "README.md").read_text(encoding="utf-8")
    assert "general attention over char tokens" in card
    assert recurra.load(path).evaluate(test) == model.evaluate(test)


def test_a_model_is_trained_further(trained, tmp_path):
    model, test = trained
    again = recurra.load(model.save(tmp_path / "model"))
    before = again.evaluate(test)
    again.fit(reversals(200, seed=5), valid=test, epochs=1, **{**TRAINING, "lr": 1e-4})
    assert again.evaluate(test).nats_per_token == pytest.approx(before.nats_per_token, rel=0.5)
    assert again.predict("abcd").score != model.predict("abcd").score


COPIES = {"source_tokenizer": "word", "target_tokenizer": "word", "min_count": 2, "copy": True}


def greetings(count, seed):
    """Names that nobody has heard before, to be said again."""
    random = np.random.default_rng(seed)
    names = ["".join(random.choice(list("klmnoprstu"), 6)) for _ in range(count)]
    forms = [("hello {}", "{} greets"), ("bye {} now", "now {} leaves"), ("{} hello", "{} greets")]
    return [
        (source.format(name), target.format(name))
        for k, name in enumerate(names)
        for source, target in [forms[k % 3]]
    ]


@pytest.mark.parametrize("attention", ["general", "additive"])
def test_unknown_words_are_copied(attention):
    model = recurra.Translator(**COPIES, attention=attention, hidden=32, layers=2, dropout=0.0)
    data = greetings(450, 0)
    model.fit(data, valid=greetings(30, 1), epochs=6, **TRAINING)
    test = greetings(60, 2)
    assert not any(set(s.split()) & {n for n, _ in data} for s, _ in test)
    assert model.evaluate(test).wrong <= 0.1
    plain = recurra.Translator(**{**COPIES, "copy": False}, hidden=32, layers=2, dropout=0.0)
    plain.fit(data, valid=greetings(30, 1), epochs=2, **TRAINING)
    assert plain.evaluate(test).wrong == 1  # it has no word for any of the names


def test_vocabularies_are_of_the_training_pairs_alone(tmp_path):
    """Letters that only held-out pairs have are unknown to the model."""
    train = [("abc", "xyz"), ("cab", "zyx"), ("bca", "yxz"), ("acb", "xzy")] * 4
    model = recurra.Translator(**SMALL)
    model.fit(train, valid=[("abq", "xyw")], epochs=1, out=tmp_path / "run", **TRAINING)
    layout = read_model(tmp_path / "run").tokenizer
    tokens = {side: set(layout[side]["model"]["vocab"]) for side in ("source", "target")}
    assert tokens["source"] == {"<unk>", "<eos>", *"abc"}
    assert tokens["target"] == {"<unk>", "<eos>", *"xyz"}
    # Also where the task itself holds them out: each source has a letter of its own.
    pairs = [(chr(0x4E00 + k), chr(0x5E00 + k)) for k in range(40)]
    model = recurra.Translator(**SMALL)
    model.fit(pairs, epochs=1, valid_share=0.25, **TRAINING)
    assert len(model.vocabulary.source) == len(model.vocabulary.target) == 2 + 30


def test_held_out_sources_keep_all_their_targets():
    pairs = open_pairs([(f"s{k // 3}", f"t{k}") for k in range(60)])
    train, valid = split_pairs(pairs, 0.2)
    assert (len(train), len(valid)) == (48, 12)
    assert not set(train.sources) & set(valid.sources)
    assert split_pairs(pairs, 0.2)[1].sources == valid.sources
    with pytest.raises(InputError, match="expected sources for training besides the 1 held out"):
        split_pairs(open_pairs([("a", "b")]), 0.2)


@pytest.mark.parametrize(
    ("kinds", "shared"),
    [
        (("bpe", "bpe"), False),
        (("bpe", "bpe"), True),
        (("byte", "byte"), True),
        (("char", "char"), True),
        (("char", "word"), False),
    ],
    ids=str,
)
def test_texts_come_back_from_their_tokens(kinds, shared):
    pairs = open_pairs([("Hello, world!", "Ça alors !"), ("a  b\u202f?", "<eos> ü <unk>")])
    config = recurra.Translator(
        source_tokenizer=kinds[0], target_tokenizer=kinds[1], shared=shared
    ).config
    words = Vocabulary.from_json(json.loads(json.dumps(Vocabulary.fit(pairs, config).to_json())))
    assert (words.source is words.target) == shared
    encoded = Encoded(pairs, words, copy=False)
    assert words.write(encoded.targets[0], "") == "Ça alors !"
    batch = encoded.batch(np.array([1, 0]))
    assert batch.count == sum(map(len, encoded.targets)) + 2
    for row, k in enumerate([1, 0]):
        size = len(encoded.targets[k])
        assert batch.targets[row, size] == words.end
        assert batch.inputs[row, 0] == words.end
        assert (batch.inputs[row, 1 : size + 1] == batch.targets[row, :size]).all()


def test_copies_have_numbers_beyond_the_vocabulary():
    words = Vocabulary.fit(
        open_pairs([("b a a b", "a b b a")]), recurra.Translator(**COPIES).config
    )
    V = len(words.target)
    copied, target = words.read_copy("q a p q <eos>", "p a r q q")
    a = words.target.id("a")
    assert copied.tolist() == [V, a, V + 1, V, V + 2]
    assert target.tolist() == [V + 1, a, words.target.unk_id, V, V]
    assert words.write([V, a, V + 2, V + 1], "q a p q <eos>") == "q a <eos> p"


def test_files_of_all_kinds(tmp_path):
    (tmp_path / "p.tsv").write_text("a\tx\nb\ty\n", encoding="utf-8")
    (tmp_path / "p.en").write_text("a\nb\n", encoding="utf-8")
    (tmp_path / "p.fr").write_text("x\ny\n", encoding="utf-8")
    one = open_pairs(tmp_path / "p.tsv")
    assert one.sources == open_pairs([str(tmp_path / "p.en"), str(tmp_path / "p.fr")]).sources
    assert len(open_pairs([tmp_path / "p.tsv", tmp_path / "p.tsv"])) == 4
    assert open_pairs(one) is one


def test_mistakes_are_told(trained, tmp_path):
    model, _ = trained
    with pytest.raises(InputError, match="beams must be a whole number at least 1"):
        model.predict("abc", beams=0)
    with pytest.raises(InputError, match=r"n_best must be at most beams \(2\)"):
        model.predict("abc", beams=2, n_best=3)
    with pytest.raises(InputError, match="did you mean beams"):
        model.predict("abc", beam=2)
    with pytest.raises(InputError, match="source 1: expected a text, received the text ' '"):
        model.predict(["abc", " "])
    with pytest.raises(InputError, match="expected a target, received nothing"):
        model.attention("abc", "")
    with pytest.raises(InputError, match="not trained yet"):
        recurra.Translator().predict("abc")
    with pytest.raises(InputError, match="attention dot"):
        recurra.Translator(attention="dot")
    with pytest.raises(InputError, match="cannot be copied"):
        recurra.Translator(source_tokenizer="char", target_tokenizer="word", copy=True)
    with pytest.raises(InputError, match="one kind of tokenizer"):
        recurra.Translator(source_tokenizer="char", target_tokenizer="word", shared=True)
    with pytest.raises(InputError, match="metric must be one of"):
        recurra.Translator(**SMALL).fit([("a", "b")] * 9, metric="wer", **TRAINING)
    with pytest.raises(InputError, match="max_length=1: expected pairs that are as short"):
        recurra.Translator(**SMALL).fit(
            [("abc", "b"), ("abd", "c")], valid=[("a", "b")], max_length=1, **TRAINING
        )
    path = model.save(tmp_path / "model")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "task": "language_model"}))
    with pytest.raises(FormatError, match="expected a translator"):
        recurra.Translator.from_files(read_model(path, verify=False))


def test_spelling_to_sound(data_dir):
    """A slice of a real dictionary, on which a model that ignores the spelling errs in 8 of 10."""
    folder = data_dir / "cmudict"
    if not folder.is_dir():
        pytest.skip("no cmudict")
    train, valid = (read_pairs(folder / f"g2p.{part}.tsv.gz") for part in ("train", "valid"))
    short = [
        (word, "".join(c for c in sound if not c.isdigit()))
        for pairs in (train, valid)
        for word, sound in zip(pairs.sources, pairs.targets, strict=True)
        if word.isalpha() and len(word) <= 6
    ]
    model = recurra.Translator(
        source_tokenizer="char", target_tokenizer="word", tied=False, hidden=64, dropout=0.0
    )
    train, test = short[: len(train)][::7], short[-400::2]
    model.fit(train, valid=train[:50], epochs=3, **TRAINING)
    assert model.evaluate(test).error_rate < 0.45
    # Held to the sounds of other words it errs as a model that ignores the spelling does.
    others = [(word, test[(k + 100) % 200][1]) for k, (word, _) in enumerate(test)]
    assert model.evaluate(others).error_rate > 0.75
