"""Many requests at once: one answer each, refused in good time, and gone when their readers are."""

import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import recurra
from recurra.cli import main
from recurra.generate import Options, generate
from recurra.serve.settings import Limits
from serve.conftest import GOLDEN, RUNS, running

MODEL = recurra.load(GOLDEN / "lm-char-lstm" / "model")
TEXT = "the cat sat on the mat and the dog lay near the old door of the house. " * 4


def streamed(client, body, *, until=None):
    """Text, events and whether the stream came to its end."""
    data = json.dumps({"model": "char-lstm", "stream": True, **body}).encode()
    status, headers, found = client.raw("POST", "/v1/completions", data)
    if status != 200:
        return status, headers, json.loads(found)
    events = [line[6:] for line in found.decode().splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]", events[-3:]
    texts = [c["text"] for event in events[:-1] for c in json.loads(event)["choices"]]
    return status, headers, "".join(texts)


def test_one_answer_under_random_neighbours(client):
    """Streamed or whole, of a state or from the start, alone or in a crowd."""
    rng = random.Random(3)
    kinds = []
    for number in range(12):
        prompt = TEXT[: rng.randrange(0, 200)]
        fields = {"seed": number, "max_tokens": rng.randrange(1, 60),
                  "temperature": rng.choice([0, 0.7, 1]), "top_k": rng.choice([0, 5])}  # fmt: skip
        options = Options(**{**fields, "top_k": fields["top_k"] or None})
        (wanted,) = generate(MODEL.runtime, MODEL.tokenizer, [prompt], options)
        cut = rng.randrange(0, len(prompt) + 1)
        kinds.append((prompt, cut, fields, wanted.text))

    def one(number):
        prompt, cut, fields, wanted = kinds[number % len(kinds)]
        way = number % 3
        if way == 0:
            found = client.write(prompt, **fields)["choices"][0]["text"]
        elif way == 1:
            found = streamed(client, {"prompt": prompt, **fields})[2]
        else:
            state = None
            if cut:
                first = client.write(prompt[:cut], max_tokens=0, keep_state=True)
                state = first["recurra"]["state"]
            found = client.write(prompt[cut:], state=state, **fields)["choices"][0]["text"]
        return found == wanted

    numbers = list(range(240))
    rng.shuffle(numbers)
    with ThreadPoolExecutor(24) as pool:
        assert all(pool.map(one, numbers))


def test_what_is_too_much_is_shed():
    with running(RUNS[:1], slots=4, queue=8, connections=256) as client:
        body = {"prompt": "the ", "max_tokens": 600, "seed": 1}
        gate = threading.Barrier(60)

        def one(_):
            gate.wait()
            begun = time.perf_counter()
            found = streamed(client, body)
            return *found, time.perf_counter() - begun

        with ThreadPoolExecutor(60) as pool:
            replies = list(pool.map(one, range(60)))
        good = [reply for reply in replies if reply[0] == 200]
        shed = [reply for reply in replies if reply[0] == 429]
        assert len(good) + len(shed) == 60
        assert len(good) >= 12
        assert len({reply[2] for reply in good}) == 1
        for _, headers, error, _ in shed:
            assert 1 <= int(headers["retry-after"]) <= 60
            assert error["error"]["code"] == "queue_full"
        assert client("/health")[0] == 200


