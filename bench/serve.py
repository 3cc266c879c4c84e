"""A server over HTTP, with its client on the same machine: tokens a second, latencies, states.

An LSTM of 2×512 units and 96 symbols, of random weights, since they do not matter. The server is a
process with one thread for its kernels; the client, `recurra.serve.load`, is this process, and
reads whole pieces of sockets without taking events apart. What HTTP costs a token is measured with
a model of 16 units, whose steps cost next to nothing.
"""

import asyncio
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import recurra
from bench.figures import rounded
from recurra.serve.load import load

STREAMS, SECONDS, SETTLING = (1, 2, 4, 8, 16, 32, 64), 4.0, 1.5
#: Symbols; tokens of a prompt for tokens a second, and for latencies; of a long text.
SYMBOLS, SHORT, PROMPT, LONG = 96, 10, 100, 100_000
#: Tokens of a text, on average, where tokens a second are measured.
TEXT = 400
_QUICK = {"steps": 1, "batch": 1, "progress": False}


def measure() -> list[dict[str, Any]]:
    """Return rows of figures; each says its unit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large, tiny = _model(folder, 512, 2), _model(folder, 16, 1)
        rows = []
        with _serving(large) as port:
            rows += _curve(port, bare(large))
            rows += _states(port)
        with _serving(tiny) as port:
            small = _load(port, 64)
            cost = 1e6 / small["tokens_per_second"]
            name = "a token over HTTP, 64 streams of a model of 16 units"
            rows.append({"what": name, "unit": "us", "whole": rounded(cost)})
        return rows


def bare(path: Path) -> dict[int, float]:
    """Seconds of a step of so many streams, without a server, on one thread."""
    code = (
        "import json, sys, time, numpy as np, recurra\n"
        "model = recurra.load(sys.argv[1]).runtime\n"
        "steps = {}\n"
        "for n in (1, 64):\n"
        "    state, ids, took = model.start(n), np.zeros(n, np.int64), []\n"
        "    for _ in range(400):\n"
        "        begun = time.perf_counter()\n"
        "        _, state = model.step(ids, state)\n"
        "        took.append(time.perf_counter() - begun)\n"
        "    steps[n] = sorted(took)[200]\n"
        "print(json.dumps(steps))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env=_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {int(n): seconds for n, seconds in json.loads(done.stdout).items()}


def _curve(port: int, steps: dict[int, float]) -> list[dict[str, Any]]:
    loads = {n: _load(port, n) for n in STREAMS}
    latencies = {str(n): _load(port, n, prompt=PROMPT, tokens=100) for n in (1, 16, 64)}
    latencies["64, prompts beside"] = asyncio.run(_beside(port, 64))
    rates = {str(n): round(one["tokens_per_second"]) for n, one in loads.items()}
    ratio = loads[64]["tokens_per_second"] / loads[1]["tokens_per_second"]
    shares = {n: loads[n]["tokens_per_second"] * steps[n] / n for n in (1, 64)}
    rows = [{"what": "streams over HTTP, lstm 2×512", "unit": "tokens/s", **rates,
             "64 to 1": rounded(ratio), "one, of bare steps": rounded(shares[1]),
             "64, of bare steps": rounded(shares[64])}]  # fmt: skip
    for key, name in (("first_p50_ms", "first token, p50"), ("first_p99_ms", "first token, p99"),
                      ("between_p50_ms", "between tokens, p50"),
                      ("between_p99_ms", "between tokens, p99")):  # fmt: skip
        shown = {n: rounded(one[key]) for n, one in latencies.items()}
        rows.append({"what": f"{name}, lstm 2×512", "unit": "ms", **shown})
    return rows


def _load(port: int, streams: int, *, prompt: int = SHORT, tokens: int = TEXT) -> dict[str, float]:
    body = {"model": "made", "prompt": _ids(prompt), "temperature": 0.8}
    return asyncio.run(load(port, body, streams, SECONDS, settling=SETTLING, tokens=tokens))


async def _beside(port: int, streams: int) -> dict[str, float]:
    """Latencies of streams while one prompt of 10,000 tokens after the other is read."""
    ending = False

    async def prompts() -> None:
        body = {"model": "made", "prompt": _ids(10_000), "max_tokens": 0}
        while not ending:
            await asyncio.to_thread(_post, port, "/v1/completions", body)

    reading = asyncio.ensure_future(prompts())
    body = {"model": "made", "prompt": _ids(PROMPT), "temperature": 0.8}
    measured = await load(port, body, streams, SECONDS, settling=SETTLING)
    ending = True
    await reading
    return measured


def _states(port: int) -> list[dict[str, Any]]:
    """Going on, and back, in texts of 10 and of 100,000 tokens."""
    going: dict[int, list[float]] = {}
    kept = {}
    for tokens in (10, LONG):
        body = {"model": "made", "prompt": _ids(tokens), "max_tokens": 1, "keep_state": True}
        kept[tokens] = _post(port, "/v1/completions", body)["recurra"]["state"]
    for _ in range(40):
        for tokens, state in kept.items():
            body = {"model": "made", "prompt": "", "max_tokens": 8, "state": state}
            begun = time.perf_counter()
            _post(port, "/v1/completions", body)
            going.setdefault(tokens, []).append(time.perf_counter() - begun)
    back, rng = [], np.random.default_rng(0)
    for to in rng.integers(1, LONG, 40).tolist():
        begun = time.perf_counter()
        _post(port, f"/v1/states/{kept[LONG]}/rewind", {"to": to})
        back.append(time.perf_counter() - begun)
    short, long = (1e3 * statistics.median(going[tokens]) for tokens in (10, LONG))
    return [
        {"what": "8 tokens after a state", "unit": "ms", "of 10 tokens": rounded(short),
         f"of {LONG:,}": rounded(long), "ratio": rounded(long / short)},
        {"what": f"a rewind in a text of {LONG:,} tokens", "unit": "ms",
         "p50": rounded(1e3 * statistics.median(back)), "most": rounded(1e3 * max(back))},
    ]  # fmt: skip


def _ids(count: int) -> list[int]:
    return [1 + n % (SYMBOLS - 2) for n in range(count)]


def _post(port: int, path: str, body: dict[str, Any]) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    reply = connection.getresponse()
    answer = json.loads(reply.read())
    connection.close()
    if reply.status != 200:
        raise RuntimeError(answer)
    return answer


def _model(folder: Path, hidden: int, layers: int) -> Path:
    """A model directory of random weights."""
    text = folder / "text.txt"
    text.write_text("".join(chr(32 + n % SYMBOLS) for n in range(4000)), encoding="utf-8")
    model = recurra.LanguageModel(cell="lstm", layers=layers, hidden=hidden, tokenizer="char")
    model.fit(text, **_QUICK)
    path = folder / f"lstm-{hidden}"
    model.save(path)
    return path


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@contextmanager
def _serving(path: Path) -> Iterator[int]:
    """A server in a process of its own; its port."""
    command = [sys.executable, "-m", "recurra", "serve", f"made={path}", "--port", "0"]
    more = ["--slots", "72", "--body", str(4 << 20)]
    server = subprocess.Popen(
        [*command, *more], stdout=subprocess.PIPE, text=True, env=_environment()
    )
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline().rsplit(":", 1)[1])
    finally:
        server.terminate()
        server.wait(60)
