"""What a server promises, tried at length: by hand, since it takes minutes.

    python -m bench.promises sessions RUN --count 2500 --seed 1
    python -m bench.promises same RUN --count 2000
    python -m bench.promises shed RUN

sessions: random programs of going on, forks, rewinds, detours and moves by file; the text and its
log probabilities are those of one call, to the bit. same: requests under random neighbours,
streamed or whole, from a state or from the start, one answer each. shed: 500 requests at once on 4
slots and a queue of 32; and how much memory they take.
"""

import argparse
import asyncio
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from bench.soak import memory

_TEXT = "the cat sat on the mat and the dog lay near the old door of the house. "
_HOW: tuple[dict[str, Any], ...] = (
    {"temperature": 0}, {"temperature": 1.3}, {"frequency_penalty": 0.4, "top_k": 9},
)  # fmt: skip


@contextmanager
def serving(run: str, *options: str) -> Iterator[tuple[int, int]]:
    """A server in a process of its own; its port and number."""
    command = [sys.executable, "-m", "recurra", "serve", f"m={run}", "--port", "0", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline().rsplit(":", 1)[1]), server.pid
    finally:
        server.terminate()
        server.wait(60)


class Caller:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def __call__(self, path: str, value: Any = None, *, method: str = "POST") -> Any:
        """A reply as JSON; its bytes where it is a file or a stream."""
        raw = isinstance(value, bytes)
        kind = "application/octet-stream" if raw else "application/json"
        given = {"content-type": kind} if value is not None else {}
        body = value if raw or value is None else json.dumps(value)
        self._connection.request(method, path, body, given)
        reply = self._connection.getresponse()
        data = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{method} {path}: {reply.status}: {data[:300]!r}")
        is_json = (reply.getheader("content-type") or "").startswith("application/json")
        return json.loads(data) if is_json else data

    def write(self, prompt: str, state: str | None, **fields: Any) -> tuple[Any, str]:
        """Tokens with their log probabilities, and the state after them."""
        body = {"model": "m", "prompt": prompt, "state": state, "keep_state": True, "logprobs": 0}
        reply = self("/v1/completions", {**body, **fields})
        logprobs = reply["choices"][0]["logprobs"]
        return list(zip(logprobs["tokens"], logprobs["token_logprobs"], strict=True)), reply[
            "recurra"
        ]["state"]


def program(call: Caller, rng: random.Random) -> bool:
    """One random program; whether its text is that of one call."""
    how = {**rng.choice(_HOW), "seed": rng.randrange(1 << 31)}
    prompt = (_TEXT * 2)[: rng.randrange(0, 141)]
    text, state = call.write(prompt, None, max_tokens=1, **how)
    for _ in range(rng.randrange(1, 7)):
        step, count = rng.choice(("write", "write", "fork", "move", "detour")), rng.randrange(1, 71)
        if step == "write":
            more, state = call.write("", state, max_tokens=count, **how)
            text += more
        elif step == "fork":
            made = call(f"/v1/states/{state}/fork")["id"]
            call(f"/v1/states/{state}", method="DELETE")
            state = made
        elif step == "move":
            data = call(f"/v1/states/{state}/export", method="GET")
            state = call("/v1/states/import", data)["id"]
        else:
            here = call(f"/v1/states/{state}", method="GET")["tokens"]
            _, there = call.write(_TEXT[:9], state, max_tokens=count, temperature=1, seed=count)
            state = call(f"/v1/states/{there}/rewind", {"to": here})["id"]
    whole, _ = call.write(prompt, None, max_tokens=len(text), **how)
    return text == whole


def sessions(run: str, count: int, seed: int) -> bool:
    """Random programs, one after the other."""
    rng, wrong = random.Random(seed), 0
    with serving(run) as (port, _):
        call = Caller(port)
        for _ in range(count):
            wrong += not program(call, rng)
    print(f"{count} programs, {wrong} of another text than one call")
    return not wrong


