"""Callbacks of every shape get the events they want; what cannot be one is refused at once."""

import csv
import signal

import pytest

from recurra.errors import InputError
from recurra.train import CSVLog, FitResult, Start, StepDone, TrainConfig, Validation, fit
from recurra.train.interrupt import Interrupted
from train.small import SmallTask

pytestmark = pytest.mark.usefixtures("one_thread", "no_fsync")
CONFIG = TrainConfig(steps=20, eval_every=10)


def trained(folder, *callbacks, config=CONFIG):
    return fit(SmallTask(), folder, config, callbacks=callbacks, report=False)


class Steps:
    def __init__(self):
        self.seen = []

    def on_step(self, event):
        self.seen.append(event.step)


class Ends:
    def __init__(self):
        self.seen = []

    def on_validation(self, event):
        self.seen.append(sorted(event.metrics))

    def on_end(self, result):
        self.seen.append(result.stopped)


def test_an_object_gets_the_events_it_has_methods_for(tmp_path):
    steps, ends = Steps(), Ends()
    trained(tmp_path, steps, ends)
    assert steps.seen == list(range(1, 21))
    assert ends.seen == [["loss", "perplexity"]] * 2 + ["steps"]


def test_a_function_gets_every_event(tmp_path):
    events = []
    trained(tmp_path, events.append)
    kinds = [type(event) for event in events]
    assert kinds[0] is Start
    assert kinds[-1] is FitResult
    assert (kinds.count(StepDone), kinds.count(Validation)) == (20, 2)


class Misspelt:
    def on_epoch_end(self, event):
        pass


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            Misspelt(),
            "number 1: Misspelt waits for on_epoch_end, which never comes: the events are",
        ),
        (Steps, r"number 1: expected an object, received the class: Steps\(…\)"),
        (5, "number 1: expected a function, or an object with some of on_start"),
        (None, "number 1: expected a function"),
        ("log", "number 1: expected a function"),
    ],
)
def test_what_cannot_be_a_callback_is_refused_before_the_run(given, words, tmp_path):
    with pytest.raises(InputError, match=words):
        trained(tmp_path / "run", given)
    assert not (tmp_path / "run").exists()


def rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


def test_the_rows_of_a_run_that_was_stopped_are_those_of_one_that_was_not(tmp_path):
    class Stop:
        def on_step(self, event):
            if event.step == 13:
                signal.raise_signal(signal.SIGTERM)

    trained(tmp_path / "whole", CSVLog(every=2))
    with pytest.raises(Interrupted):
        trained(tmp_path / "parts", CSVLog(every=2), Stop())
    trained(tmp_path / "parts", CSVLog(every=2))
    whole = rows(tmp_path / "whole/log.csv")
    assert whole[0] == ["step", "name", "value"]
    names = [name for step, name, _ in whole if step == "10"]
    assert names == ["train/loss", "train/lr", "train/grad_norm", "valid/loss", "valid/perplexity"]
    assert rows(tmp_path / "parts/log.csv") == whole


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\xff\xfe", b'"' + b"x" * 200_000])
def test_a_file_that_is_no_log_stays(content, tmp_path):
    other = tmp_path / "other.csv"
    trained(tmp_path / "run", config=TrainConfig(steps=5, schedule="constant"))
    other.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.csv: is no log of a run"):
        trained(tmp_path / "run", CSVLog(other), config=TrainConfig(steps=10, schedule="constant"))
    assert other.read_bytes() == content


class Fails:
    """Raises an error at an event, and notes whether it heard the end."""

    def __init__(self, event):
        self.ended = 0
        self.on_step = lambda _: None
        setattr(self, event, self._fail)

    def _fail(self, _):
        raise ArithmeticError("mine")

    def on_end(self, result):
        self.ended += 1


@pytest.mark.parametrize("event", ["on_start", "on_step", "on_validation", "on_end"])
def test_all_that_have_begun_hear_the_end_when_one_fails(event, tmp_path):
    first, last = Fails("on_nothing"), Fails("on_nothing")
    del first.on_nothing, last.on_nothing
    with pytest.raises(ArithmeticError, match="mine"):
        trained(tmp_path, first, Fails(event), last)
    assert first.ended == 1
    assert last.ended == (event != "on_start")
