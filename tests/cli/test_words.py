"""What help, advice and refusals say is so."""

import re
import shlex

import pytest

from recurra.baselines.catalog import CONTESTS
from recurra.cells import BUILT_IN
from recurra.cli.parser import make_parser
from recurra.tasks.catalog import ENTRIES

WORDS = [entry.word for entry in ENTRIES]


@pytest.mark.parametrize("entry", ENTRIES, ids=WORDS)
def test_the_learning_rate_in_help_is_the_one_of_training(recurra, entry):
    from recurra.train.config import TrainConfig

    told = " ".join(recurra("train", entry.word, "--help").out.split())
    rate = re.search(r"highest learning rate; by default ([0-9.]+) for adam", told)
    usual = TrainConfig().highest_lr
    used = {"classify": 0.002, "tag": 0.002}.get(entry.word, usual)
    assert float(rate[1]) == used, "a task with a rate of its own has it in `used`"


@pytest.mark.parametrize("task", CONTESTS)
def test_the_example_of_a_comparison_is_one_of_its_task(recurra, task):
    told = recurra("compare", task, "--help").out
    (example,) = re.findall(r"^example: recurra (compare .*)$", told, re.M)
    words = shlex.split(example)
    parsed = make_parser().parse_args(words)
    assert parsed.task == task
    contest = CONTESTS[task]
    known = {*BUILT_IN, *contest.rivals}
    assert set(parsed.models.split(",")) <= known


@pytest.mark.parametrize("entry", ENTRIES, ids=WORDS)
@pytest.mark.parametrize("verb", ["train", "compare"])
def test_skip_bad_is_an_option_of_every_task_with_rows(recurra, entry, verb):
    if verb == "compare" and entry.word not in CONTESTS:
        return
    told = recurra(verb, entry.word, "--help").out
    assert ("--skip-bad" in told) == (entry.word != "lm")


def test_what_to_try_next_is_in_the_form_of_the_data(recurra, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.jsonl").write_text(
        '{"text": "a fine film", "label": "good"}\n{"text": "dull", "label": "bad"}\n' * 10
    )
    words = ["train", "classify", "r.jsonl", "--hidden", 4, "--steps", 1, "--out", "a run"]
    done = recurra(*words)
    assert "recurra predict 'a run' new.jsonl" in done.out


def test_what_changed_is_said_in_words(recurra, tmp_path):
    path, run = tmp_path / "r.csv", tmp_path / "run"
    text = "text,label\n" + "a fine film,good\na dull film,bad\n" * 10
    path.write_text(text)
    words = ["train", "classify", path, "--hidden", 4, "--steps", 1, "--out", run, "--json"]
    assert recurra(*words).code == 0
    path.write_text(text.replace("dull", "grey"))
    done = recurra(*words)
    assert done.code == 2
    assert "the training data changed" in done.err
    assert not re.search("[0-9a-f]{16}", done.err.replace(str(tmp_path), ""))


def test_a_text_in_the_place_of_a_path_is_not_echoed(recurra, tmp_path):
    from recurra import LanguageModel
    from recurra.errors import InputError

    for text in ("the cat sat on the mat " * 400, "one line\nanother", "a" * 5000):
        with pytest.raises(InputError, match="a text is not a path") as error:
            LanguageModel(hidden=4).fit(text, steps=1, progress=False)
        assert len(str(error.value)) < 300
        for task in ("classify", "tag", "translate", "forecast", "transcribe"):
            done = recurra("train", task, text, "--steps", 1, "--out", tmp_path / "run")
            assert done.code == 2, done
            assert len(done.err) < 400
            assert len(done.err.splitlines()) == 1


def test_an_option_that_is_suggested_is_taken(recurra, tmp_path):
    """What is suggested in the place of --bad is an option of the verb for every task with rows."""
    done = recurra("evaluate", "run", "data", "--bad")
    assert "did you mean --skip-bad?" in done.err
    for entry in ENTRIES:
        model = entry.load()
        for table in ("Measurement", "Prediction"):
            options = getattr(model, table, None)
            if options is not None and entry.word != "lm":
                assert "skip_bad" in options.names(), (entry.word, table)
