"""Health, models, metrics."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse

from recurra.serve.context import serving
from recurra.serve.engine import ending

router = APIRouter()


@router.get("/health")
async def health(request: Request) -> dict[str, str]:
    """Whether requests are taken: 503 while the server ends."""
    if serving(request).draining:
        raise ending()
    return {"status": "ok"}


@router.get("/v1/models")
async def models(request: Request) -> dict[str, Any]:
    """All models."""
    found = serving(request).models.by_name.values()
    return {"object": "list", "data": [hosted.card() for hosted in found]}


@router.get("/v1/models/{name}")
async def model(name: str, request: Request) -> dict[str, Any]:
    """One model."""
    return serving(request).models.get(name).card()


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> PlainTextResponse:
    """Counters, in Prometheus' text format."""
    text = serving(request).metrics.text()
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")
