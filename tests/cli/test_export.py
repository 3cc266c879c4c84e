"""`recurra export`: files that ONNX Runtime and `recurra.load` run."""

import json

import numpy as np
import onnxruntime
import pytest

import recurra as package
from recurra.generate import Options, generate
from recurra.text import Tokenizer


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


class OnnxRuntimeModel:
    """The two files as what `recurra.generate` steps: texts come from ONNX Runtime's logits."""

    def __init__(self, whole, step):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.whole, self.one = (onnxruntime.InferenceSession(p, options) for p in (whole, step))
        self.states = {v.name: v.shape for v in self.one.get_inputs()[1:]}
        self.vocab_size = self.one.get_outputs()[0].shape[1]

    def start(self, batch):
        return [np.zeros((rows, batch, size), np.float32) for rows, _, size in self.states.values()]

    def step(self, ids, state):
        given = dict(zip(self.states, state, strict=True))
        logits, *new = self.one.run(None, {"ids": np.asarray(ids, np.int64), **given})
        return logits, new

    def read(self, ids, lengths, state):
        count = np.full(len(ids), ids.shape[1]) if lengths is None else np.asarray(lengths)
        given = dict(zip(self.states, state, strict=True))
        given |= {"ids": np.asarray(ids, np.int64), "lengths": count.astype(np.int64)}
        logits, *new = self.whole.run(None, given)
        return logits[np.arange(len(ids)), count - 1], new

    def select(self, state, rows):
        return [s[:, rows] for s in state]


def test_onnx_runtime_writes_the_text_that_we_write(recurra, run, here):
    words = ("--lengths", "--states", "--out", here / "a.onnx")
    assert recurra("export", run, *words).code == 0
    model = OnnxRuntimeModel(here / "a.onnx", here / "a-step.onnx")
    notes = model.one.get_modelmeta().custom_metadata_map
    tokenizer = Tokenizer.from_json(json.loads(notes["recurra.tokenizer"]))
    for options in ({"temperature": 0.0}, {"temperature": 0.9, "seed": 7}):
        options["max_tokens"] = 60
        flags = [w for k, v in options.items() for w in (f"--{k.replace('_', '-')}", v)]
        expected = recurra("generate", run, "the cat", *flags)
        assert expected.code == 0, expected.err
        (found,) = generate(model, tokenizer, ["the cat"], Options(**options))
        assert f"the cat{found.text}\n" == expected.out


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


def test_an_onnx_file_is_no_model_for_other_verbs(recurra, run, here):
    recurra("export", run, "--out", here / "a.onnx")
    for verb in (
        ("generate", here / "a.onnx", "x"),
        ("evaluate", here / "a.onnx", here / "a.onnx"),
        ("predict", here / "a.onnx", here / "a.onnx"),
    ):
        done = recurra(*verb)
        assert done.code == 2
        assert "a.onnx: expected a run or a model directory, received an ONNX file" in done.err
        assert len(done.err.splitlines()) == 1