def begin(client, **body):
    """A streamed request on a raw socket, of which the head of the reply was read."""
    data = json.dumps({"model": "char-lstm", "stream": True, "seed": 1, **body}).encode()
    connection = socket.create_connection(("127.0.0.1", client.port), 10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    head = f"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(data)}\r\n"
    connection.sendall(head.encode() + b"content-type: application/json\r\n\r\n" + data)
    assert connection.recv(20).startswith(b"HTTP/1.1 200")
    return connection


def wait_until(true, seconds=5.0):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "not in time"
        time.sleep(0.005)


def test_a_client_that_leaves_gives_its_slot_back():
    with running(RUNS[:1], slots=2, queue=4) as client:
        (engine,) = client.serving.models.engines
        leaving = [begin(client, prompt="a", max_tokens=4096, n=1) for _ in range(2)]
        wait_until(lambda: engine.running == 2)
        queued = threading.Thread(target=lambda: client.write("the ", max_tokens=5))
        queued.start()
        wait_until(lambda: engine.waiting == 1)
        rows = client.serving.metrics.generated
        for each in leaving:
            each.close()
        queued.join(5)
        assert not queued.is_alive()
        wait_until(lambda: engine.running == 0)
        assert sum(value for _, _, value in rows.samples()) < 2 * 4096


def test_a_slow_reader_pauses_and_gets_its_whole_text():
    with running(RUNS[:1], backlog=4096) as client:
        (engine,) = client.serving.models.engines
        slow = begin(client, prompt="the ", max_tokens=4096, n=8)
        beside = client.write("the cat ", max_tokens=300, seed=2)
        assert beside["choices"] == client.write("the cat ", max_tokens=300, seed=2)["choices"]
        (job,) = (job for job in engine._jobs if len(job.streams) == 8)
        before = -1
        while before != job.produced:  # until all buffers on the way are full
            before = job.produced
            time.sleep(0.25)
        assert job.paused
        assert before < 8 * 4096
        slow.settimeout(10)
        parts = []
        while not (parts and parts[-1].endswith(b"0\r\n\r\n")):
            parts.append(slow.recv(1 << 20))
        found = b"".join(parts)
        slow.close()
        assert found.count(b'"finish_reason":"length"') == 8
        assert b"[DONE]" in found


def test_deadlines_are_errors_also_in_streams():
    with running(RUNS[:1], request=0.15) as client:
        status, reply = client(
            "/v1/completions", {"model": "char-lstm", "prompt": "a", "max_tokens": 4096, "n": 8}
        )
        assert (status, reply["error"]["code"]) == (408, "deadline")
        data = json.dumps({"model": "char-lstm", "prompt": "a", "max_tokens": 4096, "n": 8,
                           "stream": True}).encode()  # fmt: skip
        status, _, found = client.raw("POST", "/v1/completions", data)
        assert status == 200
        last = found.decode().strip().splitlines()[-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "deadline"
        (engine,) = client.serving.models.engines
        wait_until(lambda: engine.running == 0)


def test_waiting_too_long_is_refused():
    with running(RUNS[:1], slots=1, queue=4, queue_wait=0.2) as client:
        first = begin(client, prompt="a", max_tokens=4096)
        status, headers, data = client.raw(
            "POST", "/v1/completions", b'{"model": "char-lstm", "prompt": "a"}'
        )
        first.close()
        assert status in (200, 429)
        if status == 429:
            assert "retry-after" in {name.lower() for name in headers}
            assert json.loads(data)["error"]["code"] == "queue_full"


def test_small_writes_are_sent_at_once():
    """What waited for the client's acknowledgement took 40 ms a reply, and a token."""
    with running(RUNS[:1]) as client:
        connection = http.client.HTTPConnection("127.0.0.1", client.port)
        took = []
        for _ in range(12):
            begun = time.perf_counter()
            connection.request("GET", "/v1/models")
            connection.getresponse().read()
            took.append(time.perf_counter() - begun)
        (server_side,) = client.server.server_state.connections
        there = server_side.transport.get_extra_info("socket")
        assert there.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        connection.close()
        assert sorted(took)[6] < 0.035


def test_metrics_are_what_prometheus_reads(client):
    parser = pytest.importorskip("prometheus_client.parser")
    client.write("the ", max_tokens=5)
    _, headers, data = client.raw("GET", "/metrics")
    assert {k.lower(): v for k, v in headers.items()}["content-type"].startswith(
        "text/plain; version=0.0.4"
    )
    families = {f.name: f for f in parser.text_string_to_metric_families(data.decode())}
    tokens = [s for s in families["recurra_generation_tokens"].samples]
    assert all(sample.value >= 0 for sample in tokens)
    first = families["recurra_time_to_first_token_seconds"]
    buckets = [s.value for s in first.samples
               if s.name.endswith("_bucket") and s.labels["model"] == "char-lstm"]  # fmt: skip
    assert len(buckets) > 5
    assert buckets == sorted(buckets)
    assert families["recurra_texts_running"].type == "gauge"


def test_openapi_describes_what_is_read(client):
    status, page = client("/openapi.json")
    assert status == 200
    fields = page["components"]["schemas"]["CompletionRequest"]["properties"]
    assert {"model", "prompt", "state", "keep_state", "logit_bias"} <= set(fields)
    for path, methods in page["paths"].items():
        for about in methods.values():
            assert "422" not in about["responses"], path


COMMAND = [sys.executable, "-m", "recurra", "serve", RUNS[0], "--port", "0"]


@pytest.mark.parametrize(("grace", "ends"), [("20", True), ("0.2", False)])
def test_a_request_to_stop_drains(grace, ends):
    process = subprocess.Popen(
        [*COMMAND, "--grace", grace], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        url = process.stdout.readline().split()[-1]
        client = type("At", (), {"port": int(url.rsplit(":", 1)[1])})
        connection = begin(client, prompt="the ", max_tokens=4096, n=2 if ends else 8)
        process.send_signal(signal.SIGTERM)
        found = b""
        connection.settimeout(20)
        while more := connection.recv(1 << 20):
            found += more
            if not ends and len(found) < 30_000:
                time.sleep(0.3)  # so slow that it cannot end in time
        connection.close()
        assert process.wait(20) == 0, process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    whole = found.count(b'"finish_reason":"length"') == 2 and b"[DONE]" in found
    assert whole if ends else (b'"draining"' in found or b"[DONE]" in found)


def test_the_command_line_says_what_is_wrong(capsys, monkeypatch):
    def said(*words):
        assert main(["serve", *words]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        return told

    assert "no such directory" in said("nothing")
    assert "a key is needed" in said(RUNS[0], "--host", "0.0.0.0")
    assert "is there already" in said(RUNS[0], RUNS[0])
    assert "slots" in said(RUNS[0], "--slots", "0")
    monkeypatch.setenv("RECURRA_SERVE_QUEUE", "many")
    assert "RECURRA_SERVE_QUEUE: expected a number" in said(RUNS[0])


def test_a_server_checks_itself_under_load(capsys):
    """Fewer streams than `recurra serve --check` has, and not for as long."""
    pytest.importorskip("uvicorn", reason="serving is not installed: pip install recurra[serve]")
    from recurra.serve.check import check
    from recurra.serve.run import load

    shown = []
    serving = load(RUNS[:1], Limits(slots=2))
    assert check(serving, shown.append, machine="a machine", seconds=0.3) == 0
    lines = "".join(shown).splitlines()
    assert lines[:2] == ["a machine", "char-lstm"]
    assert [line.split()[0] for line in lines[3:]] == ["1", "2", "ok"]
    assert all(float(line.split()[1].replace(",", "")) > 0 for line in lines[3:5])


@pytest.mark.parametrize(
    ("method", "path", "kinds"),
    [
        ("post", "/v1/completions", {"application/json", "text/event-stream"}),
        ("post", "/v1/chat/completions", {"application/json", "text/event-stream"}),
        ("get", "/v1/states/{id}/export", {"application/octet-stream"}),
        ("get", "/metrics", {"text/plain"}),
        ("get", "/v1/models", {"application/json"}),
    ],
)
def test_openapi_names_every_kind_of_reply(client, method, path, kinds):
    _, page = client("/openapi.json")
    assert set(page["paths"][path][method]["responses"]["200"]["content"]) == kinds
