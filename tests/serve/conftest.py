"""Servers on 127.0.0.1, in a thread each, and a client without manners of its own."""

import http.client
import json
import threading
import time
from contextlib import contextmanager

import pytest

from conftest import ROOT

GOLDEN = ROOT / "tests" / "golden"
RUNS = [f"{name}={GOLDEN / f'lm-{name}' / 'model'}" for name in ("char-lstm", "byte-rnn")]


class Client:
    """JSON over one connection a request."""

    def __init__(self, port, key=None):
        self.port, self.key = port, key
        self.url = f"http://127.0.0.1:{port}"

    def raw(self, method, path, body=None, headers=None, *, timeout=20):
        """Status, headers and bytes of a reply."""
        given = {} if self.key is None else {"authorization": f"Bearer {self.key}"}
        if body is not None:
            given["content-type"] = "application/json"
        given |= headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, given)
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            connection.close()

    def __call__(self, path, value=None, *, method=None, **headers):
        """Status and value of a reply; `value` is sent as JSON."""
        body = None if value is None else json.dumps(value).encode()
        method = method or ("GET" if value is None else "POST")
        status, _, data = self.raw(method, path, body, headers)
        return status, json.loads(data)

    def write(self, prompt="", *, model="char-lstm", **fields):
        """A completion that has to succeed."""
        status, reply = self("/v1/completions", {"model": model, "prompt": prompt, **fields})
        assert status == 200, reply
        return reply


@contextmanager
def running(runs=RUNS, *, keys=(), origins=(), hosts=(), chat=None, process=None, **limits):
    """A server, and a client for it; skips where it is not installed."""
    for needed in ("fastapi", "uvicorn", "websockets"):
        pytest.importorskip(needed, reason="serving is not installed: pip install recurra[serve]")
    from recurra.serve.run import Listening, Server, listen, load
    from recurra.serve.settings import Limits

    bounds = Limits(**{"grace": 1.0, **limits})
    where = Listening(
        port=0, keys=keys, allow_origins=origins, allow_hosts=hosts, limits=bounds
    ).validate()
    listener = listen(where)
    serving = load(runs, bounds, chat=chat, process=process)
    server = Server(serving, where)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    client = Client(listener.getsockname()[1], keys[0] if keys else None)
    client.serving, client.server = serving, server
    try:
        yield client
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def client():
    """The client of a server that the tests of a file share."""
    with running() as made:
        yield made
