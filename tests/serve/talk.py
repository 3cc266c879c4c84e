"""A client of `/v1/stream`, with manners and without."""

import json
import socket
import struct

import pytest

connect = pytest.importorskip("websockets.sync.client").connect
from websockets.exceptions import ConnectionClosed  # noqa: E402

PATH = "/v1/stream"
UPGRADE = (
    f"GET {PATH} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
).encode()


class Talk:
    """Messages over one connection."""

    def __init__(self, url, **more):
        self._connecting = connect(url, **more)
        self.socket = self._connecting.__enter__()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._connecting.__exit__(None, None, None)

    def tell(self, **message):
        self.socket.send(json.dumps(message))

    def hear(self):
        return json.loads(self.socket.recv(timeout=20))

    def ask(self, **message):
        self.tell(**message)
        return self.hear()

    def push(self, frame):
        if isinstance(frame, bytes):
            self.socket.send(frame)
            return self.hear()
        return self.ask(type="push", frame=frame)

    def closed(self):
        """The messages up to the end, its code and its reason."""
        heard = []
        try:
            while True:
                heard.append(self.hear())
        except ConnectionClosed as end:
            return heard, end.rcvd.code, end.rcvd.reason


def url_of(client):
    return f"ws://127.0.0.1:{client.port}{PATH}"


def frame(opcode, data=b"", fin=True):
    """A frame as clients send it, with a mask of zeros."""
    length = (
        bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack("!H", len(data))
    )
    return bytes([opcode | 0x80 * fin]) + length + b"\0\0\0\0" + data


def raw(client, *parts, wait=2.0):
    """Frames after a handshake by hand; all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", client.port), 5) as sock:
        sock.sendall(UPGRADE)
        found = b""
        try:
            while b"\r\n\r\n" not in found:
                found += sock.recv(1)
            for part in parts:
                sock.sendall(part)
            sock.settimeout(wait)
            found = b""
            while more := sock.recv(1 << 16):
                found += more
        except TimeoutError:
            return found + b"(open)"
        except OSError:
            pass
        return found


def code_of(found):
    """The code of the close frame at the end of bytes."""
    at = max(found.rfind(bytes([0x88, n])) for n in range(2, 126))
    return struct.unpack("!H", found[at + 2 : at + 4])[0]
