"""TensorBoard, Weights & Biases and MLflow hold what the run's own CSV holds: `make loggers`."""

import csv
import json
import math

import pytest

from recurra.train import CSVLog, MLflow, TensorBoard, TrainConfig, WandB, fit
from train.small import SmallTask

pytestmark = [
    pytest.mark.usefixtures("one_thread", "no_fsync"),
    pytest.mark.filterwarnings("default"),  # those of the packages are theirs
]
CONFIG = TrainConfig(steps=20, eval_every=10)


def logged(folder, logger):
    """What a logger should hold after a run: {name: [(step, value)]}."""
    fit(SmallTask(), folder, CONFIG, callbacks=[CSVLog(every=5), logger], report=False)
    expected: dict[str, list[tuple[int, float]]] = {}
    with open(folder / "log.csv", newline="") as file:
        for row in csv.DictReader(file):
            expected.setdefault(row["name"], []).append((int(row["step"]), float(row["value"])))
    assert set(expected) >= {"train/loss", "train/lr", "valid/loss", "valid/perplexity"}
    return expected


def assert_same(found, expected, digits):
    assert found.keys() == expected.keys()
    for name, points in expected.items():
        assert [step for step, _ in found[name]] == [step for step, _ in points], name
        for (_, one), (_, other) in zip(found[name], points, strict=True):
            assert math.isclose(one, other, rel_tol=digits), name


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: make loggers")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    expected = logged(tmp_path / "run", TensorBoard(every=5))
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    found = {n: [(e.step, e.value) for e in events.Scalars(n)] for n in events.Tags()["scalars"]}
    assert_same(found, expected, 1e-6)  # kept as float32


def test_mlflow(tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: make loggers")
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    expected = logged(tmp_path / "run", MLflow("names", tracking_uri=store, every=5))
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("names").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["steps"] == "20"
    found = {
        name: sorted((m.step, m.value) for m in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }
    assert_same(found, expected, 1e-12)
    assert mlflow.active_run() is None


def test_wandb(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed: make loggers")
    monkeypatch.setenv("WANDB_SILENT", "true")
    expected = logged(
        tmp_path / "run", WandB(every=5, project="names", mode="offline", dir=str(tmp_path))
    )
    wandb.teardown()  # its own process writes the file
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    found = history(file)
    assert_same(found, expected, 1e-12)


def records(data):
    """The records of a log in blocks of 32 KiB: a head of 7 bytes, then heads of their own."""
    at, whole = 7, b""
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


def history(file):
    """The points of an offline run."""
    from wandb.proto import wandb_internal_pb2

    found = {}
    for data in records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        items = record.history.item
        row = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
        step = row.pop("_step", record.history.step.num)
        for name, value in row.items():
            if not name.startswith("_"):
                found.setdefault(name, []).append((step, value))
    return found
