"""What a classifier must learn, must not learn, and must not see; real data, and bad data."""

import csv
import json

import numpy as np
import pytest

import recurra
from recurra import SequenceClassifier
from recurra.baselines.classifier.bag_of_words import BagOfWords
from recurra.cli import main
from recurra.errors import InputError
from tasks.classified import QUICK, SMALL, digits, ordered, reviews, slopes, split

#: Little noise, for data whose rule is exact.
EXACT = {"hidden": 24, "embedding": 24, "dropout": 0.0, "token_dropout": 0.0,
         "embedding_dropout": 0.0}  # fmt: skip


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_what_order_says_is_learnt_and_a_bag_of_words_cannot(cell):
    train, test = ordered(400), ordered(200, seed=1)
    model = SequenceClassifier(cell=cell, **EXACT)
    model.fit(train, epochs=6, batch=16, lr=1e-2, progress=False)
    assert model.evaluate(test).accuracy > 0.97
    rival = BagOfWords(weighting="tfidf", ngrams=1)
    rival.fit(train)
    assert rival.evaluate(test).accuracy == 0.5  # it says the same of both texts of a pair


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_the_direction_of_a_sequence_of_numbers_is_learnt(pooling):
    model = SequenceClassifier(inputs="numbers", pooling=pooling, hidden=16, dropout=0.0)
    model.fit(slopes(300), epochs=8, batch=16, lr=1e-2, progress=False)
    assert model.evaluate(slopes(200, seed=1)).accuracy > 0.95


def test_shuffled_labels_give_chance():
    texts, labels = reviews(500)
    random = np.random.default_rng(3)
    model = SequenceClassifier(**EXACT)
    model.fit((texts, list(random.permutation(labels))), **{**QUICK, "epochs": 6})
    found = model.evaluate(reviews(600, seed=1)).accuracy
    assert abs(found - 0.5) < 0.08
    model = SequenceClassifier(**EXACT)
    model.fit((texts, labels), **{**QUICK, "epochs": 6})
    assert model.evaluate(reviews(600, seed=1)).accuracy > 0.95


@pytest.mark.parametrize("tokenizer", ["word", "char"])
def test_nothing_is_learnt_of_texts_that_are_held_out(tokenizer):
    """Not their words, not their n-grams, not their signs, not their labels' order."""
    train, held = reviews(100), (["ẞpecial outlier wörd"] * 20, ["good"] * 20)
    models = []
    for valid in (held, reviews(20, seed=9)):
        model = SequenceClassifier(**SMALL, tokenizer=tokenizer)
        model.fit(train, valid=valid, **{**QUICK, "steps": 6, "epochs": None, "eval_every": 6})
        models.append(model)
    reader = models[0]._reader
    known = {reader.tokenizer.token(k) for k in range(len(reader.tokenizer))}
    assert not known & {"outlier", "wörd", "ẞ", "ö"}
    if tokenizer == "word":
        assert not [gram for gram in reader.subwords.grams if "utl" in gram or "ö" in gram]
    for name, tensor in models[0].files.tensors.items():
        assert (tensor == models[1].files.tensors[name]).all(), name


def test_scales_are_those_of_the_training_sequences_alone():
    train, (arrays, labels) = slopes(60), slopes(20, seed=2)
    far = [array + 1e4 for array in arrays]
    model = SequenceClassifier(inputs="numbers", hidden=8)
    model.fit(train, valid=(far, labels), **{**QUICK, "epochs": 1})
    steps = np.concatenate(train[0]).astype(np.float64)
    np.testing.assert_allclose(model._reader.mean, steps.mean(0), rtol=1e-5)
    np.testing.assert_allclose(model._reader.deviation, steps.std(0), rtol=1e-5)


def test_missing_numbers_become_what_was_chosen():
    arrays, labels = slopes(60)
    mean = np.concatenate(arrays).mean(0)
    gap = arrays[0].copy()
    gap[2, 1] = gap[0, 0] = np.nan
    filled = {"mean": gap.copy(), "last": gap.copy()}
    filled["mean"][2, 1], filled["mean"][0, 0] = mean[1], mean[0]
    filled["last"][2, 1], filled["last"][0, 0] = gap[1, 1], mean[0]  # nothing before it
    for rule in ("mean", "last", "error"):
        model = SequenceClassifier(inputs="numbers", hidden=8, missing=rule)
        model.fit((arrays, labels), valid=(arrays, labels), **{**QUICK, "epochs": 1})
        if rule == "error":
            with pytest.raises(InputError, match="example 0: step 1 has no value of feature 1"):
                model.predict([gap])
        else:
            found, expected = model.predict_proba([gap]), model.predict_proba([filled[rule]])
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_labels_that_training_did_not_have():
    model = SequenceClassifier(**SMALL)
    told = r"example 1: the label 'ugly' was not in the training data, which had 'bad', 'good'"
    held = (["fine", "dull"], ["good", "ugly"])
    with pytest.raises(InputError, match=told):
        model.fit(reviews(40), valid=held, **QUICK)
    model.fit(reviews(40), **{**QUICK, "epochs": 1})
    with pytest.raises(InputError, match=told):
        model.evaluate(held)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ((["a", "b"], ["x", "x"]), "at least two labels, received one class only: 'x'"),
        ((["a", "b"], ["x", "y"]), "no label has two"),
        (([], []), "received none"),
        ((["", "  ", "", ""], ["x", "y", "x", "y"]), "empty"),
        (([np.zeros((2, 1))] * 4, ["x", "y", "x", "y"]), "example 0: expected a text"),
        (3, "or a pair"),
        ("no such file.csv", "no such file"),
    ],
)
def test_data_that_cannot_be_used(data, told, tmp_path):
    with pytest.raises(InputError, match=told) as caught:
        SequenceClassifier(**SMALL).fit(data, out=tmp_path / "run", **QUICK)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "best").exists()


