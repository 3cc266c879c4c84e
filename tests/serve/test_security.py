"""Who gets in, what is bounded, and that no route is open by accident."""

import json
import socket
import time
from pathlib import Path

import pytest

from recurra import page
from recurra.errors import InputError
from serve.conftest import Client, running

KEY = "k" * 32

#: Every route there is, and whether it needs a key. One that is missing here fails the test.
ROUTES = {
    ("GET", "/health"): False,
    ("GET", "/metrics"): True,
    ("GET", "/openapi.json"): True,
    ("GET", "/v1/models"): True,
    ("GET", "/v1/models/{name}"): True,
    ("GET", "/v1/states"): True,
    ("GET", "/v1/states/{id}"): True,
    ("DELETE", "/v1/states/{id}"): True,
    ("GET", "/v1/states/{id}/export"): True,
    ("POST", "/v1/states/{id}/fork"): True,
    ("POST", "/v1/states/{id}/rewind"): True,
    ("POST", "/v1/states/import"): True,
    ("POST", "/v1/completions"): True,
    ("POST", "/v1/chat/completions"): True,
    ("POST", "/v1/tokenize"): True,
    ("POST", "/v1/detokenize"): True,
    ("POST", "/v1/score"): True,
    ("POST", "/v1/inspect"): True,
    ("POST", "/v1/whatif"): True,
    ("GET", "/"): False,
    **{("GET", f"/static/{name}"): False for name in page.names()},
    ("GET", "/v1/stream"): True,
    **{
        ("POST", f"/v1/{verb}"): True
        for verb in ("classify", "tag", "forecast", "translate", "transcribe")
    },
}
KEYS = {
    "none": {},
    "wrong": {"authorization": f"Bearer {KEY[:-1]}x"},
    "shorter": {"authorization": f"Bearer {KEY[:-1]}"},
    "basic": {"authorization": f"Basic {KEY}"},
    "bare": {"authorization": KEY},
    "in another header": {"x-api-key": KEY},
    "not ascii": {"authorization": "Bearer \xff\xfe"},
}


@pytest.fixture(scope="module")
def guarded():
    with running(keys=(KEY, "j" * 20), origins=("https://page.example",)) as made:
        yield made


def routes(serving):
    """Method and path of every route: those of the schema, and those of the page, which are not."""
    from recurra.serve.app import make_routes

    found = set()
    for path, methods in make_routes(serving).openapi()["paths"].items():
        found |= {(method.upper(), path) for method in methods}
    files = {("GET", f"/static/{name}") for name in page.names()}
    return found | files | {("GET", "/openapi.json"), ("GET", "/")}


def test_no_route_hides_from_the_schema(guarded):
    from recurra.serve import routes as package

    written = "".join(path.read_text() for path in Path(package.__path__[0]).glob("*.py"))
    assert written.count("include_in_schema=False") == 2  # the page, and its files


def test_every_route_is_in_the_table(guarded):
    assert routes(guarded.serving) == set(ROUTES)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("method", "path"), [*ROUTES, ("GET", "/v1/unknown"), ("PUT", "/health")])
def test_no_route_opens_without_a_key(guarded, method, path, key):
    stranger = Client(guarded.port)
    status, headers, data = stranger.raw(method, path, None, KEYS[key])
    if ROUTES.get((method, path), True):
        assert status == 401
        assert json.loads(data)["error"]["code"] == "invalid_api_key"
        assert headers["www-authenticate"] == "Bearer"
    else:
        assert status == 200


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_opens_with_a_key(guarded, method, path):
    for key in (KEY, "j" * 20):
        status, headers, _ = Client(guarded.port, key).raw(method, path)
        assert status not in (401, 403)
        assert status < 500
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("localhost:99", 200), ("LOCALHOST", 200), ("[::1]:8000", 200),
        ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("localhost@evil", 403),
        ("", 403), ("127.0.0.1:80:80", 403),
    ],
)  # fmt: skip
def test_hosts(guarded, host, status):
    found, _, data = Client(guarded.port).raw("GET", "/health", None, {"host": host})
    assert found == status
    if status == 403:
        assert json.loads(data)["error"]["code"] == "host_not_allowed"


