"""`recurra export`: files that ONNX Runtime and `recurra.load` run."""

import json

import numpy as np
import onnxruntime
import pytest

import recurra as package


def test_a_run_becomes_two_files(recurra, run, here):
    done = recurra("export", run, "--format", "onnx", "--out", here / "prose.onnx")
    assert (done.code, done.err) == (0, "")
    whole, step = here / "prose.onnx", here / "prose-step.onnx"
    sizes = [f"{p}  {p.stat().st_size:,} bytes" for p in (whole, step)]
    assert done.out.splitlines() == sizes
    lm = package.load(run)
    ids = lm.tokenizer.encode("the cat sees")[None].astype(np.int64)
    logits, _, _ = onnxruntime.InferenceSession(whole).run(None, {"ids": ids})
    expected, _ = lm.runtime.read(ids, None, lm.runtime.start(1))
    assert np.allclose(logits[:, -1], expected, atol=1e-5)
    loaded = package.load(step)
    state = {"h_0": np.zeros((1, 1, 16), np.float32), "c_0": np.zeros((1, 1, 16), np.float32)}
    for token in ids.T:
        found = loaded.run({"ids": token, **state})
        state = {"h_0": found["h_n"], "c_0": found["c_n"]}
    assert np.allclose(found["logits"], expected, atol=1e-5)
    assert json.loads(loaded.notes["recurra.tokenizer"]) == lm.files.tokenizer


def test_beside_the_run_and_in_json(recurra, run, here):
    link = here / "linked"
    link.symlink_to(run)
    done = recurra("export", link, "--lengths", "--states", "--json")
    assert done.code == 0, done.err
    paths = [here / "linked.onnx", here / "linked-step.onnx"]
    assert [f["path"] for f in json.loads(done.out)["files"]] == [str(p) for p in paths]
    assert [f["bytes"] for f in json.loads(done.out)["files"]] == [p.stat().st_size for p in paths]
    named = [v.name for v in package.load(paths[0]).inputs]
    assert named == ["ids", "lengths", "h_0", "c_0"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none",), "no such directory"),
        (("{run}", "--out", "model.bin"), "--out: expected a file NAME.onnx, received model.bin"),
        (("{run}", "--format", "tflite"), "argument --format: invalid choice: 'tflite'"),
        (("{run}", "--out", "no/such/folder/a.onnx"), "no such file or directory"),
    ],
)
def test_what_cannot_be_exported(recurra, run, here, words, message):
    done = recurra("export", *(word.format(run=run) for word in words))
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(here.iterdir())


def test_an_onnx_file_is_no_model_to_write_with(recurra, run, here):
    recurra("export", run, "--out", here / "a.onnx")
    for verb in (
        ("generate", here / "a.onnx", "x"),
        ("evaluate", here / "a.onnx", here / "a.onnx"),
    ):
        done = recurra(*verb)
        assert done.code == 2
        assert "it looks like an ONNX model" in done.err
