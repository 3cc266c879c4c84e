"""The files of the page, and the policy that a browser is to hold it to."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "assets"
_MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}

#: The name of the page itself.
INDEX = "index.html"

#: Nothing but the page's own files, pictures it draws, and its own server.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Asset(NamedTuple):
    """A file: its bytes and its media type."""

    data: bytes
    media: str


@cache
def names() -> tuple[str, ...]:
    """The names of all files, sorted."""
    found = (path.name for path in _FOLDER.iterdir() if path.suffix in _MEDIA)
    return tuple(sorted(found))


@cache
def read(name: str) -> Asset:
    """A file by one of `names`; KeyError for any other."""
    if name not in names():
        raise KeyError(name)
    return Asset((_FOLDER / name).read_bytes(), _MEDIA[Path(name).suffix])
