"""Bodies of requests: bounded while they are read, then JSON, strictly, then a schema."""

import asyncio
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from recurra.errors import FormatError
from recurra.serve.errors import ApiError, invalid
from recurra.serve.settings import Limits
from recurra.storage.jsonfile import parse_json

M = TypeVar("M", bound=BaseModel)

#: Beyond so many bytes JSON is parsed in another thread, so that other requests go on.
_LONG = 64 << 10


async def read_body(request: Request, limits: Limits, media: str = "application/json") -> bytes:
    """The bytes of a request.

    Raises:
        ApiError: 415 another media type; 413 too long; 408 too slow; 400 the client left.
    """
    given = request.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != media:
        raise ApiError(
            415,
            f"content-type: expected {media}, received {given[:80]!r}",
            code="unsupported_media_type",
        )
    told = request.headers.get("content-length", "")
    if told.isascii() and told.isdigit() and (len(told) > 12 or int(told) > limits.body):
        raise _too_long(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.queue_wait):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise invalid("the client left before its request ended", None)
                body += message.get("body", b"")
                if len(body) > limits.body:
                    raise _too_long(limits)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise ApiError(
            408,
            f"the request took more than {limits.queue_wait:g} s to arrive",
            code="deadline",
            headers={"connection": "close"},
        ) from None


def _too_long(limits: Limits) -> ApiError:
    return ApiError(
        413,
        f"expected a request of at most {limits.body:,} bytes",
        code="request_too_large",
        headers={"connection": "close"},
    )


async def read_json(request: Request, limits: Limits, schema: type[M]) -> M:
    """A request's JSON as its schema has it.

    Raises:
        ApiError: as `read_body`; 400 with the field that is wrong.
    """
    body = await read_body(request, limits)
    if len(body) < _LONG:
        return parse(body, limits, schema)
    return await asyncio.to_thread(parse, body, limits, schema)


def parse(body: bytes, limits: Limits, schema: type[M]) -> M:
    """JSON bytes as their schema has them."""
    return read(parse_object(body, limits), schema)


def parse_object(body: bytes, limits: Limits) -> dict[str, Any]:
    """JSON bytes that hold an object; ApiError for others."""
    try:
        value: Any = parse_json(body, "body", depth=limits.depth)
    except FormatError as error:
        message = str(error).removesuffix(": restore it from a copy")
        raise invalid(message, None, "invalid_json") from None
    if not isinstance(value, dict):
        raise invalid("body: expected a JSON object", None, "invalid_json")
    return value


def read(value: dict[str, Any], schema: type[M]) -> M:
    """A JSON object as its schema has it; ApiError with the field that is wrong."""
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        raise _named(error) from None


def _named(error: ValidationError) -> ApiError:
    """The first mistake; unknown fields come first, as they explain the others."""
    mistakes = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    first = mistakes[0]
    place = ".".join(str(part) for part in first["loc"])[:200]
    if first["type"] == "extra_forbidden":
        return invalid(f"unknown parameter: {place!r}", place, "unknown_parameter")
    if first["type"] == "missing":
        return invalid(f"missing parameter: {place!r}", place, "missing_parameter")
    message = first["msg"].removeprefix("Value error, ")
    return invalid(f"{place}: {message[:1].lower()}{message[1:]}", place)
