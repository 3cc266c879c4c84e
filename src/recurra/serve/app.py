"""The application: routes behind the gate, and errors in one form."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from recurra.serve import schema
from recurra.serve.context import Serving
from recurra.serve.errors import ApiError
from recurra.serve.gate import Gate, is_public
from recurra.serve.routes import (
    chat,
    completions,
    inside,
    page,
    states,
    status,
    stream,
    tasks,
    text,
)

ROUTERS = tuple(
    part.router for part in (status, completions, chat, text, inside, states, tasks, stream, page)
)

_CODES = {404: "not_found", 405: "method_not_allowed"}


def make_app(
    serving: Serving,
    *,
    keys: Sequence[str] = (),
    hosts: Sequence[str] = ("127.0.0.1", "localhost", "[::1]"),
    origins: Sequence[str] = (),
) -> Gate:
    """The ASGI application of a server; arguments as of `Gate`."""
    return Gate(make_routes(serving), serving, keys=keys, hosts=hosts, origins=origins)


def make_routes(serving: Serving) -> FastAPI:
    """All routes, without the gate."""
    app = FastAPI(title="recurra", docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.serving = serving
    for router in ROUTERS:
        app.include_router(router)

    @app.exception_handler(ApiError)
    async def refused(request: Request, error: ApiError) -> Response:
        serving.metrics.rejected.add(code=error.code)
        return JSONResponse(error.to_dict(), error.status, headers=error.headers)

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "invalid_request")
        told = f"{request.method} {request.url.path[:200]}: {str(error.detail).lower()}"
        made = ApiError(error.status_code, told, code=code, headers=error.headers)
        return await refused(request, made)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        made = ApiError(500, "something is wrong in the server", code="internal")
        return JSONResponse(made.to_dict(), made.status)

    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description of all routes, with the schemas of what they read."""
    if app.openapi_schema is None:
        made = get_openapi(title=app.title, version="1", routes=app.routes)
        parts = made.setdefault("components", {}).setdefault("schemas", {})
        for each in vars(schema).values():
            if isinstance(each, type) and issubclass(each, schema.Schema):
                own = each.model_json_schema(ref_template="#/components/schemas/{model}")
                parts.update(own.pop("$defs", {}))
                parts[each.__name__] = own
        parts.pop("HTTPValidationError", None)
        parts.pop("ValidationError", None)
        parts["Error"] = _ERROR
        made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, methods in made["paths"].items():
            for method, about in methods.items():
                about["responses"].pop("422", None)
                about["responses"]["4XX"] = _refusal("The request cannot be done")
                about["responses"]["503"] = _refusal("The server ends")
                public = is_public(method.upper(), path)
                about["security"] = [] if public else [{"key": []}]
        app.openapi_schema = made
    return app.openapi_schema


def _refusal(about: str) -> dict[str, Any]:
    where = {"schema": {"$ref": "#/components/schemas/Error"}}
    return {"description": about, "content": {"application/json": where}}


_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": "string"},
            },
        }
    },
}
