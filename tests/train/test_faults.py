"""A run whose disk fails once, at any moment: one line, and the same call ends as if unbroken."""

import errno
import os

import pytest

from recurra.errors import RecurraError
from recurra.storage.disk import failure
from recurra.train import TrainConfig, fit, read_metrics
from recurra.train.metrics import MetricsWriter
from storage.faults import ERRORS, failing
from train.kill_runs import left
from train.small import SmallTask

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = TrainConfig(steps=5, eval_every=2, checkpoint_every=0.0)


def run(path):
    fit(SmallTask(tokens=300), path, CONFIG, report=False)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    path = tmp_path_factory.mktemp("unbroken") / "run"
    run(path)
    return left(path)


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_a_run_goes_on_after_any_call_that_failed(tmp_path, unbroken, error):
    # Every 17th call; which ones, differs between the errors.
    for at in range(1 + 6 * ERRORS.index(error), 1000, 17):
        path, problem = tmp_path / f"{at}", None
        with failing(at, error) as faults:
            try:
                run(path)
            except RecurraError as caught:
                problem = caught
        if problem is not None:
            assert "\n" not in str(problem), (at, faults.what)
            assert str(path) in str(problem), (at, faults.what)
        run(path)
        assert left(path) == unbroken, (at, faults.what)
        if not faults.reached:
            assert at > 50
            return
    raise AssertionError("it never comes to an end")


def test_a_report_that_cannot_be_written_costs_nothing_else(tmp_path, unbroken, monkeypatch):
    def refuse(path, parts):
        raise failure(path, OSError(errno.ENOSPC, "No space left on device"))

    with monkeypatch.context() as patch:
        patch.setattr("recurra.train.report.write_file", refuse)
        with pytest.raises(RecurraError, match=r"report\.html: the disk is full"):
            fit(SmallTask(tokens=300), tmp_path, CONFIG)
    assert left(tmp_path) == unbroken
    assert not (tmp_path / "report.html").exists()
    fit(SmallTask(tokens=300), tmp_path, CONFIG)
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.get)
def test_where_only_the_metrics_fail_the_step_is_kept(tmp_path, monkeypatch, error):
    write = MetricsWriter.write

    def failing_write(self, record):
        if record["step"] == 3:
            raise failure(self._path, OSError(error, os.strerror(error)))
        write(self, record)

    config = TrainConfig(steps=5, eval_every=2, checkpoint_every=600.0)
    with monkeypatch.context() as patch:
        patch.setattr(MetricsWriter, "write", failing_write)
        with pytest.raises(RecurraError, match=r"metrics\.jsonl"):
            fit(SmallTask(tokens=300), tmp_path, config, report=False)
    assert (tmp_path / "checkpoints" / "step-3").is_dir()
    fit(SmallTask(tokens=300), tmp_path, config, report=False)
    assert [record["step"] for record in read_metrics(tmp_path / "metrics.jsonl")] == [
        1,
        2,
        3,
        4,
        5,
    ]
