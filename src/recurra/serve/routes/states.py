"""`/v1/states`: what is kept for a key. A state never changes; another one is made of it."""

from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from recurra.generate import Carried
from recurra.generate.plan import Prompt, first_ids
from recurra.generate.streams import Reading, Trail
from recurra.serve.bodies import read_body, read_json
from recurra.serve.context import body_of, owner, serving
from recurra.serve.errors import ApiError, invalid
from recurra.serve.hosted import Hosted
from recurra.serve.jobs import Job
from recurra.serve.schema import RewindRequest
from recurra.serve.sessions import Kept, size_of
from recurra.serve.sse import left, wait_for
from recurra.serve.statefile import MEDIA, read_state, write_state

router = APIRouter()

_FILE = {"content": {MEDIA: {"schema": {"type": "string", "format": "binary"}}}}


def described(kept: Kept) -> dict[str, Any]:
    """A state as replies tell of it."""
    return {
        "id": kept.id,
        "object": "state",
        "model": kept.model,
        "created": int(kept.created),
        "tokens": kept.tokens,
        "bytes": size_of(kept.carried.state) + kept.carried.ids.nbytes,
        "sha256": kept.sha256,
    }


@router.get("/v1/states")
async def states(request: Request) -> dict[str, Any]:
    """The states of a key, the most recently used first."""
    found = serving(request).sessions.list(owner(request))
    return {"object": "list", "data": [described(kept) for kept in found]}


@router.get("/v1/states/{id}")
async def state(id: str, request: Request) -> dict[str, Any]:
    """One state."""
    return described(serving(request).sessions.get(owner(request), id))


@router.delete("/v1/states/{id}")
async def delete(id: str, request: Request) -> dict[str, Any]:
    """Forget a state. Others that were made of it stay."""
    serving(request).sessions.delete(owner(request), id)
    return {"id": id, "object": "state", "deleted": True}


@router.post("/v1/states/{id}/fork")
async def fork(id: str, request: Request) -> dict[str, Any]:
    """The same state under another id, which lives by itself."""
    sessions = serving(request).sessions
    kept = sessions.get(owner(request), id)
    made = sessions.keep(owner(request), kept.model, kept.digest, kept.carried, kept.trail)
    return described(made)


@router.post("/v1/states/{id}/rewind", openapi_extra=body_of(RewindRequest))
async def rewind(id: str, request: Request) -> dict[str, Any]:
    """The state in which the text had its first `to` tokens."""
    serve = serving(request)
    asked = await read_json(request, serve.limits, RewindRequest)
    kept = serve.sessions.get(owner(request), id)
    hosted = serve.models.get(kept.model)
    if asked.to > kept.tokens:
        raise invalid(f"to: expected 1 to {kept.tokens}, received {asked.to}", "to")
    carried, trail = await rewound(request, hosted, kept.carried, kept.trail, asked.to)
    made = serve.sessions.keep(owner(request), kept.model, kept.digest, carried, trail)
    return described(made)


async def rewound(
    request: Request, hosted: Hosted, carried: Carried, trail: Trail | None, to: int
) -> tuple[Carried, Trail | None]:
    """A text back at its first `to` tokens, and the way there: at most 63 of them read again.

    A state that came as a file has no way: its text is read again from the start.
    """
    model, ids = hosted.model.runtime, np.asarray(carried.ids[:to])
    begin = None if trail is None else trail.reach(to - 1)
    if begin is None:
        state = model.start(1)
        if carried.written and carried.written[0][0] == 0:  # of an empty prompt
            first = first_ids(hosted.model.tokenizer)
            _, state = model.read(np.asarray(first)[None], None, state)
        begin = Trail(None, 0, state)
    reached: list[Any] = [begin.state, begin]
    if begin.position < to - 1:
        before = Carried(begin.state, ids[: begin.position + 1])
        prompt = Prompt(0, "", ids, ids[begin.position : to - 1], before)

        def done(state: Any, trail: Trail | None) -> None:
            reached[:] = [state, trail]

        reading = Reading(model, prompt, [], trail=begin, trailing=True, done=done)
        job, engine = Job([reading], []), hosted.stepping()
        engine.submit(job)
        async with left(request.receive, job, engine):
            await wait_for(job.next(), job, engine, serving(request).limits.request)
    state, trail = reached
    written = tuple((a, min(b, to)) for a, b in carried.written if a < to)
    back = sum(max(0, b - max(a, to)) for a, b in carried.written)
    return Carried(state, ids, max(0, carried.drawn - back), written), trail


@router.get("/v1/states/{id}/export", response_class=Response, responses={200: _FILE})
async def export(id: str, request: Request) -> Response:
    """A state as a safetensors file."""
    kept = serving(request).sessions.get(owner(request), id)
    hosted = serving(request).models.get(kept.model)
    start = hosted.model.runtime.start(1)
    if not isinstance(start, tuple) or not all(isinstance(layer, tuple) for layer in start):
        raise ApiError(400, "states of this model cannot be exported", code="not_exportable")
    return Response(write_state(kept), media_type=MEDIA)


@router.post("/v1/states/import", openapi_extra={"requestBody": {"required": True, **_FILE}})
async def imported(request: Request) -> dict[str, Any]:
    """Keep the state that a file holds."""
    serve = serving(request)
    data = await read_body(request, serve.limits, MEDIA)
    for hosted in serve.models.by_name.values():
        if hosted.engine is None:
            continue
        runtime, tokenizer = hosted.model.runtime, hosted.model.tokenizer
        try:
            carried = read_state(data, hosted.digest, runtime.start(1), len(tokenizer))
        except ApiError as error:
            if error.code == "state_of_another_model":
                continue
            raise
        kept = serve.sessions.keep(owner(request), hosted.name, hosted.digest, carried, None)
        return described(kept)
    raise ApiError(
        400,
        "body: the state is of none of the models of this server",
        code="state_of_another_model",
        param="body",
    )
