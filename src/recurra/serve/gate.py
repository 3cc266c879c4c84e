"""What every request passes first: host, origin, key; and what every reply has.

All paths need a key but those of `is_public`: a route that is added later is closed by itself.
"""

import base64
import hashlib
import hmac
import logging
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recurra import page
from recurra.serve.context import Serving
from recurra.serve.engine import ending
from recurra.serve.errors import ApiError, not_found

#: Health, and the page, which holds nothing of any model and asks its user for the key.
_PUBLIC = frozenset(
    (method, path)
    for method in ("GET", "HEAD")
    for path in ("/health", "/", *(f"/static/{name}" for name in page.names()))
)
#: Paths of WebSockets.
SOCKETS = frozenset({"/v1/stream"})
_DRAINED = "/v1/"
#: Paths of requests that wait for an engine, whatever they ask.
_STEPPED = frozenset({"/v1/completions", "/v1/chat/completions", "/v1/score"})
#: Before a key, in base64url without padding, among the subprotocols of a WebSocket.
_KEY = "recurra.key."
_log = logging.getLogger("recurra.serve")


def is_public(method: str, path: str) -> bool:
    """Whether a path is answered without a key."""
    return (method, path) in _PUBLIC


class Gate:
    """Wraps the application.

    Args:
        app: what is behind it.
        serving: the server.
        keys: those that are let in; none: everybody, who then share one owner.
        hosts: names that the server may be called by, without ports.
        origins: of pages elsewhere that may call it; none by default.
    """

    def __init__(
        self,
        app: ASGIApp,
        serving: Serving,
        *,
        keys: Sequence[str] = (),
        hosts: Sequence[str] = (),
        origins: Sequence[str] = (),
    ) -> None:
        self._app, self._serving = app, serving
        self._keys = [_digest(key.encode()) for key in keys]
        self._hosts = {host.lower() for host in hosts}
        self._origins = set(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        socket = scope["type"] == "websocket"
        method = "GET" if socket else scope["method"]
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)
        origin = headers.get(b"origin", [b""])[0].decode("latin-1")
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "websocket.accept":
                started = True
                self._serving.metrics.replies.add(status="101")
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                started = True
                message["headers"] = [*message.get("headers", ()), *self._always(origin)]
                self._serving.metrics.replies.add(status=str(message["status"]))
            await send(message)

        try:
            try:
                self._check_form(scope, headers)
                self._check_host(headers)
                self._check_origin(origin, headers)
                if method == "OPTIONS" and origin in self._origins:
                    await _reply(sending, 204, b"", _PREFLIGHT)
                    return
                scope["recurra.owner"] = self._owner(method, scope, headers)
                if socket and scope["path"] not in SOCKETS:
                    told = f"{scope['path'][:200]!r} is no WebSocket of this server"
                    raise not_found(told, "not_found")
                if self._serving.draining and scope["path"].startswith(_DRAINED):
                    raise ending()
                if method == "POST" and scope["path"] in _STEPPED:
                    self._check_room()
                await self._app(scope, receive, sending)
            except ApiError as error:
                if started:
                    raise
                await self._refuse(sending, error, socket=socket)
        except Exception:
            _log.exception("%s %s failed", method, scope["path"][:200])
            if not started:
                broken = ApiError(500, "something is wrong in the server", code="internal")
                await self._refuse(sending, broken, socket=socket)

    async def _refuse(self, send: Send, error: ApiError, *, socket: bool) -> None:
        self._serving.metrics.rejected.add(code=error.code)
        headers = [(k.encode(), v.encode()) for k, v in error.headers.items()]
        headers.append((b"content-type", b"application/json"))
        await _reply(send, error.status, error.to_bytes(), headers, "websocket." * socket)

    def _check_form(self, scope: Scope, headers: dict[bytes, list[bytes]]) -> None:
        """What h11 lets through: others may take it for another request than we do."""
        most, size = (
            self._serving.limits.headers,
            len(scope["raw_path"]) + len(scope["query_string"]),
        )
        size += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
        wrong = None
        if scope["http_version"] not in ("1.0", "1.1"):
            wrong = f"expected HTTP/1.1, received HTTP/{scope['http_version'][:8]}"
        elif b"transfer-encoding" in headers and b"content-length" in headers:
            wrong = "expected either transfer-encoding or content-length, received both"
        elif size > most:
            wrong = f"expected headers of at most {most:,} bytes, received {size:,}"
        if wrong is not None:
            raise ApiError(400, wrong, code="invalid_http", headers={"connection": "close"})

    def _check_host(self, headers: dict[bytes, list[bytes]]) -> None:
        """A page elsewhere may name our address its own: only known names are answered."""
        given = headers.get(b"host", [])
        if len(given) != 1 or _without_port(given[0].decode("latin-1")) not in self._hosts:
            shown = b", ".join(given).decode("latin-1")[:80]
            raise ApiError(
                403,
                f"host {shown!r} is not one of this server: allow it with --allow-host",
                code="host_not_allowed",
            )

    def _check_origin(self, origin: str, headers: dict[bytes, list[bytes]]) -> None:
        if not origin or origin in self._origins:
            return
        host = headers[b"host"][0].decode("latin-1").lower()
        if origin.lower() not in (f"http://{host}", f"https://{host}"):
            raise ApiError(
                403,
                f"pages of {origin[:80]!r} may not call this server: allow it with --allow-origin",
                code="origin_not_allowed",
            )

    def _check_room(self) -> None:
        """Under a flood most requests are refused: before their bodies are read, and in time."""
        engines = self._serving.models.engines
        if engines and all(engine.crowded for engine in engines):
            raise engines[0].full()

    def _owner(self, method: str, scope: Scope, headers: dict[bytes, list[bytes]]) -> str:
        """Who asks; ApiError for a path that needs a key, without one."""
        if not self._keys:
            return ""
        given = headers.get(b"authorization", [])
        if scope["type"] == "websocket" and not given:
            given = _offered(scope["subprotocols"])
        kind, _, key = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        digest, owner = _digest(key.strip()), None
        for known in self._keys:  # all of them, however many are the same
            if hmac.compare_digest(known, digest):
                owner = known.hex()
        if owner is not None and kind.lower() == b"bearer":
            return owner
        if scope["type"] == "http" and is_public(method, scope["path"]):
            return ""
        raise ApiError(
            401,
            "expected a key of this server: send it as `Authorization: Bearer KEY`",
            code="invalid_api_key",
            headers={"www-authenticate": "Bearer"},
        )

    def _always(self, origin: str) -> list[tuple[bytes, bytes]]:
        headers = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"),
                   (b"referrer-policy", b"no-referrer")]  # fmt: skip
        if origin in self._origins:
            headers += [(b"access-control-allow-origin", origin.encode("latin-1")),
                        (b"vary", b"origin")]  # fmt: skip
        return headers


_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, POST, DELETE"),
    (b"access-control-allow-headers", b"authorization, content-type"),
    (b"access-control-max-age", b"600"),
]


async def _reply(
    send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]], kind: str = ""
) -> None:
    length = [] if status == 204 else [(b"content-length", str(len(body)).encode())]
    start = f"{kind}http.response.start"
    await send({"type": start, "status": status, "headers": [*headers, *length]})
    await send({"type": f"{kind}http.response.body", "body": body})


def _offered(subprotocols: Sequence[str]) -> list[bytes]:
    """The header that a page's WebSocket would have, which can name subprotocols alone."""
    found = []
    for name in subprotocols:
        if name.startswith(_KEY):
            try:
                key = base64.urlsafe_b64decode(name.removeprefix(_KEY) + "==")
            except ValueError:
                key = b""
            found.append(b"Bearer " + key)
    return found


def _digest(key: bytes) -> bytes:
    """Of one length, so that comparing takes one time."""
    return hashlib.sha256(key).digest()


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    bare = name if colon and port.isdigit() else host
    return bare.lower()
