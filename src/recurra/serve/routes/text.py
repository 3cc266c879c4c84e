"""`/v1/tokenize`, `/v1/detokenize`, `/v1/score`."""

import asyncio
import math
from typing import Any

import numpy as np
from fastapi import APIRouter, Request

from recurra.errors import InputError
from recurra.generate import Carried, Options
from recurra.serve.bodies import read_json
from recurra.serve.choices import Scored
from recurra.serve.completion import Completion
from recurra.serve.context import body_of, owner, serving, state_of
from recurra.serve.errors import ApiError, invalid
from recurra.serve.hosted import Hosted
from recurra.serve.prompts import Given, alternatives, encode, texts_of
from recurra.serve.routes.completions import everything, wait_admitted
from recurra.serve.routes.states import described
from recurra.serve.schema import DetokenizeRequest, Passage, ScoreRequest, TokenizeRequest
from recurra.serve.sse import left, wait_for
from recurra.text import Tokenizer

router = APIRouter()


def _writing(request: Request, name: str) -> Hosted:
    hosted = serving(request).models.get(name)
    hosted.stepping()
    return hosted


@router.post("/v1/tokenize", openapi_extra=body_of(TokenizeRequest))
async def tokenize(request: Request) -> dict[str, Any]:
    """The ids of a text, each with its token and where its text begins, in code points."""
    asked = await read_json(request, serving(request).limits, TokenizeRequest)
    tokenizer = _writing(request, asked.model).model.tokenizer

    def work() -> dict[str, Any]:
        (given,) = encode(tokenizer, [asked.text])
        decoder, offsets, at = tokenizer.decoder(), [], 0
        ids = given.ids.tolist()
        for id in ids:
            offsets.append(at)
            at += len(decoder.push(id))
        return {"tokens": ids, "pieces": [tokenizer.token(id) for id in ids], "offsets": offsets}

    return await asyncio.to_thread(work)


@router.post("/v1/detokenize", openapi_extra=body_of(DetokenizeRequest))
async def detokenize(request: Request) -> dict[str, str]:
    """The text of ids."""
    asked = await read_json(request, serving(request).limits, DetokenizeRequest)
    tokenizer = _writing(request, asked.model).model.tokenizer
    try:
        return {"text": await asyncio.to_thread(tokenizer.decode, asked.tokens)}
    except InputError as error:
        raise invalid(f"tokens: {error}", "tokens") from None


@router.post("/v1/score", openapi_extra=body_of(ScoreRequest))
async def score(request: Request) -> dict[str, Any]:
    """-log p of each token of a text in nats, the most probable ones, and the perplexity.

    The first has none, where no state stands before it. With `next` the most probable tokens behind
    the text, and with `keep_state` the state there: then the text may be empty.
    """
    serve = serving(request)
    asked = await read_json(request, serve.limits, ScoreRequest)
    hosted = _writing(request, asked.model)
    tokenizer = hosted.model.tokenizer
    given = await asyncio.to_thread(passage, tokenizer, asked)
    kept = state_of(request, asked.state, hosted.digest)
    if not len(given.ids) and not (asked.next or asked.keep_state):
        raise invalid("text: expected a token at least", "text")
    top = min(asked.top or 0, len(tokenizer))
    carried, trail = (None, None) if kept is None else (kept.carried, kept.trail)
    before = np.empty(0, np.int32) if kept is None else kept.carried.ids
    read = len(given.ids) + (0 if kept is None else kept.tokens)
    scored: list[Scored] = []
    if len(given.ids):
        work = Completion(
            hosted,
            [given],
            Options(max_tokens=1, temperature=0.0, logprobs=top),
            max_tokens=0,
            carried=carried,
            trail=trail,
            echo=True,
            logprobs=True,
            keep=bool(asked.keep_state),
        )
        await _done(request, hosted, work)
        watched = work.scored_prompt(work.choices[0])
        assert watched is not None
        scored, carried, trail = watched.scored, work.choices[0].carried, work.choices[0].trail
        if asked.keep_state and carried is not None:
            keep = (owner(request), hosted.name, hosted.digest, carried, trail)
            kept = serve.sessions.keep(*keep)
    known = [-each.logprob for each in scored if each.logprob is not None]
    reply = {
        "tokens": [each.id for each in scored],
        "pieces": [each.token for each in scored],
        "offsets": [each.offset for each in scored],
        "nats": [None if each.logprob is None else -each.logprob for each in scored],
        "texts": texts_of(tokenizer, given.ids, before),
        "top": [alternatives(tokenizer, each.top) for each in scored],
        "total": math.fsum(known),
        "perplexity": math.exp(min(700.0, math.fsum(known) / len(known))) if known else None,
        "usage": {"prompt_tokens": read, "total_tokens": read},
    }
    if asked.next:
        reply["next"] = await _next(request, hosted, carried, top)
    if asked.keep_state:
        reply["state"] = None if kept is None else described(kept)
    return reply


async def _next(
    request: Request, hosted: Hosted, carried: Carried | None, top: int
) -> list[dict[str, Any]]:
    """The most probable tokens behind a text; behind none, those that a text begins with."""
    options = Options(max_tokens=1, temperature=0.0, logprobs=max(1, top))
    empty = Given("", np.empty(0, np.int32))
    try:
        work = Completion(hosted, [empty], options, max_tokens=1, carried=carried, logprobs=True)
    except ApiError:
        if carried is not None:
            raise
        return []  # nothing says what a text of this model begins from
    await _done(request, hosted, work, pieces=True)
    return alternatives(hosted.model.tokenizer, work.choices[0].scored[0].top)


async def _done(
    request: Request, hosted: Hosted, work: Completion, *, pieces: bool = False
) -> None:
    """Let a job that does not stream come to its end."""
    limits, engine = serving(request).limits, hosted.stepping()
    engine.submit(work.job)
    async with left(request.receive, work.job, engine):
        await wait_admitted(work, engine, limits.queue_wait)
        ended = everything(work) if pieces else work.job.next()
        await wait_for(ended, work.job, engine, limits.request)


def passage(tokenizer: Tokenizer, asked: Passage) -> Given:
    """The text or the ids of a request; ApiError where there are both, or what is unknown."""
    if asked.text is not None and asked.tokens is not None:
        raise invalid("tokens: expected either text or tokens, received both", "tokens")
    if asked.tokens is None:
        return encode(tokenizer, [asked.text or ""])[0]
    try:
        given = Given(tokenizer.decode(asked.tokens), np.array(asked.tokens, np.int32))
    except InputError as error:
        raise invalid(f"tokens: {error}", "tokens") from None
    return given
