"""A server left running for a while under mixed requests, and whether its memory grows.

    python -m bench.soak RUN [RUN ...] --minutes 60 --pace 3 --out soak.csv

Requests of every kind, right, wrong and broken off, so many a second; every few seconds RssAnon +
VmSwap of the server, and its states, go to a file. At the end: replies by status, and the slope of
the memory in bytes an hour with its 95 % interval, the first quarter left out, from the means of
twenty stretches of time.
"""

import argparse
import contextlib
import csv
import http.client
import json
import math
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from websockets.sync.client import connect

_EVERY = 5.0
_STRETCHES = 20
#: Student's t of 18 degrees of freedom, at 97.5 %.
_T = 2.101
_TEXT = "the cat sat on the mat and the dog lay near the old door of the house. "


class Client:
    """Sends requests, and counts what came back."""

    def __init__(self, port: int, seed: int) -> None:
        self.port, self.rng = port, random.Random(seed)
        self.seen: Counter[str] = Counter()
        self.states: list[str] = []  # of texts that are not long: what they keep grows with them
        self.models: dict[str, list[str]] = {}
        for one in self.send("GET", "/v1/models")["data"]:
            self.models.setdefault(one["recurra"]["task"], []).append(one["id"])

    def send(self, method: str, path: str, value: Any = None) -> Any:
        """A reply as JSON, or None."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        kind = {} if value is None else {"content-type": "application/json"}
        try:
            connection.request(method, path, None if value is None else json.dumps(value), kind)
            reply = connection.getresponse()
            data = reply.read()
        finally:
            connection.close()
        name = re.sub("x{2,}", "X", re.sub("st_[0-9a-f]+", "ID", path))
        self.seen[f"{method} {name} {reply.status}"] += 1
        try:
            return json.loads(data)
        except ValueError:
            return None

    def write(self) -> None:
        """A completion: whole or streamed, from the start or from a state."""
        rng = self.rng
        body: dict[str, Any] = {
            "model": rng.choice(self.models["language_model"]),
            "prompt": (_TEXT * 4)[: rng.randrange(1, 250)],
            "max_tokens": rng.randrange(0, 60),
            "temperature": rng.choice([0, 0.8]),
            "n": rng.choice([1, 1, 1, 3]),
            "stream": rng.random() < 0.5,
            "keep_state": rng.random() < 0.5,
        }
        if self.states and rng.random() < 0.5:
            body["state"] = rng.choice(self.states)
        reply = self.send("POST", "/v1/completions", body)
        if reply and "recurra" in reply and reply["usage"]["total_tokens"] < 600:
            self.states = (self.states + [id for id in reply["recurra"]["states"] if id])[-40:]

    def manage(self) -> None:
        """Something with a state."""
        if not self.states:
            return
        verb, id = self.rng.choice(["fork", "rewind", "get", "export", "delete"]), self.states[-1]
        path = f"/v1/states/{id}"
        if verb == "fork":
            self.send("POST", f"{path}/fork")
        elif verb == "rewind":
            self.send("POST", f"{path}/rewind", {"to": 1})
        elif verb == "export":
            self.send("GET", f"{path}/export")
        else:
            self.send("DELETE" if verb == "delete" else "GET", path)

    def wrong(self) -> None:
        """What cannot be done."""
        model = self.models["language_model"][0]
        name = "x" * self.rng.randrange(1, 300)
        method, path, value = self.rng.choice(
            [
                ("GET", f"/{name}", None),
                ("POST", "/v1/completions", {"model": name}),
                ("POST", "/v1/completions", {"model": model, name: 1}),
                ("POST", "/v1/completions", {"model": model, "state": "st_" + "0" * 32}),
                ("POST", "/v1/chat/completions", {"model": model, "messages": []}),
                ("POST", "/v1/translate", {"model": model, "inputs": ["x"]}),
            ]
        )
        self.send(method, path, value)

    def leave(self) -> None:
        """A stream whose reader goes, or bytes that are no HTTP."""
        body = {"model": self.models["language_model"][0], "prompt": "the ", "max_tokens": 300}
        data = json.dumps({**body, "stream": True}).encode()
        head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json"
        sent = f"{head}\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            if self.rng.random() < 0.3:
                sent = self.rng.randbytes(100) + b"\r\n\r\n"
            connection.sendall(sent[: self.rng.randrange(1, 2 * len(sent))])
            if self.rng.random() < 0.5:
                connection.settimeout(0.02)
                with contextlib.suppress(TimeoutError):
                    connection.recv(100)
        self.seen["left"] += 1

    def listen(self) -> None:
        """A stream over a WebSocket, that ends, is left, or goes wrong."""
        model = self.models["language_model"][0]
        with connect(f"ws://127.0.0.1:{self.port}/v1/stream") as stream:
            messages: list[dict[str, Any]] = [
                {"type": "open", "model": model},
                {"type": "push", "frame": _TEXT[: self.rng.randrange(1, 60)]},
                {"type": "push", "frame": 5},
                {"type": "state"},
                {"type": "finish"},
            ]
            for message in messages[: self.rng.randrange(1, 6)]:
                stream.send(json.dumps(message))
                stream.recv()
        self.seen["streams"] += 1

    def other(self) -> None:
        """The endpoints that are not for writing."""
        model = self.models["language_model"][0]
        inputs: dict[str, Any] = {
            "sequence_classifier": ("classify", ["a fine one"]),
            "sequence_tagger": ("tag", [["a", "word"]]),
            "translator": ("translate", ["ab"]),
        }
        choices = [
            ("POST", "/v1/score", {"model": model, "text": _TEXT, "top": 2}),
            ("POST", "/v1/tokenize", {"model": model, "text": _TEXT}),
            ("GET", "/v1/states", None),
            ("GET", "/metrics", None),
            *(
                ("POST", f"/v1/{inputs[task][0]}", {"model": name, "inputs": inputs[task][1]})
                for task, names in self.models.items()
                if task in inputs
                for name in names
            ),
        ]
        self.send(*self.rng.choice(choices))

    def state_bytes(self) -> int:
        """Bytes of the states that the server keeps."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        found = re.search(r"^recurra_states_bytes (\S+)", text, re.M)
        return int(float(found[1])) if found else 0

    def one(self) -> None:
        """Something."""
        kinds = [self.write, self.manage, self.wrong, self.leave, self.listen, self.other]
        self.rng.choices(kinds, (4, 2, 1, 1, 1, 2))[0]()


