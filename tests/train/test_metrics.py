import math

import pytest

from recurra.errors import FormatError
from recurra.train.metrics import MetricsWriter, read_metrics


def write(path, steps, *, step=0):
    writer = MetricsWriter(path, step=step)
    for number in steps:
        writer.write({"step": number, "train_loss": number / 3})
    writer.close()


def test_lines_come_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    writer = MetricsWriter(path, step=0)
    wild = {"step": 1, "a": math.inf, "b": -math.inf, "c": None, "d": 0.1 + 0.2}
    writer.write({**wild, "e": math.nan})
    writer.close()
    (record,) = read_metrics(path)
    assert math.isnan(record.pop("e"))
    assert record == wild
    assert "NaN" in path.read_text()


def test_lines_beyond_the_checkpoint_are_cut_off(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, [1, 2, 3, 4])
    write(path, [3, 4, 5], step=2)
    assert [record["step"] for record in read_metrics(path)] == [1, 2, 3, 4, 5]


def test_a_torn_line_is_overlooked_and_then_removed(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, [1, 2, 3])
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        assert [record["step"] for record in read_metrics(path)] == [1, 2]
    write(path, [3, 4], step=2)
    assert [record["step"] for record in read_metrics(path)] == [1, 2, 3, 4]


@pytest.mark.parametrize("line", ["", "nonsense", "[]", "{}", '{"step": "x"}', '"step"'])
def test_a_damaged_line_is_an_error(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n' + line + '\n{"step": 2}\n')
    with pytest.raises(FormatError, match="line 2"):
        read_metrics(path)


def test_no_file_is_no_records(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []
