"""A light client that keeps a server busy: streams of tokens over sockets, with their times."""

import asyncio
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Seen:
    """What a client saw from one time to another: seconds to the first token, between two, and how
    many there were."""

    since: float = 0.0
    until: float = math.inf

    first: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)
    tokens: int = 0
    errors: list[str] = field(default_factory=list)

    def figures(self, seconds: float) -> dict[str, float]:
        """Tokens a second, and latencies in milliseconds."""
        return {
            "tokens_per_second": self.tokens / seconds,
            "first_p50_ms": 1e3 * quantile(self.first, 0.5),
            "first_p99_ms": 1e3 * quantile(self.first, 0.99),
            "between_p50_ms": 1e3 * quantile(self.between, 0.5),
            "between_p99_ms": 1e3 * quantile(self.between, 0.99),
        }


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so many are at most; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


async def stream(port: int, body: dict[str, Any], seen: Seen, key: str = "") -> None:
    """One streamed completion. A read may bring several tokens: they share its time."""
    data = json.dumps({**body, "stream": True}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    if key:
        head += f"authorization: Bearer {key}\r\n"
    writer.write(f"{head}content-length: {len(data)}\r\nconnection: close\r\n\r\n".encode() + data)
    begun = last = time.perf_counter()
    began = False
    status = await reader.readline()
    if b" 200 " not in status:
        seen.errors.append(status.decode("latin-1").strip())
    tail = b""
    while part := await reader.read(1 << 16):
        now, held = time.perf_counter(), tail + part
        count = held.count(b'"finish_reason":') - tail.count(b'"finish_reason":')
        tail = held[-20:]
        if b'{"error"' in held:
            seen.errors.append(held[-300:].decode("latin-1"))
        if not count:
            continue
        if seen.since <= (last if began else begun) and now <= seen.until:
            (seen.between if began else seen.first).append(now - (last if began else begun))
            seen.between += [0.0] * (count - 1)
            seen.tokens += count
        last, began = now, True
    writer.close()


async def load(
    port: int,
    body: dict[str, Any],
    streams: int,
    seconds: float,
    *,
    key: str = "",
    settling: float = 0.0,
    tokens: int = 100,
) -> dict[str, float]:
    """Keep so many streams running for some seconds, of half to one and a half `tokens`; what came.

    With `settling` the first ones begin one after the other within so many seconds before, which
    are not counted, nor is what comes after: 64 prompts at once are read one after the other.

    Raises:
        RuntimeError: a stream ended with an error.
    """
    begun = time.perf_counter() + settling
    until = begun + seconds
    seen = Seen(begun, until) if settling else Seen()

    async def one(number: int) -> None:
        await asyncio.sleep(settling * number / streams)
        turn = 0
        while time.perf_counter() < until:
            # Of different lengths, so that they do not all begin at once.
            length = tokens // 2 + (37 * number + 53 * turn) % tokens
            own = {"seed": number * 1000 + turn, "max_tokens": length}
            await stream(port, {**body, **own}, seen, key)
            turn += 1

    await asyncio.gather(*(one(number) for number in range(streams)))
    if seen.errors:
        raise RuntimeError(seen.errors[0])
    return seen.figures(seconds if settling else time.perf_counter() - begun)
