"""Every task over HTTP answers what its model answers in Python."""

import base64

import numpy as np
import pytest

import recurra
from golden.outputs import INPUTS, REVIEWS, SENTENCES, SOURCES
from recurra.tasks.transcriber.wav import Sound, write_wav
from serve.conftest import GOLDEN, running

NAMES = ("classifier-words", "classifier-numbers", "tagger-crf", "forecaster-direct",
         "translator-char", "transcriber-char", "lm-byte-rnn")  # fmt: skip
VERBS = {"classifier": "classify", "tagger": "tag", "forecaster": "forecast",
         "translator": "translate", "transcriber": "transcribe"}  # fmt: skip


@pytest.fixture(scope="module")
def tasks():
    with running([f"{name}={GOLDEN / name / 'model'}" for name in NAMES]) as made:
        yield made


def ask(client, name, inputs):
    verb = VERBS[name.partition("-")[0]]
    status, reply = client(f"/v1/{verb}", {"model": name, "inputs": inputs})
    assert status == 200, reply
    assert len(reply["data"]) == len(inputs)
    return reply["data"]


@pytest.mark.parametrize("name", ["classifier-words", "classifier-numbers"])
def test_classify(tasks, name):
    model = recurra.load(GOLDEN / name / "model")
    inputs = list(REVIEWS)
    if not model.config.reads_text:
        with np.load(INPUTS / "arrays.npz") as file:
            inputs = [file[key].tolist() for key in sorted(file.files)][:4]
    found = ask(tasks, name, inputs)
    assert [one["label"] for one in found] == [str(x) for x in model.predict(inputs)]
    rows = [list(one["probabilities"].values()) for one in found]
    assert np.array_equal(np.array(rows, np.float32), model.predict_proba(inputs))


def test_tag(tasks):
    model = recurra.load(GOLDEN / "tagger-crf" / "model")
    sentences = [list(words) for words in SENTENCES]
    found = ask(tasks, "tagger-crf", sentences)
    assert [one["tags"] for one in found] == model.predict(sentences)


def test_forecast(tasks):
    model = recurra.load(GOLDEN / "forecaster-direct" / "model")
    text = (INPUTS / "series.csv").read_text()
    (found,) = ask(tasks, "forecaster-direct", [text])
    assert found == [one.to_dict() for one in model.predict(INPUTS / "series.csv")]


def test_translate(tasks):
    model = recurra.load(GOLDEN / "translator-char" / "model")
    assert [one["text"] for one in ask(tasks, "translator-char", list(SOURCES))] == [
        one.text for one in model.predict(list(SOURCES))
    ]


def test_transcribe(tasks, tmp_path):
    model = recurra.load(GOLDEN / "transcriber-char" / "model")
    noise = np.random.default_rng(1).normal(size=6000).astype(np.float32) / 10
    write_wav(tmp_path / "a.wav", Sound(noise, 8000))
    data = base64.b64encode((tmp_path / "a.wav").read_bytes()).decode()
    found = ask(tasks, "transcriber-char", [data, data])
    (wanted,) = model.predict(tmp_path / "a.wav")
    assert [one["text"] for one in found] == [wanted.text] * 2


def test_details(tasks):
    """Marginals and attention are those of the models."""
    model = recurra.load(GOLDEN / "tagger-crf" / "model")
    sentences = [list(words) for words in SENTENCES]
    body = {"model": "tagger-crf", "inputs": sentences, "details": True}
    found = tasks("/v1/tag", body)[1]["data"]
    for one, rows in zip(found, model.predict_proba(sentences), strict=True):
        assert np.allclose([list(row.values()) for row in one["marginals"]], rows)
        assert list(one["marginals"][0]) == [str(tag) for tag in model.tags]
    model = recurra.load(GOLDEN / "translator-char" / "model")
    body = {"model": "translator-char", "inputs": list(SOURCES), "details": True}
    for one, source in zip(tasks("/v1/translate", body)[1]["data"], SOURCES, strict=True):
        looked = model.attention(source, one["text"])
        assert one["attention"]["source"] == list(looked.source)
        assert np.allclose(one["attention"]["weights"], looked.weights)
        assert np.allclose(np.sum(one["attention"]["weights"], axis=1), 1, atol=1e-5)
    body = {"model": "classifier-words", "inputs": ["x"], "details": True}
    assert tasks("/v1/classify", body)[1]["error"]["code"] == "unknown_parameter"


WRONG = [
    ("classify", "tagger-crf", ["x"], 404, "wrong_task"),
    ("tag", "lm-byte-rnn", [["x"]], 404, "wrong_task"),
    ("classify", "classifier-words", [], 400, "invalid_value"),
    ("classify", "classifier-words", ["x"] * 65, 400, "invalid_value"),
    ("classify", "classifier-words", [3], 400, "invalid_value"),
    ("classify", "classifier-numbers", [[[1, 2, 3]]], 400, "invalid_value"),
    ("classify", "classifier-numbers", ["x"], 400, "invalid_value"),
    ("classify", "classifier-numbers", [{"a": 1}], 400, "invalid_value"),
    ("tag", "tagger-crf", ["the cat"], 400, "invalid_value"),
    ("tag", "tagger-crf", [[]], 400, "invalid_value"),
    ("forecast", "forecaster-direct", ["no table"], 400, "invalid_value"),
    ("forecast", "forecaster-direct", [[1, 2]], 400, "invalid_value"),
    ("translate", "translator-char", [" "], 400, "invalid_value"),
    ("transcribe", "transcriber-char", ["not base64!"], 400, "invalid_value"),
    ("transcribe", "transcriber-char", ["AAAA"], 400, "invalid_value"),
    ("translate", "nope", ["x"], 404, "model_not_found"),
]


@pytest.mark.parametrize(("verb", "name", "inputs", "status", "code"), WRONG)
def test_what_is_wrong_is_named(tasks, verb, name, inputs, status, code):
    found, reply = tasks(f"/v1/{verb}", {"model": name, "inputs": inputs})
    assert (found, reply["error"]["code"]) == (status, code)
    assert "/tmp" not in reply["error"]["message"]


def test_models_of_other_tasks_write_nothing(tasks):
    body = {"model": "tagger-crf", "prompt": "x"}
    assert tasks("/v1/completions", body)[1]["error"]["code"] == "wrong_task"