def same(run: str, count: int, seed: int) -> bool:
    """Requests, half of them greedy, in a crowd of 48; one answer each."""
    rng = random.Random(seed)
    kinds = []
    for number in range(40):
        prompt = (_TEXT * 3)[: rng.randrange(1, 200)]
        fields = {"seed": number, "max_tokens": rng.randrange(1, 60)}
        fields |= {"temperature": 0} if number % 2 else {"temperature": 1, "top_k": 9}
        kinds.append((prompt, rng.randrange(1, len(prompt) + 1), fields))
    local = threading.local()
    with serving(run) as (port, _):
        alone = Caller(port)
        wanted = [alone("/v1/completions", {"model": "m", "prompt": prompt, **fields})
                  ["choices"][0]["text"] for prompt, _, fields in kinds]  # fmt: skip

        def one(number: int) -> bool:
            if not hasattr(local, "call"):
                local.call = Caller(port)
            which = number % len(kinds)
            prompt, cut, fields = kinds[which]
            body = {"model": "m", "prompt": prompt, **fields}
            if number % 3 == 0:
                return wanted[which] == local.call("/v1/completions", body)["choices"][0]["text"]
            if number % 3 == 1:
                data = local.call("/v1/completions", {**body, "stream": True}).decode()
                events = [line[6:] for line in data.splitlines() if line.startswith("data: {")]
                texts = [c["text"] for event in events for c in json.loads(event)["choices"]]
                return wanted[which] == "".join(texts) and "data: [DONE]" in data
            first = {"model": "m", "prompt": prompt[:cut], "max_tokens": 0, "keep_state": True}
            state = local.call("/v1/completions", first)["recurra"]["state"]
            rest = local.call("/v1/completions", {**body, "prompt": prompt[cut:], "state": state})
            return wanted[which] == rest["choices"][0]["text"]

        numbers = list(range(count))
        rng.shuffle(numbers)
        with ThreadPoolExecutor(48) as pool:
            wrong = sum(not good for good in pool.map(one, numbers))
    print(f"{count} requests of {len(kinds)} kinds, {wrong} answered otherwise than alone")
    return not wrong


def shed(run: str, count: int, seed: int) -> bool:
    """500 requests at once; those that are taken come to their end, others are refused soon."""
    bounds = ["--slots", "4", "--queue", "32", "--connections", "600", "--queue-wait", "120"]
    with serving(run, *bounds) as (port, pid):
        Caller(port)("/v1/completions", {"model": "m", "prompt": "the ", "max_tokens": 60})
        base, most, over = memory(pid), 0, False

        def watch() -> None:
            nonlocal most
            while not over:
                most = max(most, memory(pid))
                time.sleep(0.02)

        watching = threading.Thread(target=watch)
        watching.start()
        replies = asyncio.run(_at_once(port, 500))
        over = True
        watching.join()
    good = [took for status, took, done in replies if status == 200 and done]
    late = sorted(took for status, took, _ in replies if status == 429)
    cut = 500 - len(good) - len(late)
    print(f"{len(good)} to [DONE], {len(late)} refused, {cut} otherwise; refused within "
          f"{1e3 * late[len(late) // 2]:.0f} ms (p50), {1e3 * late[-1]:.0f} ms (most); memory "
          f"{base / 2**20:.0f} MiB before, {most / 2**20:.0f} at most")  # fmt: skip
    return len(good) >= 36 and not cut


async def _at_once(port: int, count: int) -> list[tuple[int, float, bool]]:
    """Status, seconds and whether it came to its end, of so many streams begun at once."""
    body = {"model": "m", "prompt": "the ", "max_tokens": 600, "seed": 1, "stream": True}
    data = json.dumps(body).encode()
    head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    sent = f"{head}content-length: {len(data)}\r\nconnection: close\r\n\r\n".encode() + data
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
        begun = time.perf_counter()
        writer.write(sent)
        status = int((await reader.readline()).split()[1])
        took = time.perf_counter() - begun
        rest = await reader.read(-1)
        writer.close()
        return status, took, b"data: [DONE]" in rest

    return list(await asyncio.gather(*(one(*pair) for pair in opened)))


def main() -> int:
    """Try one of them; 1 where it does not hold."""
    parser = argparse.ArgumentParser(prog="python -m bench.promises")
    parser.add_argument("which", choices=["sessions", "same", "shed"])
    parser.add_argument("run")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    return int(not globals()[given.which](given.run, given.count, given.seed))


if __name__ == "__main__":
    raise SystemExit(main())
