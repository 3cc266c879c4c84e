"""Conversations by OpenAI's client; tokens and scores against the model itself."""

import json
import math

import pytest

import recurra
from recurra.errors import InputError
from recurra.serve.chat import NAMED, TurnFormat, format_of
from serve.conftest import GOLDEN, RUNS, running

openai = pytest.importorskip("openai", reason="the judge, OpenAI's client, is not installed")

MODEL = recurra.load(GOLDEN / "lm-byte-rnn" / "model")


@pytest.fixture(scope="module")
def talking():
    with running(RUNS[1:], chat="dialogue") as made:
        yield made


@pytest.fixture(scope="module")
def api(talking):
    with openai.OpenAI(base_url=f"{talking.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_turns_cost_their_own_tokens_and_change_nothing(api):
    messages = [{"role": "system", "content": "be brief"}]
    for turn in range(4):
        messages.append({"role": "user", "content": f"question {turn} " + "why " * 30})
        fields = {"model": "byte-rnn", "messages": messages, "max_tokens": 40, "seed": turn}
        reply = api.chat.completions.create(**fields)
        choice = reply.choices[0]
        prompt = NAMED["dialogue"].text([type("M", (), m) for m in messages])
        (wanted,) = MODEL.generate([prompt], max_tokens=40, seed=turn, stop=["\n"])
        assert choice.message.content == wanted.text
        assert choice.finish_reason in ("stop", "length")
        details = reply.usage.prompt_tokens_details
        assert reply.usage.prompt_tokens == len(prompt.encode())
        if turn:
            assert reply.usage.prompt_tokens - details.cached_tokens < 200
        chunks = list(api.chat.completions.create(**fields, stream=True))
        deltas = [c.choices[0].delta for c in chunks if c.choices]
        assert deltas[0].role == "assistant"
        assert "".join(d.content or "" for d in deltas) == wanted.text
        messages.append({"role": "assistant", "content": choice.message.content})
    # An edited turn goes on from where the texts part.
    messages[5]["content"] = "something else"
    again = api.chat.completions.create(
        model="byte-rnn", messages=messages[:6], max_tokens=20, seed=3
    )
    prompt = NAMED["dialogue"].text([type("M", (), m) for m in messages[:6]])
    (wanted,) = MODEL.generate([prompt], max_tokens=20, seed=3, stop=["\n"])
    assert again.choices[0].message.content == wanted.text
    assert again.usage.prompt_tokens_details.cached_tokens > 100


def test_logprobs_of_a_reply(api):
    reply = api.chat.completions.create(
        model="byte-rnn", messages=[{"role": "user", "content": "hm"}], max_tokens=5, seed=1,
        logprobs=True, top_logprobs=2, stop=["never"], n=2,
    )  # fmt: skip
    for choice in reply.choices:
        assert 1 <= len(choice.logprobs.content) <= 5
        assert all(len(each.top_logprobs) == 2 for each in choice.logprobs.content)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "x", "images": []}]}, "messages.0.images"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"extra_body": {"tools": []}}, "tools"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named(api, fields, param):
    given = {"model": "byte-rnn", "messages": [{"role": "user", "content": "x"}], **fields}
    with pytest.raises(openai.BadRequestError) as caught:
        api.chat.completions.create(**given)
    assert caught.value.param == param


def test_a_model_without_turns(client):
    status, reply = client(
        "/v1/chat/completions",
        {"model": "byte-rnn", "messages": [{"role": "user", "content": "x"}]},
    )
    assert (status, reply["error"]["code"]) == (400, "no_turn_format")


def test_formats(tmp_path):
    card = (
        '---\nlibrary_name: recurra\nchat_format: {"user": "Q{}\\n", "assistant": "A{}\\n"}\n---\n'
    )
    found = format_of(card, None)
    assert found.stop == "\n"
    assert found.text([type("M", (), {"role": "user", "content": "x"})]) == "Qx\nA"
    assert format_of("---\ntags: []\n---\nchat_format: {}", None) is None
    path = tmp_path / "turns.json"
    path.write_text(json.dumps({"user": "U{}", "assistant": "A{}", "system": "S{}"}))
    assert format_of("", str(path)).stop == "U"
    for wrong in ({}, {"user": "x", "assistant": "{}"}, {"user": "{}", "assistant": "{}"}, [],
                  {"user": "{}\n", "assistant": "{}", "tool": "{}"}):  # fmt: skip
        with pytest.raises(InputError, match="a chat format"):
            TurnFormat.of(wrong, "here")


def test_tokens_and_scores(client):
    text = "the cat é"
    status, found = client("/v1/tokenize", {"model": "byte-rnn", "text": text})
    assert status == 200
    assert found["tokens"] == MODEL.tokenizer.encode(text).tolist()
    assert found["offsets"][-2:] == [8, 8]
    _, back = client("/v1/detokenize", {"model": "byte-rnn", "tokens": found["tokens"]})
    assert back == {"text": text}
    status, reply = client("/v1/detokenize", {"model": "byte-rnn", "tokens": [10**6]})
    assert (status, reply["error"]["param"]) == (400, "tokens")
    _, scored = client("/v1/score", {"model": "byte-rnn", "text": text, "top": 3})
    nats = -MODEL.log_probabilities(text=text)
    assert scored["nats"][0] is None
    assert scored["nats"][1:] == pytest.approx(list(nats), abs=1e-5)
    assert scored["perplexity"] == pytest.approx(math.exp(nats.mean()), rel=1e-5)
    assert [len(top) for top in scored["top"]] == [0] + [3] * (len(nats))
    state = client.write(text[:4], model="byte-rnn", max_tokens=0, keep_state=True)
    rest = {"model": "byte-rnn", "text": text[4:], "state": state["recurra"]["state"]}
    _, tail = client("/v1/score", rest)
    assert tail["nats"] == scored["nats"][4:]
    long = {"model": "byte-rnn", "text": "x" * 100_001}
    assert client("/v1/score", long)[1]["error"]["code"] == "context_too_long"