def test_messages_are_told_apart(data_dir):
    """A tenth of the messages; guessing the usual label gets 0.87 and a macro-F1 of 0.46."""
    lines = (data_dir / "sms-spam" / "train.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t", 1) for line in lines[:900]]
    texts, labels = [text for _, text in rows], [label for label, _ in rows]
    train, test = split(texts, labels, 300, seed=0)
    model = SequenceClassifier(cell="gru", hidden=32, embedding=32, lowercase=True)
    model.fit(train, epochs=5, batch=16, goal="macro_f1", class_weights="balanced",
              lr=5e-3, progress=False)  # fmt: skip
    found = model.evaluate(test)
    assert found.accuracy > 0.95
    assert found.macro_f1 > 0.9
    assert model.predict("WINNER!! Claim your free prize now, call 09061701461") == "spam"
    assert model.predict("ok see you at home then") == "ham"


def test_digits_are_read_row_by_row(data_dir):
    train, test = split(*digits(data_dir), 360, seed=0)
    model = SequenceClassifier(inputs="numbers", cell="gru", hidden=48, dropout=0.2)
    model.fit(train, epochs=6, lr=1e-2, progress=False)
    assert model.evaluate(test).accuracy > 0.93


def test_the_command_line(tmp_path, capsys, monkeypatch):
    for name, (texts, labels) in (("train", reviews(120)), ("new", reviews(30, seed=1))):
        with open(tmp_path / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("sentiment", "review"), *zip(labels, texts, strict=True)])
    columns = ["--label-column", "sentiment", "--input-column", "review"]
    options = [
        "--hidden",
        "16",
        "--embedding",
        "16",
        "--epochs",
        "6",
        "--batch",
        "8",
        "--lr",
        "0.01",
    ]
    run = str(tmp_path / "run")
    train = ["train", "classify", str(tmp_path / "train.csv"), "--out", run, *columns, *options]
    assert main([*train, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["accuracy"] > 0.7
    assert main(["evaluate", run, str(tmp_path / "new.csv"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == recurra.load(run).evaluate(tmp_path / "new.csv").to_dict()
    assert main(["evaluate", run, str(tmp_path / "new.csv")]) == 0
    assert capsys.readouterr().out.startswith(f"accuracy {told['accuracy']:.4f}")
    assert main(["predict", run, str(tmp_path / "new.csv"), "--probabilities", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    model = recurra.load(run)
    assert [row["label"] for row in rows] == model.predict(reviews(30, seed=1)[0])
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in rows)
    assert main(["predict", run, str(tmp_path / "new.csv")]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"{rows[0]['label']}\t{rows[0]['probability']:.4f}"
    # another file without labels, with other names
    (tmp_path / "plain.tsv").write_text("id\ttext\n1\tfine\n2\t\n3\tawful\n", encoding="utf-8")
    asked = ["predict", run, str(tmp_path / "plain.tsv"), "--input-column", "text"]
    assert main(asked) == 2
    assert "plain.tsv, line 3: no value in the column 'text'" in capsys.readouterr().err
    assert main([*asked, "--skip-bad"]) == 0
    shown = capsys.readouterr()
    answers = shown.out.splitlines()
    assert [bool(answer) for answer in answers] == [True, False, True]  # a line for each row
    assert "left out 1 of 3 rows: " in shown.err
    assert "plain.tsv, line 3: no value in the column 'text'" in shown.err
    # lines of text, from a file and from standard input
    (tmp_path / "lines.txt").write_text("a fine day\n\nawful\n", encoding="utf-8")
    assert main(["predict", run, str(tmp_path / "lines.txt")]) == 0
    shown = capsys.readouterr().out
    told = [line.split("\t")[0] for line in shown.splitlines()]
    assert told == model.predict(["a fine day", "", "awful"])
    with open(tmp_path / "lines.txt", encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        assert main(["predict", run, "-"]) == 0
    assert capsys.readouterr().out == shown
