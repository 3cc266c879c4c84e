"""The bounds of a server: each is an option of `recurra serve`, and `RECURRA_SERVE_<NAME>`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from recurra.errors import InputError
from recurra.settings import Settings, option

PREFIX = "RECURRA_SERVE"


@dataclass(frozen=True, kw_only=True)
class Limits(Settings):
    """What a server takes on at once, and how long it waits."""

    slots: int = option(64, "texts of a model written at once", least=1, most=1024, whole=True)
    queue: int = option(32, "requests of a model that may wait", least=0, most=10_000, whole=True)
    queue_wait: float = option(30.0, "seconds a request may wait", above=0, most=3600)
    request: float = option(120.0, "seconds a request may take", above=0, most=86_400)
    body: int = option(1 << 20, "bytes of a request", least=1024, most=1 << 30, whole=True)
    headers: int = option(
        16 << 10, "bytes of a request's headers", least=1024, most=1 << 20, whole=True
    )
    depth: int = option(16, "levels of a request's JSON", least=4, most=64, whole=True)
    connections: int = option(256, "connections at once", least=1, most=65_536, whole=True)
    header_read: float = option(10.0, "seconds to send a request's headers", above=0, most=600)
    idle: float = option(60.0, "seconds a stream may wait for a message", above=0, most=86_400)
    stall: float = option(60.0, "seconds a reader may take nothing", above=0, most=3600)
    grace: float = option(30.0, "seconds to end requests in when told to stop", least=0, most=3600)
    backlog: int = option(
        64 << 10, "bytes a reader may be behind, before its texts pause", least=1024, whole=True
    )
    state_bytes: int = option(64 << 20, "bytes of states that a key may keep", least=0, whole=True)
    state_count: int = option(1024, "states that a key may keep", least=0, whole=True)
    state_minutes: float = option(30.0, "minutes a state is kept unused", above=0, most=100_000)


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The limits that variables set, by name.

    Raises:
        InputError: one of them is no number; ranges are checked with the rest.
    """
    chosen: dict[str, Any] = {}
    for field in fields(Limits):
        variable = f"{PREFIX}_{field.name.upper()}"
        text = environment.get(variable)
        if text is None:
            continue
        try:
            chosen[field.name] = int(text) if field.metadata["whole"] else float(text)
        except ValueError:
            raise InputError(
                f"{variable}: expected a number, received {text[:40]!r}: leave it unset, or mend it"
            ) from None
    return chosen