def memory(pid: int) -> int:
    """Bytes of a process that nothing on disk stands for: RssAnon + VmSwap."""
    text = Path(f"/proc/{pid}/status").read_text()
    return sum(1024 * int(n) for n in re.findall(r"^(?:RssAnon|VmSwap):\s+(\d+)", text, re.M))


def slope(hours: np.ndarray, sizes: np.ndarray) -> tuple[float, float]:
    """Bytes an hour, and half of the 95 % interval."""
    parts = zip(np.array_split(hours, _STRETCHES), np.array_split(sizes, _STRETCHES), strict=True)
    x, y = np.array([(a.mean(), b.mean()) for a, b in parts]).T
    centred = x - x.mean()
    found = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - found * centred
    error = math.sqrt(float(rest @ rest) / (_STRETCHES - 2) / float(centred @ centred))
    return found, _T * error


def main() -> int:
    """Run it; 1 where memory grew or a reply was a failure of the server."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--pace", type=float, default=3, help="requests a second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="soak.csv")
    given = parser.parse_args()
    command = [sys.executable, "-m", "recurra", "serve", *given.runs, "--port", "0"]
    bounds = ["--state-count", "100", "--state-minutes", "2", "--chat-format", "lines"]
    server = subprocess.Popen(
        [*command, *bounds], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert server.stdout is not None
    client = Client(int(server.stdout.readline().rsplit(":", 1)[1]), given.seed)
    rows = []
    try:
        with open(given.out, "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["seconds", "bytes", "states", "state_bytes", "requests"])
            client.write()
            state = client.send("POST", "/v1/completions", {
                "model": client.models["language_model"][0], "prompt": "a", "max_tokens": 1,
                "keep_state": True})["recurra"]["state"]  # fmt: skip
            for _ in range(5000):  # more than the ids of states that are remembered
                client.send("POST", f"/v1/states/{state}/fork")
                time.sleep(0.002)
            begun = last = time.monotonic()
            while (now := time.monotonic()) < begun + 60 * given.minutes:
                client.one()
                if now >= last + _EVERY:
                    last = now
                    kept = len(client.send("GET", "/v1/states")["data"])
                    size = client.state_bytes()
                    sent = client.seen.total()
                    row = [round(now - begun, 2), memory(server.pid), kept, size, sent]
                    rows.append(row)
                    table.writerow(row)
                    file.flush()
                time.sleep(client.rng.expovariate(given.pace))
    finally:
        server.terminate()
        code = server.wait(60)
    for name, count in sorted(client.seen.items()):
        print(f"{count:8d} {name}")
    times, sizes = np.array([row[:2] for row in rows]).T
    later = len(times) // 4
    found, half = slope(times[later:] / 3600, sizes[later:])
    first, last_ = sizes[later : later + 12].mean(), sizes[-12:].mean()
    print(
        f"exit code {code}; {first / 2**20:.2f} MiB after a quarter, {last_ / 2**20:.2f} at the end"
    )
    print(f"slope {found / 2**20:+.3f} ± {half / 2**20:.3f} MiB an hour")
    failed = any(re.search(r" 5\d\d$", name) for name in client.seen)
    return int(code != 0 or failed or found - half > 0)


if __name__ == "__main__":
    raise SystemExit(main())
