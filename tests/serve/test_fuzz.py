"""Whatever is sent: an answer or an error in its one form, and never a failure of the server."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

BODIES = {
    "/v1/completions": {
        "model": "char-lstm", "prompt": "the ", "max_tokens": 3, "n": 2, "temperature": 0.5,
        "top_p": 0.9, "top_k": 3, "min_p": 0.1, "frequency_penalty": 0.1, "presence_penalty": 0.1,
        "repetition_penalty": 1.1, "stop": ["e"], "seed": 3, "logprobs": 2, "echo": True,
        "stream": True, "stream_options": {"include_usage": True}, "logit_bias": {"3": 1},
        "keep_state": True, "user": "u", "best_of": 2, "suffix": None, "return_token_ids": True,
    },
    "/v1/chat/completions": {
        "model": "char-lstm", "messages": [{"role": "user", "content": "x"}], "max_tokens": 2,
    },
    "/v1/tokenize": {"model": "char-lstm", "text": "the cat"},
    "/v1/detokenize": {"model": "byte-rnn", "tokens": [3, 4, 5]},
    "/v1/score": {
        "model": "byte-rnn", "text": "the cat", "top": 2, "next": True, "keep_state": True,
        "tokens": None, "state": None,
    },
    "/v1/inspect": {
        "model": "char-lstm", "text": "the cat", "layer": 0, "name": "f", "units": [0], "start": 1,
        "stop": 3, "encoding_format": "base64", "state": None,
    },
    "/v1/whatif": {
        "model": "char-lstm", "text": "the cat", "at": 2, "replace": 3,
        "ablate": {"layer": 0, "unit": 1, "value": 0.5},
    },
    "/v1/classify": {"model": "char-lstm", "inputs": ["x"]},
    "/v1/states/st_" + "0" * 32 + "/rewind": {"to": 3},
}  # fmt: skip

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.integers(-2, 40),
    st.floats(allow_nan=False), st.text(max_size=20),
    st.sampled_from(["char-lstm", "byte-rnn", "\ud800", "\u2028", "st_" + "a" * 32, ""]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def requests(draw):
    path = draw(st.sampled_from(list(BODIES)))
    body = dict(BODIES[path])
    for _ in range(draw(st.integers(1, 3))):
        key = draw(st.sampled_from([*body, "unknown"]))
        if draw(st.booleans()):
            body[key] = draw(values)
        else:
            body.pop(key, None)
    if isinstance(body.get("max_tokens"), int):
        body["max_tokens"] = min(body["max_tokens"], 5000) if body["max_tokens"] > 50 else (
            body["max_tokens"])  # fmt: skip
    return path, body


@settings(max_examples=200, deadline=None, derandomize=True)
@given(request=requests())
def test_mutated_requests(client, request):
    path, body = request
    status, headers, data = client.raw("POST", path, json.dumps(body).encode())
    assert status < 500, (body, data)
    kind = {name.lower(): value for name, value in headers.items()}["content-type"]
    if status != 200:
        error = json.loads(data)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert isinstance(error["code"], str)
        assert error["message"]
    elif kind.startswith("text/event-stream"):
        assert data.decode().rstrip().endswith("[DONE]") or b'"error"' in data
    else:
        json.loads(data, parse_constant=pytest.fail)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.binary(max_size=300), path=st.sampled_from(list(BODIES)))
def test_bytes(client, data, path):
    status, _, found = client.raw("POST", path, data)
    assert status == 400
    assert json.loads(found)["error"]["code"]
