"""Comparisons: who takes part, what is measured, what is drawn."""

import inspect
import json
import re

import pytest

from recurra.baselines import Budget, compare
from recurra.baselines.catalog import CONTESTS, find
from recurra.baselines.protocol import Contender
from recurra.cells import BUILT_IN
from recurra.cli import main
from recurra.errors import InputError
from tasks.classified import SMALL, ordered, reviews, slopes

HOW = {**SMALL, "epochs": 3, "batch": 16, "lr": 1e-2, "dropout": 0.0, "token_dropout": 0.0,
       "embedding_dropout": 0.2}  # fmt: skip


@pytest.fixture(scope="module")
def compared():
    lines = []
    models = ["tfidf", "gru", "transformer", "bag-of-words"]
    found = compare(
        "classify", reviews(240), test=reviews(60, seed=1), models=models, told=lines.append, **HOW
    )
    return found, lines


def test_each_model_is_measured(compared):
    found, lines = compared
    assert lines == ["gru", "tfidf", "transformer", "bag-of-words"]  # the recurrent one sets limits
    assert {r.model for r in found.results} == set(lines)
    accuracies = [r.figures["accuracy"] for r in found.results]
    assert accuracies == sorted(accuracies, reverse=True)
    # How far the Transformer gets in the GRU's time, a busy machine decides too.
    assert min(r.figures["accuracy"] for r in found.results if r.model != "transformer") > 0.8
    for result in found.results:
        assert result.seconds > 0
        assert 0 < result.latency < 1
        assert result.size > 1000
    own, rival = found["gru"], found["transformer"]
    assert abs(rival.parameters / own.parameters - 1) < 0.1
    assert own.size > 4 * own.parameters
    assert found["tfidf"].parameters > found["bag-of-words"].parameters


def test_the_table_and_the_plot(compared, tmp_path):
    found, _ = compared
    head, *rows = str(found).splitlines()
    columns = ["model", "accuracy", "macro F1", "parameters", "training s", "latency ms", "size kB"]
    assert re.split(r"  +", head.lower()) == [name.lower() for name in columns]
    assert [row.split()[0] for row in rows] == [r.model for r in found.results]
    assert f"{found['gru'].parameters:,}" in str(found)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["metric"] == "accuracy"
    assert told["models"][0]["model"] == found.results[0].model
    path = found.plot(tmp_path / "plot.png")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert path.stat().st_size > 5000


def test_order_is_what_a_bag_of_words_lacks():
    found = compare(
        "classify", ordered(300), test=ordered(100, seed=1), models=["gru", "bag-of-words"],
        **{**HOW, "epochs": 6, "embedding_dropout": 0.0},
    )  # fmt: skip
    assert [r.model for r in found.results] == ["gru", "bag-of-words"]
    assert found["gru"].figures["accuracy"] > 0.95
    assert found["bag-of-words"].figures["accuracy"] == 0.5


def test_numbers_have_rivals_too():
    found = compare(
        "classify", slopes(200), test=slopes(60, seed=1), models=["rnn", "transformer"],
        inputs="numbers", hidden=16, epochs=4, lr=1e-2, dropout=0.0,
    )  # fmt: skip
    assert found["rnn"].figures["accuracy"] > 0.9
    with pytest.raises(InputError, match="expected a text"):
        compare("classify", slopes(20), test=slopes(20), models=["bag-of-words"])


def test_the_command_line(tmp_path, capsys):
    for name, (texts, labels) in (("train", reviews(100)), ("test", reviews(40, seed=1))):
        lines = [f"{label}\t{text}" for label, text in zip(labels, texts, strict=True)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    words = ["compare", "classify", str(tmp_path / "train.tsv"), "--columns", "label,text"]
    words += ["--test", str(tmp_path / "test.tsv"), "--out", str(tmp_path / "out")]
    words += ["--hidden", "8", "--embedding", "8", "--epochs", "1", "--seed", "3"]
    assert main([*words, "--models", "rnn,bag-of-words", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["model"] for row in told["models"]} == {"rnn", "bag-of-words"}
    assert json.loads((tmp_path / "out" / "compare.json").read_text()) == told
    assert (tmp_path / "out" / "compare.png").exists()
    assert main([*words, "--models", "tfidf"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1].startswith("tfidf")
    assert shown.err == "training tfidf …\n"
    assert main([*words, "--models", "svm"]) == 2
    assert "received svm" in capsys.readouterr().err


def test_every_rival_of_the_catalog_is_there():
    for contest in CONTESTS.values():
        for reference in contest.rivals.values():
            rival, arguments = find(reference)
            made: Contender = rival(**arguments)
            for name in ("fit", "evaluate", "predict", "save", "parameters"):
                assert hasattr(rival, name), f"{reference}: lacks {name} of protocol.Contender"
            takes = set(inspect.signature(made.fit).parameters)
            assert {"valid", "budget"} <= takes, f"{reference}: fit lacks valid= or budget="
        assert set(contest.models) - BUILT_IN.keys() <= set(contest.rivals)
        assert callable(find(contest.inputs)[0])
    assert Budget().parameters is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"models": ["gpt"]}, "received gpt"),
        ({"poolng": "max"}, "did you mean pooling"),
        ({"models": ["gru"], "hidden": 0}, "hidden"),
    ],
)
def test_what_cannot_be_compared(arguments, told):
    with pytest.raises(InputError, match=told):
        compare("classify", reviews(20), test=reviews(20), **arguments)
    with pytest.raises(InputError, match="expected a task of"):
        compare("knit", reviews(20), test=reviews(20))
