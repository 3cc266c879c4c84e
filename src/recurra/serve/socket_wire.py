"""The protocol of a WebSocket: uvicorn's, with bounds on what waits in the server's memory."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Response

from recurra.serve.errors import ApiError

#: Bytes that are taken apart at a time: a message has six at least, so few wait at once.
_BITE = 4096
#: Parts of a message: one of any number of empty parts would never end.
_PARTS = 1024
#: Bytes of answers to pings that may wait for a reader that only sends.
_PONGS = 64 << 10


class BoundedSocket(WebSocketsSansIOProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unread = bytearray()
        self.conn.reject = _in_json(self.conn.reject)  # type: ignore[method-assign]

    def data_received(self, data: bytes) -> None:
        """Take bytes apart, as long as nothing waits for the application."""
        self._unread += data
        self._feed()
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # What is no handshake is no event: without this nobody would answer, or hang up.
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    async def send(self, message: Any) -> None:
        """Say something; a refusal is a whole answer, of which uvicorn would complain."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True

    async def receive(self) -> Any:
        """The next message; no byte is read while some are still to be taken apart."""
        if self._unread and self.queue.empty() and not self.disconnected:
            self.read_paused = False
            self._feed()
            if not self.read_paused and not self.transport.is_closing():
                self.transport.resume_reading()
        message = await super().receive()
        if self._unread and not self.read_paused and not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()
        return message

    def handle_cont(self, event: Any) -> None:
        """A further part of a message."""
        if len(self.frames) >= _PARTS:
            self.conn.fail(1009, f"a message of more than {_PARTS} parts")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """A whole message. uvicorn would log a traceback for each that is no UTF-8."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.fail(1007, "a text that is not UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Answer, unless the other side takes no answers."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > _PONGS:
            self.transport.abort()

    def shutdown(self) -> None:
        """Leave the end to the application, which knows what is still to be said."""
        if not self.handshake_complete or self.close_sent:
            super().shutdown()

    def _feed(self) -> None:
        while self._unread and not self.read_paused:
            if self.transport.is_closing():
                self._unread.clear()
                return
            bite = bytes(self._unread[:_BITE])
            del self._unread[:_BITE]
            super().data_received(bite)


def _in_json(reject: Callable[..., Response]) -> Callable[..., Response]:
    """How websockets refuses a handshake, in the form that all errors have."""

    def refuse(status: HTTPStatus, text: str) -> Response:
        made, status = reject(status, text), HTTPStatus(status)
        told = " ".join(text.split()).rstrip(".") or status.phrase
        code = "internal" if status >= 500 else "invalid_http"
        body = ApiError(status, told, code=code).to_bytes()
        for name, value in (
            ("Content-Length", str(len(body))),
            ("Content-Type", "application/json"),
        ):
            made.headers.pop(name, None)
            made.headers[name] = value
        made.body = body
        return made

    return refuse


def stalled(connection: Any, seconds: float) -> bool:
    """Whether the other side has taken nothing for so long, while something waits for it; at the
    end of a connection also whether it has not taken all of it for so long.

    To be called every now and then: it compares with the last calls.
    """
    transport = connection.transport
    now, size = asyncio.get_running_loop().time(), transport.get_write_buffer_size()
    before, since = getattr(connection, "seen_waiting", (0, now))
    seen = -1 if transport.is_closing() else size  # a byte now and then would keep it for hours
    if not size or seen != before:
        since = now
    connection.seen_waiting = seen, since
    return bool(now - since > seconds)
