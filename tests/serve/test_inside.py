"""What a model does inside, over HTTP: against torch, by enumeration, and with what is refused."""

import base64

import numpy as np
import pytest

import recurra
from serve.conftest import GOLDEN, running

TEXT = "the cat sat on the mat"
NAMES = ("char-lstm", "char-gru", "byte-rnn", "lines-lstm", "word-gru", "own-cell", "bpe-lstm")


@pytest.fixture(scope="module")
def models():
    runs = [f"{name}={GOLDEN / f'lm-{name}' / 'model'}" for name in NAMES]
    runs.append(f"tagger={GOLDEN / 'tagger-crf' / 'model'}")
    runs.append(f"ngram={GOLDEN / 'lm-ngram-char' / 'model'}")
    with running(runs) as made:
        yield made


def ask(client, path, **body):
    status, reply = client(path, body)
    assert status == 200, reply
    return reply


def stepped(runtime, ids, state=None, change=lambda layers: layers):
    """Logits (T, V) and states of a text, token by token; `change` edits the states of a step."""
    state = runtime.start(1) if state is None else state
    logits, states = [], []
    for id in ids:
        found, state = runtime.step(np.array([id]), state)
        state = change(state)
        logits.append(found[0].astype(np.float64))
        states.append(state)
    return np.array(logits), states


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


@pytest.mark.parametrize("name", NAMES)
def test_states_are_those_of_steps(models, name):
    """The recorded h (and c) of each layer are the states that stepping leaves behind."""
    runtime = recurra.load(GOLDEN / f"lm-{name}" / "model").runtime
    program = runtime.architecture.program
    for layer in range(runtime.architecture.layers):
        for place, state in enumerate(program.states):
            reply = ask(models, "/v1/inspect", model=name, text=TEXT, layer=layer, name=state)
            _, states = stepped(runtime, reply["tokens"])
            wanted = np.array([s[layer][place][0] for s in states]).T
            keep = runtime.architecture.zoneout[place]  # what is recorded is before zoneout
            earlier = np.concatenate([runtime.start(1)[layer][place].T, wanted[:, :-1]], axis=1)
            wanted = (wanted - keep * earlier) / (1 - keep)
            assert np.allclose(reply["values"], wanted[reply["units"]], atol=1e-5), (layer, state)
            assert set(program.states) <= set(reply["names"])


def test_gates_are_those_of_the_equations(models):
    """An LSTM's own arithmetic, written out: the last gate times tanh of the cell is its output."""
    lm = recurra.load(GOLDEN / "lm-bpe-lstm" / "model")
    values = {
        name: np.array(ask(models, "/v1/inspect", model="bpe-lstm", text=TEXT, name=name)["values"])
        for name in "ifgoch"
    }
    assert lm.runtime.architecture.program.states == ("h", "c")
    before = np.concatenate([np.zeros_like(values["c"][:, :1]), values["c"][:, :-1]], axis=1)
    c = values["f"] * before + values["i"] * values["g"]
    assert np.allclose(values["c"], c, atol=1e-5)
    assert np.allclose(values["h"], values["o"] * np.tanh(values["c"]), atol=1e-5)


