"""`GET /` and `/static/*`: the page, from memory."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from recurra import page
from recurra.serve.errors import not_found

router = APIRouter()

_HEADERS = {"content-security-policy": page.CONTENT_SECURITY_POLICY}


def _file(name: str) -> Response:
    asset = page.read(name)
    return Response(asset.data, media_type=asset.media, headers=_HEADERS)


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
async def index(request: Request) -> Response:
    """The page."""
    return _file(page.INDEX)


@router.api_route("/static/{name}", methods=["GET", "HEAD"], include_in_schema=False)
async def static(name: str, request: Request) -> Response:
    """A file of the page."""
    if name not in page.names():
        raise not_found(f"GET /static/{name[:80]}: not found", "not_found")
    return _file(name)
