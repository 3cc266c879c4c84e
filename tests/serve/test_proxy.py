"""Two processes behind one port: the example's nginx, as it stands but for the ports."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import ROOT
from serve.conftest import RUNS, Client, running

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
CONFIG = ROOT / "examples" / "serve" / "nginx.conf"
TEXT = "the cat sat on the mat and the dog lay near the old door of the house. "


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def answers(port, until):
    while True:
        try:
            return Client(port).raw("GET", "/health")[0] == 200
        except OSError:
            assert time.monotonic() < until, "not in time"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """A client of nginx, and of each of the two processes."""
    if NGINX is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    pytest.importorskip("uvicorn", reason="serving is not installed: pip install recurra[serve]")
    folder = tmp_path_factory.mktemp("nginx")
    ports = {8000: free_port(), 8001: free_port(), 8002: free_port()}
    text = re.sub("127.0.0.1:(800[012])", lambda m: f"127.0.0.1:{ports[int(m[1])]}",
                  CONFIG.read_text())  # fmt: skip
    (folder / "nginx.conf").write_text(text)
    command = [sys.executable, "-m", "recurra", "serve", *RUNS, "--chat-format", "lines"]
    started = [
        subprocess.Popen([*command, "--port", str(ports[8000 + n]), "--process", str(n)],
                         stdout=subprocess.DEVNULL)
        for n in (1, 2)
    ]  # fmt: skip
    try:
        until = time.monotonic() + 30
        assert all(answers(ports[port], until) for port in (8001, 8002))
        conf = ["-p", str(folder), "-c", str(folder / "nginx.conf")]
        subprocess.run([NGINX, "-t", *conf], check=True, capture_output=True)
        started.append(subprocess.Popen([NGINX, *conf, "-g", "daemon off;"]))
        assert answers(ports[8000], until)
        clients = [Client(ports[port]) for port in (8000, 8001, 8002)]
        clients[0].processes = started
        yield clients
    finally:
        for each in reversed(started):
            each.send_signal(signal.SIGTERM)
        for each in started:
            each.wait(20)


def kept(client, prompt="the ", **fields):
    reply = client.write(prompt, max_tokens=6, seed=3, keep_state=True, **fields)
    return reply["recurra"]["state"], reply["choices"][0]["text"]


def test_states_are_reached_from_anywhere(proxied):
    front, one, two = proxied
    whole = one.write("the ", max_tokens=12, seed=3)["choices"][0]["text"]
    for number, process in ((1, one), (2, two)):
        state, begun = kept(process)
        assert state.startswith(f"st_{number:02x}")
        for _ in range(6):  # whichever process nginx asks first
            more, text = kept(front, "", state=state)
            assert more.startswith(f"st_{number:02x}")
            assert begun + text == whole
            assert front(f"/v1/states/{more}")[1]["tokens"] == 16
            status, back = front(f"/v1/states/{more}/rewind", {"to": 10})
            assert (status, back["tokens"]) == (200, 10)
            status, made = front(f"/v1/states/{more}/fork", method="POST")
            assert status == 200
            assert front(f"/v1/states/{made['id']}", method="DELETE")[0] == 200


def test_a_process_says_where_a_state_is(proxied):
    _, one, two = proxied
    state, _ = kept(two)
    body = json.dumps({"model": "char-lstm", "state": state}).encode()
    for method, path, given in (("POST", "/v1/completions", body),
                                ("GET", f"/v1/states/{state}", None)):  # fmt: skip
        status, headers, data = one.raw(method, path, given)
        error = json.loads(data)["error"]
        assert (status, error["code"], headers["recurra-process"]) == (421, "state_elsewhere", "02")
        assert "process 2" in error["message"]


def test_a_state_that_left_or_never_was_is_an_error_not_a_circle(proxied):
    front, one, _ = proxied
    state, _ = kept(one)
    front(f"/v1/states/{state}", method="DELETE")
    for id, status in ((state, 410), ("st_02" + "0" * 30, 404), ("st_ff" + "0" * 30, 421)):
        found, reply = front("/v1/completions", {"model": "char-lstm", "state": id})
        assert found == status, reply
        assert front(f"/v1/states/{id}")[0] == status


def test_requests_without_a_state_go_to_both_and_are_the_same(proxied):
    front, one, two = proxied
    wanted = one.write(TEXT, max_tokens=20, seed=1)["choices"]

    def ask(number):
        if number % 2:
            return front.write(TEXT, max_tokens=20, seed=1)["choices"] == wanted
        body = {"model": "char-lstm", "prompt": TEXT, "max_tokens": 20, "seed": 1, "stream": True}
        _, _, data = front.raw("POST", "/v1/completions", json.dumps(body).encode())
        events = [line[6:] for line in data.decode().splitlines() if line.startswith("data: {")]
        texts = [c["text"] for event in events for c in json.loads(event)["choices"]]
        return "".join(texts) == wanted[0]["text"] and b"[DONE]" in data

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(80)))
    for each in (one, two):
        text = each.raw("GET", "/metrics")[2].decode()
        count = re.search(r'recurra_request_seconds_count{model="char-lstm"} (\d+)', text)
        assert int(count[1]) > 10


def test_tokens_come_as_they_are_written(proxied):
    front, *_ = proxied
    body = json.dumps({"model": "char-lstm", "prompt": "a", "max_tokens": 4000, "stream": True})
    with socket.create_connection(("127.0.0.1", front.port), 10) as sock:
        head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        sock.sendall((head + body).encode())
        found = b""
        while b"data: " not in found:
            found += sock.recv(4096)
    assert b"[DONE]" not in found


def test_a_stream_over_a_websocket_moves_to_the_other_process(proxied):
    pytest.importorskip("websockets.sync.client")
    from serve.talk import Talk, url_of

    front, one, two = proxied
    with Talk(url_of(one)) as talk:
        talk.ask(type="open", model="char-lstm")
        talk.push("the ")
        state = talk.ask(type="state")["state"]
        wanted = talk.push("cat")["result"]
    for client in (two, front):
        with Talk(url_of(client)) as talk:
            talk.ask(type="open", model="char-lstm", state=state)
            assert talk.push("cat")["result"] == wanted


def test_a_process_that_ends_takes_no_request_with_it(proxied):
    """Last: it stops one of the processes."""
    front, _, two = proxied
    state, _ = kept(two)
    proxied[0].processes[1].send_signal(signal.SIGTERM)
    proxied[0].processes[1].wait(20)
    for _ in range(8):
        front.write("the ", max_tokens=3)
    status, _, data = front.raw("GET", f"/v1/states/{state}")
    assert status == 502  # its states went with it
    assert data


def test_ids_tell_the_process_and_stay_unguessable():
    with running(RUNS[:1], process=255) as client:
        ids = {kept(client)[0] for _ in range(3)}
        assert {id[:5] for id in ids} == {"st_ff"}
        assert len({id[5:] for id in ids}) == 3
