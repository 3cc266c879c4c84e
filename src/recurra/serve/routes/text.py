"""`/v1/tokenize`, `/v1/detokenize`, `/v1/score`."""

import asyncio
import math
from typing import Any

from fastapi import APIRouter, Request

from recurra.errors import InputError
from recurra.generate import Options
from recurra.serve.bodies import read_json
from recurra.serve.completion import Completion
from recurra.serve.context import body_of, serving, state_of
from recurra.serve.errors import invalid
from recurra.serve.hosted import Hosted
from recurra.serve.prompts import encode
from recurra.serve.routes.completions import wait_admitted
from recurra.serve.schema import DetokenizeRequest, ScoreRequest, TokenizeRequest
from recurra.serve.sse import left, wait_for

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

    The first has none, where no state stands before it.
    """
    serve = serving(request)
    asked = await read_json(request, serve.limits, ScoreRequest)
    hosted = _writing(request, asked.model)
    tokenizer, engine = hosted.model.tokenizer, hosted.stepping()
    given = await asyncio.to_thread(encode, tokenizer, [asked.text])
    kept = state_of(request, asked.state, hosted.digest)
    if not len(given[0].ids):
        raise invalid("text: expected a token at least", "text")
    top = min(asked.top or 0, len(tokenizer))
    work = Completion(
        hosted,
        given,
        Options(max_tokens=1, temperature=0.0, logprobs=top),
        max_tokens=0,
        carried=None if kept is None else kept.carried,
        echo=True,
        logprobs=True,
    )
    engine.submit(work.job)
    async with left(request.receive, work.job, engine):
        await wait_admitted(work, engine, serve.limits.queue_wait)
        await wait_for(work.job.next(), work.job, engine, serve.limits.request)
    watched = work.scored_prompt(work.choices[0])
    assert watched is not None
    known = [-each.logprob for each in watched.scored if each.logprob is not None]
    return {
        "tokens": [each.id for each in watched.scored],
        "pieces": [each.token for each in watched.scored],
        "offsets": [each.offset for each in watched.scored],
        "nats": [None if each.logprob is None else -each.logprob for each in watched.scored],
        "top": [[one._asdict() for one in each.top or ()] for each in watched.scored],
        "total": math.fsum(known),
        "perplexity": math.exp(min(700.0, math.fsum(known) / len(known))) if known else None,
        "usage": {"prompt_tokens": work.prompt_tokens, "total_tokens": work.prompt_tokens},
    }
