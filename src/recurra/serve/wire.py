"""The protocol on a connection: uvicorn's, with bounds on how long and how many."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from recurra.serve.errors import ApiError
from recurra.serve.settings import Limits


def bounded_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """A class of connections: so many of them, and headers within so many seconds."""

    class Bounded(H11Protocol):
        """One connection."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                self._refuse(
                    ApiError(503, "too many connections: try again", code="too_many_connections")
                )
            else:
                self._expect()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unexpect()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self.transport.is_closing():
                return
            before = self.cycle
            if self._timer is None and (before is None or before.response_complete):
                self._expect()  # the next request on this connection
            super().data_received(data)
            if self.cycle is not before:
                self._unexpect()

        def handle_websocket_upgrade(self, event: Any) -> None:
            """From here on another protocol speaks."""
            self._unexpect()
            super().handle_websocket_upgrade(event)

        def send_400_response(self, msg: str) -> None:
            """What is no HTTP, or has too long headers."""
            self._refuse(ApiError(400, msg, code="invalid_http"))

        def _expect(self) -> None:
            self._timer = self.loop.call_later(limits.header_read, self._late)

        def _unexpect(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _late(self) -> None:
            seconds = f"{limits.header_read:g}"
            self._refuse(ApiError(408, f"no request within {seconds} s", code="deadline"))

        def _refuse(self, error: ApiError) -> None:
            if self.transport.is_closing():
                return
            body = error.to_bytes()
            head = (
                f"HTTP/1.1 {error.status} Error\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(head.encode() + body)
            self.transport.close()

    return Bounded
