"""`recurra train|evaluate|predict` of a tagger, and `compare`."""

import json

import pytest

from recurra import SequenceTagger
from recurra.tasks.tagger.conll import read_tagged
from tasks.tagged import columns, places

SMALL = ["--hidden", 12, "--embedding", 8, "--characters", 6, "--character-hidden", 6]
SMALL += ["--layers", 1, "--batch", 8, "--lr", 0.02, "--steps", 20]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tagged")
    for name, count, seed in (("train", 60, 0), ("dev", 10, 1), ("test", 10, 2)):
        (path / f"{name}.conll").write_text(columns(places(count, seed=seed)))
    return path


@pytest.fixture(scope="module")
def run(folder):
    from recurra.cli import main

    words = ["train", "tag", folder / "train.conll", "--valid", folder / "dev.conll"]
    words += ["--out", folder / "run", "--json", *SMALL]
    assert main([str(word) for word in words]) == 0
    return folder / "run"


def test_train_evaluate_predict(recurra, folder, run):
    test = folder / "test.conll"
    found = json.loads(recurra("evaluate", run, test, "--json").out)
    model = SequenceTagger.load(run)
    assert found == model.evaluate(test).to_dict()
    assert {"accuracy", "f1"} <= set(found)
    swapped = folder / "swapped.conll"
    rows = (line.split() for line in test.read_text().splitlines())
    swapped.write_text("".join("\t".join(row[::-1]) + "\n" for row in rows))
    words = ("--word-column", 2, "--tag-column", 1, "--json")
    assert json.loads(recurra("evaluate", run, swapped, *words).out) == found
    done = recurra("predict", run, test)
    assert (done.code, done.err) == (0, "")
    given = test.read_text()
    tags = model.predict([s.words for s in read_tagged(test).sentences])
    assert done.out == columns_with(given, [tag for row in tags for tag in row])
    rows = recurra("predict", run, test, "--json", "--n-best", 2, "--probabilities").out
    told = [json.loads(row) for row in rows.splitlines()]
    assert [row["tags"] for row in told] == tags
    assert {len(row["n_best"]) for row in told} == {2}


def columns_with(text, tags):
    """A file of columns with one more."""
    new = iter(tags)
    return "".join(f"{line}\t{next(new)}\n" if line else "\n" for line in text.splitlines())


def test_what_is_wrong_is_one_line(recurra, folder, run):
    bad = folder / "bad.conll"
    bad.write_text("a\tO\n\nb\n\nc\tO\n")
    done = recurra("evaluate", run, bad)
    assert done.code == 2
    assert f"{bad}:3: expected 2 columns, as in line 1, received 1" in done.err
    assert done.err.count("\n") == 1
    done = recurra("predict", run, bad, "--skip-bad")
    assert done.code == 0
    assert [line.split("\t")[:2] for line in done.out.splitlines()] == [
        ["a", "O"], [""], ["b"], [""], ["c", "O"],
    ]  # fmt: skip
    done = recurra("train", "tag", folder / "none.conll", "--out", folder / "other")
    assert done.code == 2
    assert "none.conll: no such file" in done.err
    assert not (folder / "other").exists()
