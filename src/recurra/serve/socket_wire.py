"""The protocol of a WebSocket: uvicorn's, with bounds on what waits in the server's memory."""

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

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

    def data_received(self, data: bytes) -> None:
        """Take bytes apart, as long as nothing waits for the application."""
        self._unread += data
        self._feed()

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


def stalled(connection: Any, seconds: float) -> bool:
    """Whether the other side has taken nothing for so long, while something waits for it.

    To be called every now and then: it compares with the last calls.
    """
    transport = connection.transport
    now, size = asyncio.get_running_loop().time(), transport.get_write_buffer_size()
    before, since = getattr(connection, "seen_waiting", (0, now))
    if not size or size != before:
        since = now
    connection.seen_waiting = size, since
    return bool(now - since > seconds)
