"""`/v1/stream`: who may connect, and what is bounded."""

import base64
import json
import socket
import threading
import time

import pytest

import recurra
from serve.conftest import RUNS, running
from serve.talk import PATH, UPGRADE, Talk, code_of, connect, frame, raw, url_of
from serve.test_security import KEY

InvalidStatus = pytest.importorskip("websockets.exceptions").InvalidStatus


def key_of(key):
    return ["recurra", "recurra.key." + base64.urlsafe_b64encode(key.encode()).decode().strip("=")]


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({}, 401),
        ({"additional_headers": {"authorization": f"Bearer {KEY}"}}, 101),
        ({"additional_headers": {"authorization": f"Bearer {KEY[:-1]}x"}}, 401),
        ({"subprotocols": key_of(KEY)}, 101),
        ({"subprotocols": key_of(KEY[:-1])}, 401),
        ({"subprotocols": ["recurra", f"recurra.key.{KEY}"]}, 401),
        ({"subprotocols": ["recurra"]}, 401),
        ({"subprotocols": key_of(KEY), "origin": "https://evil.example"}, 403),
        ({"subprotocols": key_of(KEY), "origin": "null"}, 403),
        ({"subprotocols": key_of(KEY), "origin": "https://page.example"}, 101),
        ({"path": f"{PATH}?key={KEY}"}, 401),
        ({"path": "/v1/other"}, 401),
        ({"path": "/v1/other", "subprotocols": key_of(KEY)}, 404),
        ({"path": "/health"}, 401),
        ({"path": "/health", "subprotocols": key_of(KEY)}, 404),
        ({"host": "evil.example", "subprotocols": key_of(KEY)}, 403),
    ],
    ids=str,
)  # fmt: skip
def test_who_may_connect(how, status):
    with running(RUNS[:1], keys=(KEY,), origins=("https://page.example",)) as client:
        given = dict(how)
        path, host = given.pop("path", PATH), given.pop("host", "localhost")
        sock = socket.create_connection(("127.0.0.1", client.port))
        url = f"ws://{host}{path}"
        if status == 101:
            with connect(url, sock=sock, **given) as found:
                assert found.subprotocol == ("recurra" if "subprotocols" in given else None)
            return
        with pytest.raises(InvalidStatus) as refused:
            connect(url, sock=sock, **given)
        reply = refused.value.response
        assert reply.status_code == status
        told = json.loads(reply.body)["error"]["message"]
        assert told.isprintable()
        assert KEY not in told


@pytest.fixture(scope="module")
def narrow():
    with running(RUNS[:1], body=2000, idle=0.5, stall=1.0, connections=6, grace=0.5) as made:
        yield made


def opened(client, **more):
    talk = Talk(url_of(client), max_size=None, **more)
    assert talk.ask(type="open", model="char-lstm")["type"] == "opened"
    return talk


def test_a_silent_stream_is_closed(narrow):
    with opened(narrow) as talk:
        (told,), code, reason = talk.closed()
        assert (code, told["error"]["code"]) == (4408, "deadline")
        assert reason == "deadline: no message within 0.5 s"


def test_a_large_message_is_refused(narrow):
    with opened(narrow) as talk:
        talk.socket.send("x" * 3000)
        assert talk.closed()[1] == 1009


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([frame(1, b'"', fin=False)] + [frame(0, b"", fin=False)] * 1200, 1009),
        ([frame(1, b" " * 1500, fin=False), frame(0, b" " * 1500, fin=False)], 1009),
        ([frame(1, b"\xff\xfe")], 1007),
        ([frame(3, b"x")], 1002),
        ([bytes([0x81, 1]) + b"x"], 1002),  # without a mask
        ([frame(0, b"x")], 1002),
        ([bytes([0x81, 0xFF]) + b"\x7f" + b"\xff" * 7 + b"\0\0\0\0"], 1009),
        ([bytes([0xC1, 0x81]) + b"\0\0\0\0x"], 1002),  # compressed, which was not agreed on
    ],
    ids=["empty parts", "parts", "utf-8", "opcode", "unmasked", "part alone", "length", "deflate"],
)
def test_frames_that_break_the_rules(narrow, parts, code):
    assert code_of(raw(narrow, *parts)) == code
    assert narrow("/health")[0] == 200


def test_many_messages_at_once_keep_their_order(narrow):
    with opened(narrow) as talk:
        for n in range(600):
            talk.tell(type="push", frame="the cat "[n % 8])
        stream = recurra.load(RUNS[0].partition("=")[2]).open_stream()
        for n in range(600):
            wanted = stream.push("the cat "[n % 8])
            assert talk.hear()["result"]["text"] == str(wanted)


def test_those_who_take_nothing_are_cut(narrow):
    """Answers to pings, results, and events of a reply, that nobody reads."""
    socks = []
    for kind in ("pings", "results", "events"):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", narrow.port))
        socks.append(sock)
        if kind == "events":
            body = json.dumps({"model": "char-lstm", "prompt": "a", "max_tokens": 4096, "n": 8,
                               "stream": True}).encode()  # fmt: skip
            head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n"
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            sock.sendall(head.encode() + body)
            continue
        sock.sendall(UPGRADE)
        sock.recv(12)
        data = frame(9, b"p" * 100) * 100
        if kind == "results":
            ask = [{"type": "open", "model": "char-lstm", "top": 20}]
            ask += [{"type": "push", "frame": "a"}] * 100
            data = b"".join(frame(1, json.dumps(one).encode()) for one in ask)

        def flood(sock=sock, data=data):
            try:
                while True:
                    sock.sendall(data)
            except OSError:
                pass

        threading.Thread(target=flood, daemon=True).start()
    until = time.monotonic() + 15
    connections = narrow.server.server_state.connections
    while connections and time.monotonic() < until:
        time.sleep(0.05)
    (engine,) = narrow.serving.models.engines
    try:
        assert not connections
        assert not narrow.serving.sockets
        assert engine.running == 0
    finally:
        for sock in socks:
            sock.close()


def test_a_client_that_leaves_is_forgotten(narrow):
    talk = opened(narrow)
    talk.tell(type="write", max_tokens=4000)
    talk.hear()
    talk.socket.socket.close()
    until = time.monotonic() + 5
    while narrow.serving.sockets:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("leaves", [True, False])
def test_streams_have_the_grace_to_end(leaves):
    with (
        running(RUNS[:1], grace=20.0 if leaves else 0.5) as client,
        opened(client) as talk,
        Talk(url_of(client)) as other,
    ):
        talk.push("the ")
        other.ask(type="open", model="char-lstm")
        client.server.should_exit = True
        assert talk.hear()["type"] == "draining"
        assert other.hear()["type"] == "draining"
        if leaves:
            assert talk.push("cat")["type"] == "result"
            assert talk.ask(type="finish")["type"] == "finished"
            other.ask(type="finish")
            return
        (told,), code, reason = talk.closed()
        assert (told["error"]["code"], code) == ("draining", 1012)
        assert reason.startswith("draining")
