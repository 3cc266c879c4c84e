"""Two processes train the classifier that one does."""

import json
import os
import subprocess
import sys

import pytest

from tasks.classified import reviews

CODE = "import sys; from recurra.cli import main; sys.exit(main(sys.argv[1:]))"
HOW = ["--columns", "label,text", "--hidden", "8", "--embedding", "8", "--batch", "16"]
HOW += ["--epochs", "2", "--lr", "0.01", "--json"]
STILL = ["--dropout", "0", "--token-dropout", "0", "--embedding-dropout", "0"]


def test_two_processes_end_where_one_does(tmp_path):
    texts, labels = reviews(83)  # the last batch cannot be divided by two
    lines = [f"{label}\t{text}\n" for label, text in zip(labels, texts, strict=True)]
    (tmp_path / "train.tsv").write_text("".join(lines))
    script = tmp_path / "run.py"
    script.write_text(CODE)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    ranks = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    found = []
    for how in ([], ranks):
        out = ["--out", str(tmp_path / f"run{len(found)}")]
        command = [sys.executable, *how, str(script), "train", "classify"]
        command += [str(tmp_path / "train.tsv"), *HOW, *STILL, *out]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=150, check=False
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    one, two = found
    assert two["steps"] == one["steps"]
    assert two["best"]["step"] == one["best"]["step"]
    assert two["best"]["loss"] == pytest.approx(one["best"]["loss"], rel=1e-4)
