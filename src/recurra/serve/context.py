"""What every route needs: models, states, bounds, counters, and who asks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from recurra.serve.chat import Conversations
from recurra.serve.choices import Choice
from recurra.serve.hosted import Hosted, Models
from recurra.serve.metrics import Gauge, Labels, Metrics
from recurra.serve.sessions import Kept, Sessions
from recurra.serve.settings import Limits


@dataclass
class Serving:
    """One server. `draining` is set when it was told to stop."""

    models: Models
    sessions: Sessions
    limits: Limits
    metrics: Metrics
    draining: bool = False

    def __post_init__(self) -> None:
        self.conversations = Conversations(self.sessions)
        self.sockets: set[Any] = set()  # the streams that are open
        self.connected = 0  # with those that are not open yet

        def by_model(name: str) -> dict[Labels, float]:
            return {
                (("model", each.name),): float(getattr(each, name)) for each in self.models.engines
            }

        self.metrics.gauges += [
            Gauge("recurra_texts_running", "Texts being written", lambda: by_model("running")),
            Gauge("recurra_requests_waiting", "Requests that wait", lambda: by_model("waiting")),
            Gauge("recurra_streams", "Streams open", lambda: {(): len(self.sockets)}),
            Gauge("recurra_states", "States kept", lambda: {(): self.sessions.count}),
            Gauge("recurra_states_bytes", "Bytes of them", lambda: {(): self.sessions.bytes}),
        ]


def serving(request: Request) -> Serving:
    """The server that a request came to."""
    found: Serving = request.app.state.serving
    return found


def owner(request: Request) -> str:
    """Who asks: what their key hashes to."""
    found: str = request.scope["recurra.owner"]
    return found


def state_of(request: Request, id: str | None, digest: str) -> Kept | None:
    """The state that a request names, if it does; ApiError where it cannot be used."""
    if id is None:
        return None
    return serving(request).sessions.get(owner(request), id, digest)


def keep_of(request: Request, hosted: Hosted) -> Callable[[Choice], str | None]:
    """What keeps the states at the ends of choices for whoever asks."""

    def keep(choice: Choice) -> str | None:
        if choice.carried is None:
            return None
        kept = serving(request).sessions.keep(
            owner(request), hosted.name, hosted.digest, choice.carried, choice.trail
        )
        return kept.id

    return keep


def body_of(schema: Any) -> dict[str, Any]:
    """The part of a route's description that tells OpenAPI what it reads."""
    where = {"$ref": f"#/components/schemas/{schema.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": where}}}}


#: The part of a route's description that tells OpenAPI of a reply that may come as events.
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
}
