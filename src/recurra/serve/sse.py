"""Replies that are sent as they come: server-sent events, after OpenAI's manner."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from recurra.serve.engine import Engine
from recurra.serve.errors import ApiError
from recurra.serve.jobs import Job

_log = logging.getLogger("recurra.serve")

#: Seconds without a piece after which a comment says that the connection is alive.
PING = 15.0
DONE = b"data: [DONE]\n\n"

#: A string as JSON, in ASCII: no sign of it ends a line, whatever the client takes for one.
quoted: Callable[[str], str] = json.encoder.encode_basestring_ascii


def event(value: Any) -> bytes:
    """A value as one event."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


class EventStream(Response):
    """A reply of events. It notices that its client leaves, and ends with an error event if it
    cannot end as it should: clients take a stream that is cut for a whole one.

    Args:
        events: pairs of bytes and the number of pieces in them.
        job: what is worked on.
        engine: what works on it.
        seconds: until the request has taken too long.
    """

    def __init__(
        self, events: AsyncIterator[tuple[bytes, int]], job: Job, engine: Engine, seconds: float
    ) -> None:
        self._events, self._job, self._engine, self._seconds = events, job, engine, seconds
        super().__init__(media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        job = self._job
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"),
                   (b"x-accel-buffering", b"no")]  # fmt: skip
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with left(receive, job, self._engine):
            try:
                async with asyncio.timeout_at(job.loop.time() + self._seconds):
                    await self._send(send)
                last = b""
            except ApiError as error:
                last = event(error.to_dict())
            except TimeoutError:
                late = ApiError(408, f"not done after {self._seconds:g} s", code="deadline")
                last = event(late.to_dict())
            except Exception:
                _log.exception("a stream failed")
                broken = ApiError(500, "something is wrong in the server", code="internal")
                last = event(broken.to_dict())
            finally:
                job.gone = True
                self._engine.poke()
        # The slot is free by now: a reader that takes nothing would hold it for ever.
        await _body(send, last, more=False)

    async def _send(self, send: Send) -> None:
        job = self._job

        async def ping() -> None:
            before = -1
            while True:
                await asyncio.sleep(PING)
                if job.sent == before:
                    await _body(send, b": ping\n\n")
                before = job.sent

        pinging = asyncio.ensure_future(ping())
        try:
            async for body, count in self._events:
                await _body(send, body)
                job.sent += count
                if job.paused:
                    self._engine.poke()
        finally:
            pinging.cancel()


async def _body(send: Send, body: bytes, *, more: bool = True) -> None:
    message: Message = {"type": "http.response.body", "body": body, "more_body": more}
    await send(message)


@contextlib.asynccontextmanager
async def left(receive: Receive, job: Job, engine: Engine) -> AsyncIterator[None]:
    """Within it, a client that leaves is noticed: its job is given up."""

    async def watch() -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                job.gone = True
                job.tell((), error=ApiError(400, "the client left", code="client_left"))
                engine.poke()
                return

    watching = asyncio.ensure_future(watch())
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


async def wait_for(awaitable: Awaitable[Any], job: Job, engine: Engine, seconds: float) -> Any:
    """A result of a job within some seconds.

    Raises:
        ApiError: 408, and the job is given up.
    """
    try:
        async with asyncio.timeout(seconds):
            return await awaitable
    except TimeoutError:
        raise ApiError(408, f"not done after {seconds:g} s", code="deadline") from None
    finally:
        job.gone = True
        engine.poke()
