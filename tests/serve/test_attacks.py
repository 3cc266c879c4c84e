"""What strangers try on a connection: each answered in one form, or closed, and nothing else
disturbed."""

import json
import socket
import time

import pytest

from serve.conftest import Client, running
from serve.test_security import KEY, speak

AUTH = f"authorization: Bearer {KEY}\r\n"
UPGRADE = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
BODY = '{"model":"char-lstm","prompt":"a","max_tokens":1}'


def post(
    body=BODY, *, path="/v1/completions", version="1.1", more="", length=None, host="localhost"
):
    """A request by hand."""
    head = f"POST {path} HTTP/{version}\r\nhost: {host}\r\n{AUTH}content-type: application/json\r\n"
    size = len(body) if length is None else length
    return f"{head}{more}content-length: {size}\r\nconnection: close\r\n\r\n{body}".encode()


def get(path="/health", *, version="1.1", more="", host="host: localhost\r\n"):
    return f"GET {path} HTTP/{version}\r\n{host}{more}connection: close\r\n\r\n".encode()


@pytest.fixture(scope="module")
def guarded():
    with running(keys=(KEY,), header_read=1.0, queue_wait=1.0) as made:
        yield made


DEEP = '{"model":"char-lstm","prompt":' + "[" * 5000 + "]" * 5000 + "}"
CASES = {
    # Two ways to say how long a body is, of which a proxy in front may believe the other.
    "chunked and length": (post(more="transfer-encoding: chunked\r\n"), {400}),
    "two lengths": (post(more="content-length: 1\r\n"), {400}),
    "a length with a sign": (post(length="+49"), {400}),
    "a negative length": (post(length=-1), {400}),
    "a length in Arabic digits": (post(length="٤٩"), {400}),
    "chunked, misspelt": (post(more="transfer-encoding: xchunked\r\n"), {400, 501}),
    "a blank before a colon": (get(more="x : y\r\n"), {400}),
    "a folded header": (get(more="x: y\r\n z\r\n"), {200, 400}),
    "a bare line feed": (get().replace(b"\r\n", b"\n"), {200, 400}),
    "a zero byte in a header": (get(more="x: a\0b\r\n"), {400}),
    "no host": (get(host=""), {400}),
    "two hosts": (get(more="host: localhost\r\n"), {400, 403}),
    "HTTP/1.0": (get(version="1.0"), {200}),
    "HTTP/1.0 without a host": (get(version="1.0", host=""), {403}),
    "HTTP/0.9": (b"GET /health\r\n\r\n", {400}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    "another protocol version": (get(version="9.9"), {400}),
    "an absolute address": (get("http://evil.example/health"), {400, 401, 404}),
    "an address of a proxy": (get("evil.example:80").replace(b"GET", b"CONNECT"), {400, 401}),
    "a long address": (get("/" + "x" * 20_000), {400}),
    "a flood of headers": (get(more="".join(f"x{n}: {n}\r\n" for n in range(3000))), {400}),
    "many small headers": (get(more="".join(f"x{n}: {n}\r\n" for n in range(500))), {200, 400}),
    "a path out of the root": (get("/health/../v1/models"), {401}),
    "a coded path": (get("/%68ealth"), {200, 401}),
    "a doubly coded path": (get("/%2568ealth"), {401}),
    "a path with a slash behind": (get("/health/"), {401}),
    "a path with a zero": (get("/health%00"), {401}),
    "another method": (get().replace(b"GET", b"TRACE"), {401, 405}),
    "a method of its own": (get().replace(b"GET", b"X" * 50), {401, 405}),
    "depth": (post(DEEP), {400}),
    "a huge number": (post(BODY[:-1] + ',"seed":1' + "0" * 5000 + "}"), {400}),
    "a huge exponent": (post(BODY[:-1] + ',"temperature":1e999}'), {400}),
    "NaN": (post(BODY[:-1] + ',"temperature":NaN}'), {400}),
    "a key twice": (post(BODY[:-1] + ',"model":"x"}'), {400}),
    "half of a surrogate": (post(BODY.replace('"a"', '"\\ud800"')), {200, 400}),
    "a name with a new line": (post(BODY.replace("char-lstm", "a\\nlevel=fatal")), {404}),
    "a name that leads away": (post(BODY.replace("char-lstm", "../../etc/passwd")), {404}),
    "a long name": (post(BODY.replace("char-lstm", "x" * 100_000)), {400}),
    "a mark of byte order": (post("\ufeff" + BODY, length=len(BODY) + 3), {400}),
    "UTF-16": (post(BODY).replace(BODY.encode(), BODY.encode("utf-16-le")[: len(BODY)]), {400}),
    "compressed": (post(more="content-encoding: gzip\r\n"), {200, 400, 415}),
    "expecting": (post(more="expect: 100-continue\r\n"), {100, 200}),
    "a state of somebody else": (post(BODY[:-1] + ',"state":"st_' + "0" * 32 + '"}'), {404}),
    "a state of a wrong form": (post(BODY[:-1] + ',"state":"st_\\n' + "0" * 31 + '"}'), {400}),
    "another host": (post(host="evil.example"), {403}),
    "another origin": (post(more="origin: https://evil.example\r\n"), {403}),
    "a form of another page": (post(more="origin: null\r\n"), {403}),
    "a form": (post().replace(b"application/json", b"text/plain"), {415}),
    "an upgrade to HTTP/2": (get(more="upgrade: h2c\r\n"), {200, 400}),
    "an upgrade elsewhere": (get(more=UPGRADE + "sec-websocket-key: AAAA\r\n"), {200, 400, 401}),
    "an upgrade without a key": (get("/v1/stream", more=UPGRADE), {400, 401}),
    "an upgrade of HTTP/1.0": (get("/v1/stream", more=UPGRADE, version="1.0"), {400, 401}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_request_of_a_stranger(guarded, name):
    sent, statuses = CASES[name]
    found = speak(guarded.port, sent)
    head, _, body = found.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert status in statuses, found[:400]
    assert KEY.encode() not in found
    assert len(found) < 4000
    if status >= 400 and b"json" in head:
        error = json.loads(body)["error"]
        assert error["message"].isprintable()
        assert error["code"]
    assert guarded("/health") == (200, {"status": "ok"})


def test_requests_behind_one_another_are_answered_in_order(guarded):
    """Pipelined, the second of a stranger: it does not profit from the first's key."""
    one = post().replace(b"connection: close\r\n", b"")
    two = get("/v1/models")
    found = speak(guarded.port, one + two)
    parts = found.split(b"HTTP/1.1 ")[1:]
    assert [part[:3] for part in parts] == [b"200", b"401"]


def test_a_body_is_no_request(guarded):
    """What a proxy took for a body stays one."""
    hidden = "GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n"
    found = speak(guarded.port, post(hidden))
    assert found.count(b"HTTP/1.1 ") == 1
    assert found.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "sent", [b"GET /hea", post()[:-20], get()[:-3]], ids=["line", "body", "end"]
)
def test_who_sends_slowly_does_not_hold_others(guarded, sent):
    slow = [socket.create_connection(("127.0.0.1", guarded.port)) for _ in range(40)]
    try:
        for each in slow:
            each.sendall(sent)
        begun = time.monotonic()
        assert Client(guarded.port, KEY).write("a", max_tokens=1)
        assert time.monotonic() - begun < 1
        until = time.monotonic() + 5
        connections = guarded.server.server_state.connections
        while len(connections) > 1:
            assert time.monotonic() < until, "a slow one is still there"
            time.sleep(0.05)
    finally:
        for each in slow:
            each.close()


def test_states_of_others_are_as_if_they_were_not():
    other = "o" * 32
    with running(keys=(KEY, other)) as client:
        state = client.write("the ", max_tokens=2, keep_state=True)["recurra"]["state"]
        stranger = Client(client.port, other)
        wanted = stranger("/v1/states/st_" + "0" * 32)[1]["error"]["code"]
        for method, path, value in (
            ("GET", f"/v1/states/{state}", None),
            ("DELETE", f"/v1/states/{state}", None),
            ("GET", f"/v1/states/{state}/export", None),
            ("POST", f"/v1/states/{state}/fork", None),
            ("POST", f"/v1/states/{state}/rewind", {"to": 1}),
            ("POST", "/v1/completions", {"model": "char-lstm", "state": state}),
            ("POST", "/v1/score", {"model": "char-lstm", "text": "a", "state": state}),
        ):
            status, reply = stranger(path, value, method=method)
            assert (status, reply["error"]["code"]) == (404, wanted), path
        assert client(f"/v1/states/{state}")[0] == 200
