"""`POST /v1/completions`."""

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from recurra.serve.bodies import read_json
from recurra.serve.completion import Completion
from recurra.serve.context import EVENTS, body_of, keep_of, serving, state_of
from recurra.serve.errors import invalid
from recurra.serve.hosted import Hosted
from recurra.serve.prompts import check_stream, encode, options_of, texts_or_ids
from recurra.serve.replies import Reply, TextReply
from recurra.serve.schema import CompletionRequest, Sampling
from recurra.serve.sse import EventStream, left, wait_for

router = APIRouter()

#: Characters of prompts beyond which they are cut into tokens in another thread.
_LONG = 10_000
_USUAL = 16  # max_tokens, as OpenAI's


@router.post("/v1/completions", openapi_extra=body_of(CompletionRequest), responses=EVENTS)
async def completions(request: Request) -> Any:
    """Continue prompts, or the text of a state."""
    serve = serving(request)
    asked = await read_json(request, serve.limits, CompletionRequest)
    hosted = serve.models.get(asked.model)
    hosted.stepping()
    work = await _begin(request, asked, hosted)
    reply = TextReply(
        hosted,
        work,
        keep_of(request, hosted),
        usage=wants_usage(asked),
        seeded=asked.seed is not None,
        ids=bool(asked.return_token_ids),
    )
    return await answer(request, work, reply, stream=bool(asked.stream), hosted=hosted)


async def answer(
    request: Request, work: Completion, reply: Reply, *, stream: bool, hosted: Hosted
) -> Any:
    """Let a job be done, and reply as it comes or at the end."""
    limits, engine = serving(request).limits, hosted.stepping()
    engine.submit(work.job)
    async with left(request.receive, work.job, engine):
        await wait_admitted(work, engine, limits.queue_wait)
        if not stream:
            await wait_for(everything(work), work.job, engine, limits.request)
    if stream:
        return EventStream(reply.events(), work.job, engine, limits.request)
    return JSONResponse(reply.whole())


def wants_usage(asked: Sampling) -> bool:
    """Whether a stream is to end with its usage."""
    return bool(asked.stream_options and asked.stream_options.include_usage)


async def wait_admitted(work: Completion, engine: Any, seconds: float) -> None:
    """Wait in the queue; ApiError 429 where it takes too long."""
    try:
        async with asyncio.timeout(seconds):
            await work.job.started()
    except TimeoutError:
        work.job.gone = True
        engine.poke()
        raise engine.full() from None
    except BaseException:
        work.job.gone = True
        engine.poke()
        raise


async def _begin(request: Request, asked: CompletionRequest, hosted: Hosted) -> Completion:
    """The job of a request."""
    check_stream(asked)
    n = asked.n or 1
    if asked.best_of is not None and asked.best_of != n:
        raise invalid(f"best_of: expected n, which is {n}, or nothing", "best_of")
    prompts = texts_or_ids("" if asked.prompt is None else asked.prompt)
    tokenizer = hosted.model.tokenizer
    if sum(map(len, prompts)) > _LONG:
        given = await asyncio.to_thread(encode, tokenizer, prompts)
    else:
        given = encode(tokenizer, prompts)
    kept = state_of(request, asked.state, hosted.digest)
    most = _USUAL if asked.max_tokens is None else asked.max_tokens
    wanted = None if asked.logprobs is None else min(asked.logprobs, len(tokenizer))
    options = options_of(asked, tokenizer, max_tokens=max(1, most), logprobs=wanted)
    return Completion(
        hosted,
        given,
        options,
        max_tokens=most,
        n=n,
        carried=None if kept is None else kept.carried,
        trail=None if kept is None else kept.trail,
        echo=bool(asked.echo),
        logprobs=asked.logprobs is not None,
        keep=bool(asked.keep_state),
        streamed=bool(asked.stream),
    )


async def everything(work: Completion) -> None:
    """Take all pieces of a job, as they come."""
    while news := await work.job.next():
        for number, piece in news:
            assert piece is not None
            work.choices[number].add(piece)
    work.finish()
