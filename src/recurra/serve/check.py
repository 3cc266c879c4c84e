"""`recurra serve --check`: a server of its own, kept busy for ten seconds, and what it did."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from recurra.errors import InputError
from recurra.serve.context import Serving
from recurra.serve.hosted import Hosted
from recurra.serve.run import Listening, Server, listen

#: How many streams at a time, and seconds of each.
STREAMS, SECONDS = (1, 2, 4, 8, 16, 32, 64), 1.3
#: Of a request.
_TOKENS, _PROMPT = 100, 100

_CLIENT = """
import asyncio, json, sys
from recurra.serve.load import load
port, body, streams, seconds = json.loads(sys.argv[1])
print(json.dumps(asyncio.run(load(port, body, streams, seconds))))
"""


def check(
    serving: Serving, write: Callable[[str], Any], *, machine: str = "", seconds: float = SECONDS
) -> int:
    """Test the models that write text under load, and print the figures; the exit code.

    The client is a process of its own, on the same machine. Answers have to be the same under load
    and alone. `machine` is named above the figures.

    Raises:
        InputError: no model writes text.
    """
    writing = [each for each in serving.models.by_name.values() if each.engine is not None]
    if not writing:
        raise InputError("--check: expected a language model among those served, received none")
    where = Listening(port=0, limits=serving.limits)
    listener = listen(where)
    server = Server(serving, where)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    port = listener.getsockname()[1]
    try:
        write(f"{machine}\n")
        good = all([_check_one(each, serving, port, write, seconds) for each in writing])
    finally:
        server.should_exit = True
        thread.join()
    write("ok\n" if good else "FAILED: a text under load was another than alone\n")
    return 0 if good else 1


def _check_one(
    hosted: Hosted, serving: Serving, port: int, write: Callable[[str], Any], seconds: float
) -> bool:
    tokens = hosted.model.tokenizer
    prompt = [id % len(tokens) for id in range(_PROMPT)]
    body = {"model": hosted.name, "prompt": prompt, "max_tokens": _TOKENS, "temperature": 0.8}
    write(f"{hosted.name}\n")
    write("streams   tokens/s   first p50, p99 (ms)   between p50, p99 (ms)\n")
    alone = asyncio.run(_text(port, body))
    same = True
    for streams in STREAMS:
        if streams > serving.limits.slots:
            break
        with _client(port, body, streams, seconds) as running:
            time.sleep(min(0.5, seconds / 2))
            same &= asyncio.run(_text(port, body)) == alone
            out, err = running.communicate()
        if running.returncode:
            raise InputError(f"--check: the client failed: {err.strip().splitlines()[-1]}")
        f = json.loads(out)
        write(
            f"{streams:7d} {f['tokens_per_second']:10,.0f} {f['first_p50_ms']:12.1f},"
            f"{f['first_p99_ms']:7.1f} {f['between_p50_ms']:14.2f},{f['between_p99_ms']:7.2f}\n"
        )
    return same


def _client(port: int, body: dict[str, Any], streams: int, seconds: float) -> Any:
    given = json.dumps([port, body, streams, seconds])
    return subprocess.Popen(
        [sys.executable, "-c", _CLIENT, given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def _text(port: int, body: dict[str, Any]) -> bytes:
    """The text of a request of its own, beside whatever runs."""
    data = json.dumps({**body, "seed": 7, "max_tokens": 40}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(data)}\r\nconnection: close\r\n\r\n".encode() + data)
    found = await reader.read(-1)
    writer.close()
    return found.partition(b'"choices":')[2].partition(b'"usage"')[0]
