"""`/v1/completions`, by OpenAI's own client, against what `recurra.generate` writes."""

import json

import pytest

import recurra
from recurra.generate import Options, generate
from serve.conftest import GOLDEN

openai = pytest.importorskip("openai", reason="the judge, OpenAI's client, is not installed")

MODELS = {name: recurra.load(GOLDEN / f"lm-{name}" / "model") for name in ("char-lstm", "byte-rnn")}
PROMPT = "the cat sat on "


@pytest.fixture(scope="module")
def api(client):
    with openai.OpenAI(base_url=f"{client.url}/v1", api_key="none", max_retries=0) as made:
        yield made


WAYS = [
    {"temperature": 0},
    {"seed": 5},
    {"seed": 7, "temperature": 0.6, "top_p": 0.8},
    {"seed": 9, "frequency_penalty": 0.5, "presence_penalty": 0.25},
    {"seed": 2, "stop": ["e ", " t"]},
    {"seed": 3, "logit_bias": {"3": 5, "4": -100}},
    {"seed": 4, "extra_body": {"top_k": 4, "min_p": 0.05, "repetition_penalty": 1.3}},
]


def expected(name, prompts, fields, *, max_tokens=24, **more):
    """What the same call writes in Python."""
    own = {**fields, **fields.get("extra_body", {}), **more}
    own.pop("extra_body", None)
    if "logit_bias" in own:
        own["logit_bias"] = {int(id): added for id, added in own["logit_bias"].items()}
    model = MODELS[name]
    options = Options(max_tokens=max_tokens, **own)
    return generate(model.runtime, model.tokenizer, prompts, options)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("fields", WAYS, ids=str)
def test_a_text_is_that_of_generate_streamed_or_not(api, name, fields):
    (wanted,) = expected(name, [PROMPT], fields)
    whole = api.completions.create(model=name, prompt=PROMPT, max_tokens=24, **fields)
    assert whole.choices[0].text == wanted.text
    assert whole.choices[0].finish_reason == {"eos": "stop"}.get(
        wanted.stop_reason, wanted.stop_reason
    )
    assert whole.usage.completion_tokens == len(wanted.ids)
    assert whole.usage.prompt_tokens == len(MODELS[name].tokenizer.encode(PROMPT))
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    chunks = list(
        api.completions.create(
            model=name,
            prompt=PROMPT,
            max_tokens=24,
            stream=True,
            stream_options={"include_usage": True},
            **fields,
        )
    )
    assert "".join(c.choices[0].text for c in chunks[:-1]) == wanted.text
    assert [c.choices[0].finish_reason for c in chunks[:-1] if c.choices[0].finish_reason] == [
        whole.choices[0].finish_reason
    ]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


def test_choices_of_several_prompts_draw_from_streams_of_their_own(api):
    prompts = ["the cat", "a dog ", ""]
    reply = api.completions.create(
        model="char-lstm", prompt=prompts, n=2, seed=11, max_tokens=12, echo=True
    )
    wanted = expected(
        "char-lstm", [p for p in prompts for _ in range(2)], {"seed": 11}, max_tokens=12
    )
    assert [choice.index for choice in reply.choices] == list(range(6))
    assert [choice.text for choice in reply.choices] == [w.prompt + w.text for w in wanted]
    chunks = api.completions.create(
        model="char-lstm", prompt=prompts, n=2, seed=11, max_tokens=12, echo=True, stream=True
    )
    texts = {index: "" for index in range(6)}
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert list(texts.values()) == [choice.text for choice in reply.choices]
    ids = [MODELS["char-lstm"].tokenizer.encode(p).tolist() for p in prompts[:2]]
    same = api.completions.create(
        model="char-lstm", prompt=ids, n=2, seed=11, max_tokens=12, echo=True
    )
    assert [c.text for c in same.choices] == [c.text for c in reply.choices[:4]]


