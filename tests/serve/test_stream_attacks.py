"""`/v1/stream` under attack: handshakes, forged states, words without end, work left behind."""

import asyncio
import base64
import json
import logging
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import recurra
from recurra.errors import InputError
from serve.conftest import GOLDEN, RUNS, running
from serve.talk import UPGRADE, Talk, frame, url_of
from serve.test_security import KEY, speak
from tasks.streamed import STREAMED

InvalidStatus = pytest.importorskip("websockets.exceptions").InvalidStatus


def instead(old, new):
    assert old in UPGRADE
    return UPGRADE.replace(old, new)


def beside(line):
    return instead(b"host: localhost\r\n", b"host: localhost\r\n" + line + b"\r\n")


OPEN = frame(1, json.dumps({"type": "open", "model": "char-lstm"}).encode())
PARTS = b",".join(b"a%d" % n for n in range(2000))
LINES = b"\r\n".join(b"x%d: y" % n for n in range(900))
HANDSHAKES = {
    "another version": (instead(b"version: 13", b"version: 8"), 400, "invalid_http"),
    "no version": (instead(b"sec-websocket-version: 13\r\n", b""), 400, "invalid_http"),
    "a short key": (instead(b"AAAAAAAAAAAAAAAAAAAAAA==", b"AAAA"), 400, "invalid_http"),
    "two keys": (beside(b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="), 400, "invalid_http"),
    "a post": (instead(b"GET", b"POST"), 405, "invalid_http"),
    "a body": (instead(b"==\r\n\r\n", b"==\r\ncontent-length: 2\r\n\r\n{}"), 400, "invalid_http"),
    "no upgrade": (instead(b"connection: upgrade\r\n", b""), 426, "upgrade_required"),
    "two origins": (beside(b"origin: http://a\r\norigin: http://b"), 400, "invalid_http"),
    "a long line": (beside(b"sec-websocket-protocol: " + PARTS), 431, "invalid_http"),
    "many lines": (beside(LINES), 431, "invalid_http"),
    "protocols of no letters": (beside(b"sec-websocket-protocol: \xff,;"), 400, "invalid_http"),
    "frames before the answer": (UPGRADE + OPEN, 400, "invalid_http"),
    "another host": (instead(b"localhost", b"evil.example"), 403, "host_not_allowed"),
    "another origin": (beside(b"origin: http://evil.example"), 403, "origin_not_allowed"),
    "another path": (instead(b"/v1/stream", b"/v1/completions"), 404, "not_found"),
    "a path of another host": (instead(b"/v1/stream", b"http://evil/v1/stream"), 404, "not_found"),
}


@pytest.fixture(scope="module")
def plain():
    with running(RUNS[:1]) as made:
        yield made


@pytest.mark.parametrize("name", HANDSHAKES)
def test_a_wrong_handshake_is_answered_in_the_form_of_all_errors(plain, name, caplog):
    sent, status, code = HANDSHAKES[name]
    if status == 426:  # an ordinary request, whose connection is kept
        sent = sent.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
    head, _, body = speak(plain.port, sent).partition(b"\r\n\r\n")
    assert head.split()[1] == str(status).encode()
    error = json.loads(body)["error"]
    assert error["code"] == code
    assert error["message"].isprintable()
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_what_cannot_be_a_handshake_is_hung_up_on(plain):
    """A length without a body: it would wait for ever, without a key."""
    sent = instead(b"==\r\n\r\n", b"==\r\ncontent-length: 2\r\n\r\n")
    begun = time.monotonic()
    speak(plain.port, sent)
    assert time.monotonic() - begun < 5


def test_a_stranger_leaves_no_lines_in_the_log(caplog):
    with running(RUNS[:1], keys=(KEY,)) as client:
        assert speak(client.port, UPGRADE).startswith(b"HTTP/1.1 401")
    with running(RUNS[:1]) as client, Talk(url_of(client)) as talk:
        talk.socket.socket.sendall(frame(1, b"\xff\xfe"))
        assert talk.closed()[1] == 1007
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_streams_leave_connections_to_requests():
    with running(RUNS[:1], streams=2) as client:
        with Talk(url_of(client)) as one, Talk(url_of(client)) as two:
            for talk in (one, two):
                assert talk.ask(type="open", model="char-lstm")["type"] == "opened"
            with pytest.raises(InvalidStatus) as refused:
                Talk(url_of(client))
            reply = refused.value.response
            assert (reply.status_code, reply.headers["retry-after"]) == (429, "1")
            assert json.loads(reply.body)["error"]["code"] == "too_many_streams"
            client.write("the ", max_tokens=3)
        until = time.monotonic() + 5
        while client.serving.connected:
            assert time.monotonic() < until
            time.sleep(0.01)
        with Talk(url_of(client)) as talk:
            assert talk.ask(type="open", model="char-lstm")["type"] == "opened"


@pytest.mark.parametrize(
    ("options", "source", "param"),
    [
        ({"beams": 65}, "ab", "beams"),
        ({"beams": 10**6, "n_best": 65}, "ab", "beams"),
        ({"max_tokens": 10**9}, "ab", "max_tokens"),
        ({}, "ab" * 30_000, "state"),
    ],
    ids=str,
)
def test_a_state_has_no_more_than_a_stream_may(tasks, options, source, param, tmp_path):
    """Its hash is no signature: anybody could have written it."""
    stream = recurra.load(GOLDEN / "translator-copy" / "model").open_stream(**options)
    stream.push(source)
    data = stream.state.save(tmp_path / "state").read_bytes()
    with Talk(url_of(tasks)) as talk:
        talk.tell(type="open", model="source", state=base64.b64encode(data).decode())
        (told,), code, _ = talk.closed()
        assert (told["error"]["param"], code) == (param, 1008), told


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    runs = [f"source={GOLDEN / 'translator-copy' / 'model'}"]
    for name, row in (("words", "texts, last"), ("pairs", "texts, largest"),
                      ("direct", "a series, direct"), ("paths", "a series, paths")):  # fmt: skip
        folder = tmp_path_factory.mktemp(name)
        STREAMED[row].make().save(folder / "model")
        runs.append(f"{name}={folder / 'model'}")
    with running(runs) as made:
        yield made


@pytest.mark.parametrize("name", ["words", "pairs"])
def test_a_word_ends(tasks, name):
    """What is held until a word ends is looked at with each frame, and kept."""
    with Talk(url_of(tasks)) as talk:
        talk.ask(type="open", model=name)
        assert talk.push("x" * 9_000)["type"] == "result"
        refused = talk.push("x" * 9_000)
        assert "expected a word to end within 10,000 characters" in refused["error"]["message"]
        for _ in range(3):
            assert talk.push("x y " * 9_000)["type"] == "result"


@pytest.mark.parametrize("name", ["direct", "paths"])
def test_values_out_of_reach_are_refused(tasks, name):
    series = STREAMED["a series, direct"].options["data"].tolist()
    data = "\n".join(["y", *map(repr, series)])
    with Talk(url_of(tasks)) as talk:
        assert talk.ask(type="open", model=name, data=data)["type"] == "opened"
        wanted = talk.push([])["result"]
        for value in (3e38, -3e38, 1e60, 1e308):
            refused = talk.push([5.0, value])
            assert "append: expected numbers like those" in refused["error"]["message"]
        again = talk.push([])["result"]
        assert again["times"] == wanted["times"]
    for value in (1e30, -1e39, 1e99):
        series[-2] = value
        body = {"model": name, "inputs": ["\n".join(["y", *map(repr, series)])]}
        assert tasks("/v1/forecast", body)[0] == 200  # a series of its own is its own measure
        model = STREAMED["a series, direct"].make()
        with pytest.raises(InputError, match="expected numbers like those"):
            model.predict(np.array(series))


def test_a_result_that_is_no_number_is_an_error_of_the_request(monkeypatch, tasks):
    """Whatever the model: JSON has no such numbers."""
    from recurra.tasks.forecaster.forecast import Forecast

    monkeypatch.setattr(Forecast, "to_dict", lambda self: {"y": float("inf")})
    series = STREAMED["a series, direct"].options["data"].tolist()
    data = "\n".join(["y", *map(repr, series)])
    status, reply = tasks("/v1/forecast", {"model": "direct", "inputs": [data]})
    assert (status, reply["error"]["code"]) == (400, "not_finite")
    with Talk(url_of(tasks)) as talk:
        talk.ask(type="open", model="direct", data=data)
        assert talk.push([5.0])["error"]["code"] == "not_finite"
        assert talk.ask(type="finish")["error"]["code"] == "not_finite"
        monkeypatch.undo()
        assert talk.ask(type="finish")["type"] == "finished"  # it has not ended by what failed


def test_work_that_nobody_waits_for():
    """What was begun ends before anything else begins; what was not is left."""
    from recurra.serve.worker import Worker

    seen, gate = [], threading.Event()

    def long():
        seen.append("begun")
        gate.wait(10)
        seen.append("ended")

    async def main():
        worker = Worker("a worker")
        leaving = [asyncio.ensure_future(worker.do(long))]
        leaving += [asyncio.ensure_future(worker.do(lambda: seen.append("left"))) for _ in range(9)]
        while not seen:
            await asyncio.sleep(0.01)
        for each in leaving:
            each.cancel()
        staying = asyncio.ensure_future(worker.do(lambda: seen.append("stays") or 3))
        await asyncio.sleep(0.05)
        assert seen == ["begun"]
        assert worker.busy
        gate.set()
        assert await staying == 3
        assert seen == ["begun", "ended", "stays"]
        with pytest.raises(ZeroDivisionError):
            await worker.do(lambda: 1 // 0)
        assert await worker.do(lambda: 4) == 4
        worker.stop()

    before = threading.active_count()
    asyncio.run(main())
    time.sleep(0.05)
    assert threading.active_count() == before


def test_the_end_does_not_wait_for_work_that_nobody_waits_for():
    command = [
        sys.executable,
        "-m",
        "recurra",
        "serve",
        f"m={GOLDEN / 'translator-copy' / 'model'}",
    ]
    process = subprocess.Popen(
        [*command, "--port", "0", "--grace", "0.3"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        url = process.stdout.readline().split()[-1]
        with Talk(url.replace("http", "ws") + "/v1/stream") as talk:
            talk.ask(type="open", model="m", beams=64, max_tokens=4096)
            talk.push("abcdefgh" * 1200)
            talk.tell(type="finish")
            time.sleep(0.5)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert talk.hear()["type"] == "draining"
            (told,), code, _ = talk.closed()
            assert (told["error"]["code"], code) == ("draining", 1012)
        assert process.wait(20) == 0, process.stderr.read()
        assert time.monotonic() - begun < 10
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("sizes", "closing", "cut"),
    [
        ([9, 9, 9, 9], False, 4),  # takes nothing
        ([9, 8, 7, 6], False, None),  # slowly, while there is more to say
        ([0, 0, 0, 0], False, None),  # nothing waits
        ([9, 8, 7, 6], True, 4),  # slowly, at the end
        ([9, 0, 0, 0], True, None),
    ],
)
def test_who_is_cut(monkeypatch, sizes, closing, cut):
    """Looked at each second, where a reader may take nothing for two and a half."""
    from recurra.serve import socket_wire

    class Transport:
        def get_write_buffer_size(self):
            return self.size

        def is_closing(self):
            return closing and self.since is not None

    async def main():
        loop = asyncio.get_running_loop()
        connection = type("Connection", (), {"transport": Transport()})()
        connection.transport.since = None
        clock = 100.0
        monkeypatch.setattr(loop, "time", lambda: clock)
        for second, size in enumerate([5, *sizes]):
            connection.transport.size, clock = size, 100.0 + second
            if socket_wire.stalled(connection, 2.5):
                return second
            connection.transport.since = clock
        return None

    assert asyncio.run(main()) == cut