def test_pages_of_elsewhere(guarded):
    allowed = {"origin": "https://page.example"}
    status, headers, _ = guarded.raw("GET", "/v1/models", None, allowed)
    assert (status, headers["access-control-allow-origin"]) == (200, "https://page.example")
    status, headers, _ = Client(guarded.port).raw("OPTIONS", "/v1/completions", None, allowed)
    assert status == 204
    assert headers["access-control-allow-headers"] == "authorization, content-type"
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{guarded.port + 1}"):
        status, headers, data = guarded.raw("GET", "/v1/models", None, {"origin": origin})
        assert status == 403
        assert json.loads(data)["error"]["code"] == "origin_not_allowed"
        assert "access-control-allow-origin" not in headers
    own = {"origin": f"http://127.0.0.1:{guarded.port}"}
    status, headers, _ = guarded.raw("GET", "/v1/models", None, own)
    assert status == 200
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"host": "0.0.0.0"}, "a key is needed"),
        ({"host": "192.0.2.1"}, "a key is needed"),
        ({"keys": ("short",)}, "at least 16"),
        ({"keys": ("with blank " * 3,)}, "without blanks"),
        ({"allow_origins": ("example.org",)}, "expected scheme and host"),
        ({"allow_origins": ("https://a/b",)}, "expected scheme and host"),
        ({"port": 70000}, "0 to 65535"),
    ],
    ids=str,
)
def test_what_would_let_strangers_in_is_refused(given, message):
    pytest.importorskip("uvicorn", reason="serving is not installed: pip install recurra[serve]")
    from recurra.serve.run import Listening

    with pytest.raises(InputError, match=message):
        Listening(**given).validate()


@pytest.fixture(scope="module")
def narrow():
    with running(body=2000, headers=2048, connections=6, header_read=0.6, queue_wait=0.8) as made:
        yield made


def speak(port, *parts, wait=0.0):
    """Bytes sent on a connection, some time apart; all that comes back."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(wait)
        connection.settimeout(10)
        found = b""
        try:
            while more := connection.recv(65536):
                found += more
        except ConnectionResetError:
            pass
    return found


HEAD = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@pytest.mark.parametrize(
    ("parts", "status", "code"),
    [
        ([HEAD + b"content-length: 2001\r\n\r\n"], 413, "request_too_large"),
        ([HEAD + b"content-length: 99999999999999999999\r\n\r\n"], 413, "request_too_large"),
        ([HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n"], 400, "invalid_http"),
        ([HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"400\r\n" + b" " * 1024 + b"\r\n400\r\n"
          + b" " * 1024 + b"\r\n"], 413, "request_too_large"),
        ([b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 4000], 400, "invalid_http"),
        ([b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"], 400, "invalid_http"),
        ([b"GET /health HTTP/1.1\r\n"], 408, "deadline"),
        ([], 408, "deadline"),
        ([HEAD + b"content-length: 100\r\n\r\n{"], 408, "deadline"),
        ([HEAD.replace(b"json", b"xml") + b"content-length: 2\r\nconnection: close\r\n\r\n{}"],
         415, "unsupported_media_type"),
        ([b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n"
          b"connection: close\r\n\r\n{}"], 415, "unsupported_media_type"),
    ],
    ids=lambda x: str(x)[-40:],
)  # fmt: skip
def test_requests_are_bounded_in_bytes_and_time(narrow, parts, status, code):
    found = speak(narrow.port, *parts)
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.split()[1] == str(status).encode(), found
    assert json.loads(body)["error"]["code"] == code


def test_connections_are_counted(narrow):
    idle = [socket.create_connection(("127.0.0.1", narrow.port)) for _ in range(6)]
    time.sleep(0.1)
    found = speak(narrow.port, b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert found.startswith(b"HTTP/1.1 503")
    assert b"too_many_connections" in found
    for each in idle:
        each.close()
    time.sleep(0.1)
    assert narrow("/health") == (200, {"status": "ok"})


def test_hostile_names_and_paths(guarded):
    names = ("%2e%2e%2f", "%00", "x" * 4000, "%ff", "..%2f..%2fetc")
    for path in ("//v1/models", "/V1/MODELS", *(f"/v1/models/{name}" for name in names)):
        status, _, data = guarded.raw("GET", path)
        assert status == 404, path
        assert json.loads(data)["error"]["message"].isprintable()
        assert len(data) < 1000