@pytest.mark.parametrize("name", MODELS)
def test_logprobs_of_prompt_and_text(api, name):
    model = MODELS[name]
    (wanted,) = expected(name, [PROMPT], {"seed": 5}, max_tokens=6, logprobs=3)
    reply = api.completions.create(
        model=name, prompt=PROMPT, seed=5, max_tokens=6, logprobs=3, echo=True
    )
    found = reply.choices[0].logprobs
    ids = [*model.tokenizer.encode(PROMPT).tolist(), *wanted.ids]
    assert found.tokens == [model.tokenizer.token(id) for id in ids]
    scores = model.log_probabilities(text=PROMPT)
    assert found.token_logprobs[0] is None
    assert found.token_logprobs[1 : len(scores) + 1] == pytest.approx(list(scores), abs=1e-5)
    assert found.token_logprobs[-6:] == pytest.approx(list(wanted.logprobs), abs=1e-12)
    assert found.text_offset[0] == 0
    for token, top in zip(found.tokens[1:], found.top_logprobs[1:], strict=True):
        assert token in top
        assert 3 <= len(top) <= 4
    for n, alternatives in enumerate(wanted.top):
        for each in alternatives:
            assert found.top_logprobs[n - 6][each.token] == pytest.approx(each.logprob)
    chunks = api.completions.create(
        model=name, prompt=PROMPT, seed=5, max_tokens=6, logprobs=3, echo=True, stream=True
    )
    parts = [c.choices[0].logprobs for c in chunks if c.choices and c.choices[0].logprobs]
    assert [token for part in parts for token in part.tokens] == found.tokens
    assert [x for part in parts for x in part.token_logprobs] == found.token_logprobs
    assert [x for part in parts for x in part.text_offset] == found.text_offset


def test_a_prompt_alone_is_read_and_scored(api, client):
    reply = api.completions.create(
        model="char-lstm", prompt="the cat", max_tokens=0, echo=True, logprobs=0
    )
    assert (reply.choices[0].text, reply.choices[0].finish_reason) == ("the cat", "length")
    assert len(reply.choices[0].logprobs.tokens) == 7
    assert reply.usage.completion_tokens == 0
    first = client.write("the cat", max_tokens=0, keep_state=True)["recurra"]["state"]
    assert (
        client.write("", state=first, max_tokens=9, temperature=0)["choices"]
        == (client.write("the cat", max_tokens=9, temperature=0)["choices"])
    )
    chunks = list(
        api.completions.create(model="char-lstm", prompt="a", max_tokens=0, stream=True, echo=True)
    )
    assert [c.choices[0].text for c in chunks if c.choices] == ["a", ""]


def test_a_seed_that_was_not_given_is_returned(client):
    one = client.write("the ", max_tokens=20)
    again = client.write("the ", max_tokens=20, seed=one["recurra"]["seed"])
    assert again["choices"] == one["choices"]
    assert client.write("the ", max_tokens=20)["recurra"]["seed"] != one["recurra"]["seed"]


