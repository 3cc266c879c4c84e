"""Loading models, listening, and ending in peace."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import uvicorn

from recurra.errors import InputError
from recurra.serve.app import make_app
from recurra.serve.chat import format_of
from recurra.serve.context import Serving
from recurra.serve.hosted import Hosted, Models, names_of
from recurra.serve.metrics import Metrics
from recurra.serve.sessions import Sessions
from recurra.serve.settings import Limits
from recurra.serve.socket_wire import BoundedSocket, stalled
from recurra.serve.wire import bounded_protocol

#: Seconds after which a thread lets another one go on. A step is shorter than Python's 5 ms; with
#: this, one to 16 streams gave 1.2 to 1.9 times the tokens a second of 0.5 ms, on two busy cores.
_SWITCH = 5e-5
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_log = logging.getLogger("recurra.serve")


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where a server listens, and to whom."""

    host: str = "127.0.0.1"
    port: int = 8000
    keys: Sequence[str] = ()
    allow_hosts: Sequence[str] = ()
    allow_origins: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)

    def validate(self) -> "Listening":
        """InputError for what would let strangers in."""
        self.limits.validate()
        if not 0 <= self.port < 1 << 16:
            raise InputError(f"--port: expected 0 to 65535, received {self.port}")
        if self.host not in _LOOPBACK and not self.keys:
            raise InputError(
                f"--host {self.host}: others can reach this address, so that a key is needed: give "
                "--key-file FILE, or RECURRA_SERVE_KEY"
            )
        for key in self.keys:
            if len(key) < 16 or not key.isascii() or not key.isprintable() or " " in key:
                raise InputError(
                    "a key: expected at least 16 letters, digits and signs of ASCII without "
                    "blanks, received another: make one with `openssl rand -hex 32`"
                )
        for origin in self.allow_origins:
            if not origin.startswith(("http://", "https://")) or origin.count("/") != 2:
                raise InputError(
                    f"--allow-origin: expected scheme and host, as https://example.org, received "
                    f"{origin!r}"
                )
        return self

    @property
    def hosts(self) -> list[str]:
        """Names that requests may call the server by."""
        return ["127.0.0.1", "localhost", "[::1]", self.host, *self.allow_hosts]


class Server(uvicorn.Server):
    """uvicorn, told to stop: new requests are refused, those that run come to their end."""

    def __init__(self, serving: Serving, where: Listening) -> None:
        app = make_app(serving, keys=where.keys, hosts=where.hosts, origins=where.allow_origins)
        limits = where.limits
        config = uvicorn.Config(
            app,
            host=where.host,
            port=where.port,
            http=bounded_protocol(limits),
            ws=BoundedSocket,
            ws_max_size=limits.body,
            ws_per_message_deflate=False,
            loop="asyncio",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            h11_max_incomplete_event_size=limits.headers,
            timeout_keep_alive=max(1, round(limits.header_read)),
            timeout_graceful_shutdown=max(1, round(limits.grace) + 1),
        )
        super().__init__(config)
        self.serving = serving

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM and SIGINT; a second one ends at once."""
        # uvicorn would raise the signal again at the end: what was asked for is no failure.
        self.serving.draining = True
        self.force_exit, self.should_exit = self.should_exit, True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: connections whose other side takes nothing are cut."""
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                if stalled(connection, self.serving.limits.stall):
                    connection.transport.abort()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for the requests that run, then end them with an error."""
        self.serving.draining = True
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self.serving.limits.grace, self._end)
        for stream in list(self.serving.sockets):
            stream.drain()
        await super().shutdown(sockets)
        timer.cancel()
        for engine in self.serving.models.engines:
            engine.stop()
        for worker in self.serving.models.workers:
            worker.stop()

    def _end(self) -> None:
        _log.warning("requests still run %g s after the end was asked for: they end now",
                     self.serving.limits.grace)  # fmt: skip
        for engine in self.serving.models.engines:
            engine.stop(wait=0)
        for stream in list(self.serving.sockets):
            stream.end()


def load(
    runs: Sequence[str],
    limits: Limits,
    *,
    precision: str = "float32",
    chat: str | None = None,
    process: int | None = None,
) -> Serving:
    """Load models, `RUN` or `NAME=RUN` each, for a server; `chat` is a turn format for all,
    `process` the number of this one, 0 to 255, of several behind one port.

    Raises:
        InputError, FormatError: as `recurra.load`.
    """
    import recurra

    if process is not None and not 0 <= process < 256:
        raise InputError(f"--process: expected 0 to 255, received {process}")
    metrics = Metrics()
    hosted = []
    for name, path in names_of(runs):
        model = recurra.load(path, precision=precision)
        if not hasattr(model, "files"):
            raise InputError(f"{path}: expected a run or a model directory")
        turns = format_of(model.files.card, chat)
        hosted.append(Hosted(name, model, limits, metrics, turns))
    return Serving(Models(hosted), Sessions(limits, process=process), limits, metrics)


def serve(serving: Serving, where: Listening, announce: Any = None) -> int:
    """Listen until told to stop; the exit code.

    Args:
        serving: the models.
        where: address, keys, bounds.
        announce: called with the URL once it listens.

    Raises:
        InputError: the address cannot be had.
    """
    where.validate()
    sys.setswitchinterval(_SWITCH)
    listener = listen(where)
    server = Server(serving, where)
    if announce is not None:
        host = f"[{where.host}]" if ":" in where.host else where.host
        announce(f"http://{host}:{listener.getsockname()[1]}")
    server.run(sockets=[listener])
    code = 0 if server.started else 1
    if any(worker.busy for worker in serving.models.workers):
        # Nobody waits for what a thread still does; in the middle of a kernel it would abort the
        # end of the interpreter.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code)
    return code


def listen(where: Listening) -> socket.socket:
    """A socket that listens at the address; InputError where it cannot be had."""
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    # asyncio sends small writes at once on sockets that say they are TCP alone: on others each
    # waits up to 40 ms until the client has acknowledged the one before.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((where.host, where.port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"--host {where.host} --port {where.port}: {error.strerror or error}: give another "
            "--port, or 0 for any that is free"
        ) from None
    listener.listen(where.limits.connections)
    listener.setblocking(False)
    return listener
