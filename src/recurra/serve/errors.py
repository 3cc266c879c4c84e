"""Errors as OpenAI's clients read them: one form for every status."""

import json
from collections.abc import Mapping
from typing import Any

from recurra.errors import one_line

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ApiError(Exception):
    """What a request is answered with when it cannot be done.

    status: of HTTP. param: the field that is wrong. code: for programs. headers: of the reply.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, one_line(message), code, param
        self.headers = dict(headers or {})

    def to_dict(self) -> dict[str, Any]:
        """The body of the reply."""
        usual = "server_error" if self.status >= 500 else "invalid_request_error"
        kind = _TYPES.get(self.status, usual)
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error}

    def to_bytes(self) -> bytes:
        """The body of the reply, encoded."""
        return json.dumps(self.to_dict()).encode()


def invalid(message: str, param: str | None, code: str = "invalid_value") -> ApiError:
    """A field with a wrong value."""
    return ApiError(400, message, code=code, param=param)


def beyond(param: str) -> ApiError:
    """A result that is no finite number, of numbers that are too large."""
    return invalid(
        f"{param}: the result is beyond what numbers hold: divide the values by a constant",
        param,
        "not_finite",
    )


def not_found(what: str, code: str, param: str | None = None) -> ApiError:
    """Something that does not exist, or belongs to somebody else."""
    return ApiError(404, what, code=code, param=param)