def test_parts_of_an_inspection(models):
    whole = ask(models, "/v1/inspect", model="char-lstm", text=TEXT, name="c")
    part = ask(models, "/v1/inspect", model="char-lstm", text=TEXT, name="c", units=[3, 0],
               start=5, stop=9, encoding_format="base64")  # fmt: skip
    values = np.frombuffer(base64.b64decode(part["values"]), "<f4").reshape(2, 4)
    assert np.allclose(values, np.array(whole["values"])[[3, 0], 5:9], atol=1e-6)
    assert part["pieces"] == whole["pieces"][5:9]
    state = ask(models, "/v1/score", model="char-lstm", text=TEXT[:5], keep_state=True)["state"]
    rest = ask(models, "/v1/inspect", model="char-lstm", text=TEXT[5:], name="c", state=state["id"])
    assert np.allclose(rest["values"], np.array(whole["values"])[:, 5:], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("at", [0, 4])
def test_a_replaced_token_is_followed(models, name, at):
    """Two texts read by themselves: KL, surprise and distance from their own logits and states."""
    runtime = recurra.load(GOLDEN / f"lm-{name}" / "model").runtime
    ids = ask(models, "/v1/tokenize", model=name, text=TEXT)["tokens"]
    other = [*ids[:at], 3, *ids[at + 1 :]]
    reply = ask(models, "/v1/whatif", model=name, tokens=ids, at=at, replace=3)
    (p, s), (q, t) = stepped(runtime, ids), stepped(runtime, other)
    p, q = log_softmax(p), log_softmax(q)
    assert np.allclose(reply["kl"], (np.exp(p) * (p - q)).sum(1)[at:], atol=1e-5)
    after = range(at, len(ids) - 1)
    assert np.allclose(reply["nats"], [-p[k, ids[k + 1]] for k in after], atol=1e-5)
    assert np.allclose(reply["nats_changed"], [-q[k, ids[k + 1]] for k in after], atol=1e-5)
    flat = [np.array([np.concatenate([x[0] for layer in one for x in layer]) for one in side])
            for side in (s, t)]  # fmt: skip
    apart = np.linalg.norm(flat[0] - flat[1], axis=1) / np.linalg.norm(flat[0], axis=1)
    assert np.allclose(reply["distance"], apart[at:], atol=1e-5)
    delta = np.abs(np.subtract(reply["nats_changed"], reply["nats"]))
    assert reply["changed"][:1] == [at + 1 + int(delta.argmax())] or not delta.any()


def test_the_same_token_changes_nothing(models):
    ids = ask(models, "/v1/tokenize", model="char-lstm", text=TEXT)["tokens"]
    reply = ask(models, "/v1/whatif", model="char-lstm", tokens=ids, at=3, replace=ids[3])
    assert set(reply["kl"]) == set(reply["distance"]) == {0.0}
    assert reply["nats"] == reply["nats_changed"]
    assert reply["changed"] == []


def test_a_held_unit(models):
    """A GRU's whole state is its output: holding it after each step is the same."""
    runtime = recurra.load(GOLDEN / "lm-char-gru" / "model").runtime
    layers = runtime.architecture.layers
    ids = ask(models, "/v1/tokenize", model="char-gru", text=TEXT)["tokens"]
    reply = ask(models, "/v1/whatif", model="char-gru", tokens=ids,
                ablate={"layer": layers - 1, "unit": 2, "value": 0.25})  # fmt: skip
    assert reply["value"] == 0.25
    assert max(reply["kl"]) > 0

    def hold(state):
        top = state[-1][0].copy()
        top[:, 2] = 0.25
        return (*state[:-1], (top, *state[-1][1:]))

    _, states = stepped(runtime, ids, change=hold)
    logits = runtime.head(np.concatenate([state[-1][0] for state in states]))
    q = log_softmax(logits.astype(np.float64))
    wanted = [-q[k, ids[k + 1]] for k in range(len(ids) - 1)]
    assert np.allclose(reply["nats_changed"], wanted, atol=1e-5)
    mean = ask(models, "/v1/whatif", model="char-gru", tokens=ids,
               ablate={"layer": layers - 1, "unit": 2})["value"]  # fmt: skip
    _, states = stepped(runtime, ids)
    assert mean == pytest.approx(np.mean([state[-1][0][0, 2] for state in states]), abs=1e-6)


def test_score_goes_on_and_looks_ahead(models):
    whole = ask(models, "/v1/score", model="char-lstm", text=TEXT, next=True, top=4)
    first = ask(
        models, "/v1/score", model="char-lstm", text=TEXT[:9], keep_state=True, next=True, top=4
    )
    second = ask(models, "/v1/score", model="char-lstm", tokens=whole["tokens"][9:], top=4,
                 state=first["state"]["id"], keep_state=True, next=True)  # fmt: skip
    assert first["nats"] + second["nats"] == whole["nats"]
    assert first["tokens"] + second["tokens"] == whole["tokens"]
    assert second["next"] == whole["next"]
    assert "".join(whole["texts"]) == TEXT
    assert whole["top"][9][0]["logprob"] == first["next"][0]["logprob"]
    again = ask(models, "/v1/score", model="char-lstm", text=TEXT, keep_state=True)
    assert again["state"]["sha256"] == second["state"]["sha256"]
    assert again["state"]["sha256"] != first["state"]["sha256"]


@pytest.mark.parametrize("name", ["byte-rnn", "bpe-lstm", "word-gru"])
def test_texts_of_tokens_are_the_text(models, name):
    text = "the cät sat" if name != "word-gru" else "the cat sat"
    reply = ask(models, "/v1/score", model=name, text=text)
    ids = ask(models, "/v1/tokenize", model=name, text=text)["tokens"]
    assert reply["tokens"] == ids
    plain = models("/v1/detokenize", {"model": name, "tokens": ids})[1]["text"]
    assert "".join(reply["texts"]) == plain


def test_ids_of_a_completion(models):
    body = {"model": "char-lstm", "prompt": "the ", "max_tokens": 12, "seed": 4}
    reply = ask(models, "/v1/completions", return_token_ids=True, **body)
    (choice,) = reply["choices"]
    plain = ask(models, "/v1/detokenize", model="char-lstm", tokens=choice["token_ids"])
    assert plain["text"] == choice["text"]
    assert "token_ids" not in ask(models, "/v1/completions", **body)["choices"][0]


WRONG = [
    ("/v1/inspect", {"text": ""}, "text"),
    ("/v1/inspect", {"text": TEXT, "tokens": [1]}, "tokens"),
    ("/v1/inspect", {"tokens": [10_000]}, "tokens"),
    ("/v1/inspect", {"text": TEXT, "layer": 9}, "layer"),
    ("/v1/inspect", {"text": TEXT, "name": "q"}, "name"),
    ("/v1/inspect", {"text": TEXT, "units": [999]}, "units"),
    ("/v1/inspect", {"text": TEXT, "units": list(range(513))}, "units"),
    ("/v1/inspect", {"text": TEXT, "start": 9, "stop": 9}, "stop"),
    ("/v1/inspect", {"text": TEXT, "stop": 99}, "stop"),
    ("/v1/inspect", {"text": "the " * 501}, "stop"),
    ("/v1/whatif", {"text": TEXT, "at": 0}, "replace"),
    ("/v1/whatif", {"text": TEXT, "replace": 1, "ablate": {"unit": 0}}, "replace"),
    ("/v1/whatif", {"text": TEXT, "at": 99, "replace": 1}, "at"),
    ("/v1/whatif", {"text": TEXT, "replace": 999}, "replace"),
    ("/v1/whatif", {"text": TEXT, "ablate": {"unit": 999}}, "unit"),
    ("/v1/whatif", {"text": TEXT, "ablate": {"layer": 9, "unit": 0}}, "layer"),
    ("/v1/score", {"tokens": []}, "text"),
]


@pytest.mark.parametrize(("path", "body", "param"), WRONG, ids=str)
def test_what_is_wrong_is_named(models, path, body, param):
    status, reply = models(path, {"model": "char-lstm", **body})
    assert (status, reply["error"]["param"]) == (400, param), reply


def test_models_without_an_inside(models):
    for path in ("/v1/inspect", "/v1/whatif"):
        body = {"model": "tagger", "text": "x", "at": 0, "replace": 0}
        body = body if path == "/v1/whatif" else {"model": "tagger", "text": "x"}
        assert models(path, body)[1]["error"]["code"] == "wrong_task"
        assert models(path, {**body, "model": "ngram"})[1]["error"]["code"] in (
            "no_inside", "wrong_task")  # fmt: skip
