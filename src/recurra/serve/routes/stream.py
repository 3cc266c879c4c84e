"""`/v1/stream`: a WebSocket on which a model reads a sequence as it comes.

Messages are JSON objects with a `type`, those of sound also bytes. A frame that cannot be read is
answered by an error and leaves the stream as it was; what breaks the rules of the connection ends
it, with an error before and one line beside the close code.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketState

from recurra.errors import FormatError, InputError, RecurraError
from recurra.serve.bodies import parse_object, read
from recurra.serve.context import Serving
from recurra.serve.engine import ending
from recurra.serve.errors import ApiError, beyond, invalid
from recurra.serve.frames import KINDS, Streamed, TextStreamed, pieces
from recurra.serve.hosted import Hosted
from recurra.serve.schema import (
    FinishMessage,
    OpenMessage,
    PushMessage,
    Schema,
    StateMessage,
    WriteMessage,
)
from recurra.serve.sent_state import decoded, encoded
from recurra.tasks.language_model.text_model import TextModel

router = APIRouter()
_log = logging.getLogger("recurra.serve")

PATH = "/v1/stream"
_MESSAGES: dict[str, type[Schema]] = {
    "push": PushMessage, "write": WriteMessage, "state": StateMessage, "finish": FinishMessage,
}  # fmt: skip
#: Messages of a client that wait; further ones stay on its side.
_WAITING = 4
#: Items after which the size of what a stream keeps is looked at again.
_WEIGHED = 1000
_CODES = {400: 1008, 408: 4408, 413: 1009, 429: 1013, 500: 1011, 503: 1012}
_REASON = 120  # bytes of a close frame's reason


@router.get(PATH)
async def plain(request: Request) -> dict[str, str]:
    """A WebSocket: frames in, results out. See docs/serving.md for its messages."""
    raise ApiError(
        426,
        f"{PATH} is a WebSocket: connect to it as ws://",
        code="upgrade_required",
        headers={"upgrade": "websocket", "connection": "upgrade"},
    )


@router.websocket(PATH)
async def stream(socket: WebSocket) -> None:
    """Let a model read a sequence as it comes."""
    await Session(socket, socket.app.state.serving).run()


class _ClosedError(Exception):
    """The client has left."""


class Session:
    """One connection.

    Args:
        socket: it.
        serving: the server.
    """

    def __init__(self, socket: WebSocket, serving: Serving) -> None:
        self._socket, self._serving = socket, serving
        self._waiting: asyncio.Queue[Any] = asyncio.Queue(_WAITING)
        self._working: asyncio.Task[None] | None = None
        self._over = False
        self._items = self._weighed = 0

    async def run(self) -> None:
        """From the handshake to the end."""
        offered = self._socket.scope["subprotocols"]
        await self._socket.accept(subprotocol="recurra" if "recurra" in offered else None)
        self._serving.sockets.add(self)
        self._working = asyncio.ensure_future(self._work())
        receiving = asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait({self._working, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if not self._working.done():  # the client left
                self._working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._working
        finally:
            receiving.cancel()
            self._serving.sockets.discard(self)
            if self._over:
                await self._close(ending())

    def drain(self) -> None:
        """Tell the client that the server ends, and when."""
        self._telling = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        with contextlib.suppress(_ClosedError, WebSocketDisconnect, RuntimeError):
            await self._say({"type": "draining", "seconds": self._serving.limits.grace})

    def end(self) -> None:
        """The server ends now."""
        self._over = True
        if self._working is not None:
            self._working.cancel()

    async def _receive(self) -> None:
        """Put what comes where the work finds it."""
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await self._waiting.put(message)

    async def _work(self) -> None:
        """Answer one message after the other."""
        try:
            streamed, hosted = await self._opened()
            while await self._answer(streamed, hosted, await self._next()):
                pass
            await self._shut(1000, "finished")
        except ApiError as error:
            await self._close(error)
        except (_ClosedError, WebSocketDisconnect):
            pass
        except Exception:
            _log.exception("a stream failed")
            await self._close(ApiError(500, "something is wrong in the server", code="internal"))

    async def _next(self) -> dict[str, Any]:
        seconds = self._serving.limits.idle
        try:
            async with asyncio.timeout(seconds):
                found: dict[str, Any] = await self._waiting.get()
                return found
        except TimeoutError:
            raise ApiError(408, f"no message within {seconds:g} s", code="deadline") from None

    async def _opened(self) -> tuple[Streamed, Hosted]:
        """The stream that the first message asks for."""
        body = await self._json(await self._next())
        own = {name: value for name, value in body.items() if name in OpenMessage.model_fields}
        asked = read(own, OpenMessage)
        hosted = self._serving.models.get(asked.model)
        kind = TextStreamed if isinstance(hosted.model, TextModel) else KINDS.get(hosted.task)
        if kind is None:
            raise invalid(f"model {hosted.name!r} reads no streams", "model", "wrong_task")
        rest = {name: value for name, value in body.items() if name not in own}
        options = read(rest, kind.options)

        def make() -> Streamed:
            state = None if asked.state is None else decoded(asked.state)
            return kind(hosted.model, options, state)

        streamed = await self._do(hosted, make)
        self._items = 0
        told = {"type": "opened", "model": hosted.name, "task": hosted.task}
        await self._say({**told, "sha256": hosted.digest})
        return streamed, hosted

    async def _answer(self, streamed: Streamed, hosted: Hosted, message: dict[str, Any]) -> bool:
        """Do what a message asks; whether the stream goes on."""
        if message.get("bytes") is not None:
            asked: Any = PushMessage(type="push", frame=message["bytes"])
        else:
            body = await self._json(message)
            kind = body.get("type")
            schema = _MESSAGES.get(kind) if isinstance(kind, str) else None
            if schema is None:
                known = ", ".join(_MESSAGES)
                raise invalid(f"type: expected one of {known}, received another", "type")
            try:
                asked = read(body, schema)
            except ApiError as error:
                await self._refuse(error)
                return True
        seconds = self._serving.limits.request
        try:
            async with asyncio.timeout(seconds):
                return await self._done(streamed, hosted, asked)
        except TimeoutError:
            raise ApiError(408, f"not done after {seconds:g} s", code="deadline") from None

    async def _done(self, streamed: Streamed, hosted: Hosted, asked: Any) -> bool:
        before, items = streamed.stream, self._items
        try:
            if isinstance(asked, FinishMessage):
                streamed.stream = before.fork()
                last = await self._do(hosted, streamed.stream.finish)
                await self._say({"type": "finished", "result": streamed.finished(last)})
                return False
            if isinstance(asked, StateMessage):
                most = self._serving.limits.body
                state = await self._do(hosted, lambda: encoded(streamed.stream.state, most))
                await self._say({"type": "state", "state": state})
            elif isinstance(asked, WriteMessage):
                await self._write(streamed, hosted, asked)
            else:
                streamed.stream = before.fork()
                await self._push(streamed, hosted, asked.frame)
        except ApiError as error:
            streamed.stream, self._items = before, items
            if error.status == 408:
                raise
            await self._refuse(error)
        return True

    async def _push(self, streamed: Streamed, hosted: Hosted, value: Any) -> None:
        frame = streamed.frame(value)
        count = streamed.count(frame)
        if streamed.most is not None and self._items + count > streamed.most:
            raise invalid(
                f"frame: expected at most {streamed.most:,} characters, words or steps in a "
                f"stream, received {self._items + count:,}: open another",
                "frame",
                "context_too_long",
            )
        results = [
            await self._do(hosted, partial(streamed.stream.push, piece))
            for piece in pieces(streamed, frame)
        ]
        told = {"type": "result", "result": streamed.told(results)}
        streamed.check()
        every = max(_WEIGHED, 4 * streamed.piece)
        if (self._items + count) // every > self._weighed:
            await self._weigh(streamed, hosted)
            self._weighed = (self._items + count) // every
        self._items += count
        await self._say(told)

    async def _weigh(self, streamed: Streamed, hosted: Hosted) -> None:
        """ApiError where a stream keeps more than a key may."""
        size = await self._do(hosted, lambda: streamed.stream.state.nbytes)
        if size > self._serving.limits.state_bytes:
            raise invalid(
                f"frame: the stream would keep {size:,} bytes, more than "
                f"{self._serving.limits.state_bytes:,}: open another",
                "frame",
                "state_too_large",
            )

    async def _write(self, streamed: Streamed, hosted: Hosted, asked: WriteMessage) -> None:
        """Send a text as it is written, until it ends or the client says something."""
        writing = iter(streamed.write(asked))
        while (message := await self._do(hosted, lambda: next(writing, None))) is not None:
            if message["type"] == "piece":
                self._items += 1
            await self._say(message)
            if not self._waiting.empty():
                break
            if streamed.most is not None and self._items > streamed.most:
                raise invalid(
                    f"write: expected at most {streamed.most:,} tokens in a stream: open another",
                    "type",
                    "context_too_long",
                )
        await self._say({"type": "written"})

    async def _do(self, hosted: Hosted, work: Callable[[], Any]) -> Any:
        """One piece of work in a thread, when it is its turn.

        Raises:
            ApiError: what the model cannot read.
        """
        try:
            return await hosted.streaming.do(work)
        except (InputError, FormatError) as error:
            raise invalid(str(error), None) from None
        except RecurraError as error:
            raise ApiError(400, str(error), code="invalid_value") from None

    async def _json(self, message: dict[str, Any]) -> dict[str, Any]:
        text = message.get("text")
        if text is None:
            raise invalid("message: expected JSON, received bytes", None, "invalid_json")
        limits, data = self._serving.limits, text.encode("utf-8", "surrogatepass")
        if len(data) < 1 << 16:
            return parse_object(data, limits)
        return await asyncio.to_thread(parse_object, data, limits)

    async def _refuse(self, error: ApiError) -> None:
        self._serving.metrics.rejected.add(code=error.code)
        await self._say({"type": "error", **error.to_dict()})

    async def _say(self, value: dict[str, Any]) -> None:
        if self._socket.application_state is not WebSocketState.CONNECTED:
            raise _ClosedError
        try:
            text = json.dumps(value, allow_nan=False)
        except ValueError:
            raise beyond("frame") from None
        await self._socket.send_text(text)

    async def _close(self, error: ApiError) -> None:
        """Say what is wrong, and close."""
        with contextlib.suppress(_ClosedError, WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(self._serving.limits.stall):
                await self._refuse(error)
            told = f"{error.code}: {error.message}".encode()[:_REASON].decode("utf-8", "ignore")
            await self._shut(_CODES.get(error.status, 1008), told)

    async def _shut(self, code: int, reason: str) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            await self._socket.close(code, reason)
