"""States: a text in parts is the text of one call, whatever forks, rewinds and moves on the way."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.generate import Carried
from recurra.generate.streams import Trail
from recurra.serve.errors import ApiError
from recurra.serve.sessions import Sessions
from recurra.serve.settings import Limits
from serve.conftest import running

TEXT = "the cat sat on the mat and the dog lay near the old door of the house. "


def ask(client, prompt, seed, tokens, state=None, **more):
    reply = client.write(
        prompt, seed=seed, max_tokens=tokens, keep_state=True, logprobs=0, state=state, **more
    )
    choice = reply["choices"][0]
    scored = choice["logprobs"]
    return scored["tokens"], scored["token_logprobs"], reply["recurra"]["state"]


def move(client, state):
    """A state by way of a file."""
    _, _, data = client.raw("GET", f"/v1/states/{state}/export")
    kind = {"content-type": "application/octet-stream"}
    status, _, reply = client.raw("POST", "/v1/states/import", data, kind)
    assert status == 200, reply
    return json.loads(reply)["id"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 70)),
        st.tuples(st.just("fork"), st.just(0)),
        st.tuples(st.just("move"), st.just(0)),
        st.tuples(st.just("detour"), st.integers(1, 90)),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    steps=STEPS,
    seed=st.integers(0, 2**31),
    first=st.integers(0, 140),
    how=st.sampled_from(
        [{"temperature": 0}, {"temperature": 1.3}, {"frequency_penalty": 0.4, "top_k": 9}]
    ),
)
def test_a_text_in_parts_is_that_of_one_call(client, steps, seed, first, how):
    prompt = (TEXT * 2)[:first]
    tokens, logprobs, state = ask(client, prompt, seed, 1, **how)
    for step, count in steps:
        if step == "write":
            more = ask(client, "", seed, count, state, **how)
            tokens, logprobs, state = tokens + more[0], logprobs + more[1], more[2]
        elif step == "fork":
            _, made = client(f"/v1/states/{state}/fork", method="POST")
            client(f"/v1/states/{state}", method="DELETE")
            state = made["id"]
        elif step == "move":
            state = move(client, state)
        else:  # on, and back again
            _, here = client(f"/v1/states/{state}")
            _, _, there = ask(client, TEXT[:9], seed + 1, count, state, **how)
            status, made = client(f"/v1/states/{there}/rewind", {"to": here["tokens"]})
            assert status == 200, made
            assert made["tokens"] == here["tokens"]
            state = made["id"]
    whole = ask(client, prompt, seed, len(tokens), **how)
    assert tokens == whole[0]
    assert np.array(logprobs).tobytes() == np.array(whole[1]).tobytes()


@pytest.mark.parametrize("to", [1, 2, 63, 64, 65, 100, 128, 129, 200, 213])
def test_rewinding_is_reading_that_far(client, to):
    text = (TEXT * 3)[:193]
    reply = client.write(text, max_tokens=20, seed=4, keep_state=True, echo=True)
    whole = reply["choices"][0]["text"]
    status, made = client(f"/v1/states/{reply['recurra']['state']}/rewind", {"to": to})
    assert (status, made["tokens"]) == (200, to)
    direct = client.write(whole[:to], max_tokens=30, temperature=0)
    again = client.write("", max_tokens=30, temperature=0, state=made["id"])
    assert again["choices"] == direct["choices"]
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == to
    assert client(f"/v1/states/{made['id']}/rewind", {"to": to + 1})[0] == 400


def test_a_damaged_file_is_refused(client):
    state = client.write("the cat", max_tokens=3, keep_state=True)["recurra"]["state"]
    _, _, data = client.raw("GET", f"/v1/states/{state}/export")
    kind = {"content-type": "application/octet-stream"}
    rng = np.random.default_rng(0)
    for n in range(60):
        wrong = bytearray(data)
        if n % 3 == 0:
            del wrong[rng.integers(0, len(data)) :]
        else:
            wrong[rng.integers(0, len(data))] ^= 1 << rng.integers(0, 8)
        status, _, reply = client.raw("POST", "/v1/states/import", bytes(wrong), kind)
        assert status == 400, (n, reply)
        assert json.loads(reply)["error"]["code"] in ("invalid_state", "state_of_another_model")


def test_a_state_belongs_to_a_key_and_a_model():
    with running(keys=("a" * 16, "b" * 16)) as client:
        state = client.write("the", max_tokens=3, keep_state=True)["recurra"]["state"]
        other = type(client)(client.port, "b" * 16)
        assert other(f"/v1/states/{state}")[0] == 404
        assert other(f"/v1/states/{state}", method="DELETE")[0] == 404
        body = {"model": "char-lstm", "state": state}
        assert other("/v1/completions", body)[0] == 404
        assert other("/v1/states")[1]["data"] == []
        status, reply = client("/v1/completions", {"model": "byte-rnn", "state": state})
        assert (status, reply["error"]["code"]) == (400, "state_of_another_model")
        assert client(f"/v1/states/{state}")[0] == 200


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def kept_by(sessions, owner, *, size=100, trail=None):
    carried = Carried(((np.zeros((1, size), np.uint8),),), np.zeros(5, np.int32))
    return sessions.keep(owner, "m", "d", carried, trail)


def test_states_leave_by_number_bytes_and_time():
    clock = Clock()
    limits = Limits(state_count=3, state_bytes=1000, state_minutes=1)
    sessions = Sessions(limits, clock)
    first, second, third = (kept_by(sessions, "a").id for _ in range(3))
    sessions.get("a", first)
    kept_by(sessions, "a")
    assert {kept.id for kept in sessions.list("a")} >= {first, third}
    with pytest.raises(ApiError) as gone:
        sessions.get("a", second)
    assert (gone.value.status, gone.value.code) == (410, "state_expired")
    with pytest.raises(ApiError) as never:
        sessions.get("b", first)
    assert never.value.status == 404
    kept_by(sessions, "a", size=900)
    assert (sessions.count, sessions.bytes) == (1, 920)
    with pytest.raises(ApiError) as large:
        kept_by(sessions, "b", size=2000)
    assert large.value.status == 413
    clock.now = 61
    sessions.expire()
    assert (sessions.count, sessions.bytes) == (0, 0)


def test_what_states_share_counts_once():
    sessions = Sessions(Limits())
    root = Trail(None, 0, np.zeros(10, np.uint8))
    trunk = Trail(root, 64, np.zeros(10, np.uint8))
    made = [kept_by(sessions, "a", size=1, trail=trunk) for _ in range(3)]
    made.append(kept_by(sessions, "a", size=1, trail=Trail(trunk, 128, np.zeros(10, np.uint8))))
    assert sessions.bytes == 4 * 21 + 30
    for kept in made:
        sessions.delete("a", kept.id)
    assert sessions.bytes == 0