def test_a_stop_is_held_back_across_chunks(client):
    free = client.write("the ", max_tokens=60, seed=3)["choices"][0]["text"]
    stop = free[20:26]
    body = {"model": "char-lstm", "prompt": "the ", "max_tokens": 60, "seed": 3, "stop": stop,
            "stream": True}  # fmt: skip
    _, _, data = client.raw("POST", "/v1/completions", json.dumps(body).encode())
    events = [line[6:] for line in data.decode().splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    choices = [json.loads(event)["choices"][0] for event in events[:-1]]
    assert "".join(choice["text"] for choice in choices) == free[: free.index(stop)]
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["stop"]


def test_models(api):
    assert {model.id for model in api.models.list()} == set(MODELS)
    one = api.models.retrieve("char-lstm")
    assert one.recurra["task"] == "language_model"
    assert one.recurra["vocab"] == len(MODELS["char-lstm"].tokenizer)
    assert one.recurra["state_bytes"] > 0


WRONG = [
    ({"model": "nope"}, openai.NotFoundError, "model_not_found", "model"),
    ({"extra_body": {"promt": "x"}}, openai.BadRequestError, "unknown_parameter", "promt"),
    ({"temperature": 2.5}, openai.BadRequestError, "invalid_value", "temperature"),
    ({"temperature": "hot"}, openai.BadRequestError, "invalid_value", "temperature"),
    ({"max_tokens": 5000}, openai.BadRequestError, "invalid_value", "max_tokens"),
    ({"max_tokens": True}, openai.BadRequestError, "invalid_value", "max_tokens"),
    ({"n": 9}, openai.BadRequestError, "invalid_value", "n"),
    ({"n": 2, "best_of": 3}, openai.BadRequestError, "invalid_value", "best_of"),
    ({"logprobs": 21}, openai.BadRequestError, "invalid_value", "logprobs"),
    ({"stop": ["a"] * 5}, openai.BadRequestError, "invalid_value", None),
    ({"stop": ""}, openai.BadRequestError, "invalid_value", None),
    ({"seed": -1}, openai.BadRequestError, "invalid_value", "seed"),
    ({"suffix": "x"}, openai.BadRequestError, "invalid_value", "suffix"),
    ({"stream_options": {}}, openai.BadRequestError, "invalid_value", "stream_options"),
    ({"logit_bias": {"999999": 1}}, openai.BadRequestError, "invalid_value", "logit_bias"),
    ({"prompt": ["a"] * 17}, openai.BadRequestError, "invalid_value", "prompt"),
    ({"prompt": [[99999]]}, openai.BadRequestError, "invalid_value", "prompt"),
    ({"prompt": [[-1]]}, openai.BadRequestError, "invalid_value", "prompt"),
    ({"prompt": [1.5]}, openai.BadRequestError, "invalid_value", "prompt"),
    ({"extra_body": {"top_k": 10**9}}, openai.BadRequestError, "invalid_value", "top_k"),
    ({"extra_body": {"state": "st_1"}}, openai.BadRequestError, "invalid_value", "state"),
    ({"extra_body": {"state": "st_" + "0" * 32}}, openai.NotFoundError, "state_not_found", "state"),
]


@pytest.mark.parametrize(("fields", "kind", "code", "param"), WRONG, ids=lambda x: str(x)[:40])
def test_what_is_wrong_is_named(api, fields, kind, code, param):
    given = {"model": "char-lstm", "prompt": "a", **fields}
    with pytest.raises(kind) as caught:
        api.completions.create(**given)
    assert caught.value.code == code
    assert caught.value.type in ("invalid_request_error", "not_found_error")
    if param is not None:
        assert caught.value.param == param
    assert caught.value.body["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b'{"model": NaN}', b'{"model": 1e999}', b"{" * 100, b'{"a":' * 3000,
        b"\xff\xfe", b'{"model": "char-lstm", "model": "char-lstm"}',
        b'{"model": "char-lstm", "temperature": Infinity}',
    ],
    ids=lambda b: repr(b[:24]),
)  # fmt: skip
def test_what_is_no_json_is_refused(client, body):
    status, _, data = client.raw("POST", "/v1/completions", body)
    assert status == 400
    assert json.loads(data)["error"]["code"] == "invalid_json"


def test_symbols_that_the_model_lacks(client):
    status, reply = client("/v1/completions", {"model": "char-lstm", "prompt": "\ud800 ☃"})
    assert status in (200, 400)
    if status == 400:
        assert reply["error"]["param"] == "prompt"
    emoji = client.write("é☃ 🎉\u2028", model="byte-rnn", max_tokens=40, seed=1, echo=True)
    body = {"model": "byte-rnn", "prompt": "é☃ 🎉\u2028", "max_tokens": 40, "seed": 1,
            "echo": True, "stream": True}  # fmt: skip
    _, _, data = client.raw("POST", "/v1/completions", json.dumps(body).encode())
    assert data.isascii()
    events = [line[6:] for line in data.decode().split("\n") if line.startswith("data: {")]
    text = "".join(c["text"] for e in events for c in json.loads(e)["choices"])
    assert text == emoji["choices"][0]["text"]
    assert text.startswith("é☃ 🎉\u2028")
