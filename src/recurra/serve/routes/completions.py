"""`POST /v1/completions`."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from recurra.serve.bodies import read_json
from recurra.serve.choices import logprobs_of
from recurra.serve.completion import Completion
from recurra.serve.context import body_of, owner, serving, state_of
from recurra.serve.errors import invalid
from recurra.serve.hosted import Hosted
from recurra.serve.prompts import check_stream, encode, options_of, texts_or_ids
from recurra.serve.schema import CompletionRequest
from recurra.serve.sse import DONE, EventStream, event, left, quoted, wait_for

router = APIRouter()

#: Characters of prompts beyond which they are cut into tokens in another thread.
_LONG = 10_000
_USUAL = 16  # max_tokens, as OpenAI's


@router.post("/v1/completions", openapi_extra=body_of(CompletionRequest))
async def completions(request: Request) -> Any:
    """Continue prompts, or the text of a state."""
    serve = serving(request)
    asked = await read_json(request, serve.limits, CompletionRequest)
    hosted = serve.models.get(asked.model)
    engine = hosted.stepping()
    work = await _begin(request, asked, hosted)
    reply = _Reply(request, asked, hosted, work)
    engine.submit(work.job)
    if asked.stream:
        async with left(request.receive, work.job, engine):
            await wait_admitted(work, engine, serve.limits.queue_wait)
        return EventStream(reply.events(), work.job, engine, serve.limits.request)
    async with left(request.receive, work.job, engine):
        await wait_admitted(work, engine, serve.limits.queue_wait)
        await wait_for(_all(work), work.job, engine, serve.limits.request)
    return JSONResponse(reply.whole())


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


async def _all(work: Completion) -> None:
    while news := await work.job.next():
        for number, piece in news:
            assert piece is not None
            work.choices[number].add(piece)
    work.finish()


class _Reply:
    """The forms of a reply, whole and in events."""

    def __init__(
        self, request: Request, asked: CompletionRequest, hosted: Hosted, work: Completion
    ) -> None:
        self._request, self._asked, self._hosted, self._work = request, asked, hosted, work
        self._head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": hosted.name,
        }

    def whole(self) -> dict[str, Any]:
        """The reply of a request without a stream."""
        choices = []
        for choice in self._work.choices:
            scored = None
            if choice.logprobs:
                watched = self._work.scored_prompt(choice)
                scored = logprobs_of([*(watched.scored if watched else ()), *choice.scored])
            choices.append(
                {
                    "index": choice.index,
                    "text": choice.text,
                    "logprobs": scored,
                    "finish_reason": choice.finish,
                }
            )
        return {**self._head, "choices": choices, "usage": self._usage(), "recurra": self._more()}

    async def events(self) -> AsyncIterator[tuple[bytes, int]]:
        """The events of a stream, with the number of pieces in each."""
        work = self._work
        usage = self._asked.stream_options and self._asked.stream_options.include_usage
        tail = b',"usage":null}\n\n' if usage else b"}\n\n"
        head = b"data: " + json.dumps(self._head)[:-1].encode() + b', "choices": ['
        ahead = b"".join(self._echoed(head, tail))
        if not work.job.streams:
            await work.job.next()
            ahead = b"".join(self._echoed(head, tail))
            ahead += b"".join(
                self._chunk(head, tail, choice.index, "", None, choice.finish)
                for choice in work.choices
            )
        while work.job.streams and (news := await work.job.next()):
            parts = [ahead]
            ahead = b""
            for number, piece in news:
                assert piece is not None
                choice = work.choices[number]
                new = choice.add(piece)
                if piece.text or new or choice.finish:
                    scored = logprobs_of(new) if choice.logprobs else None
                    parts.append(
                        self._chunk(head, tail, number, piece.text, scored, choice.finish)
                    )
            yield b"".join(parts), len(news)
        work.finish()
        last = {**self._head, "choices": [], "recurra": self._more()}
        if usage:
            last["usage"] = self._usage()
        if usage or work.keep or self._asked.seed is None:
            ahead += event(last)
        yield ahead + DONE, 0

    def _echoed(self, head: bytes, tail: bytes) -> list[bytes]:
        """The prompts that are repeated, each as the first chunk of its choice."""
        chunks = []
        for choice in self._work.choices:
            if not choice.echo:
                continue
            watched = self._work.scored_prompt(choice)
            scored = logprobs_of(watched.scored) if watched else None
            chunks.append(self._chunk(head, tail, choice.index, choice.echo, scored, None))
        return chunks

    @staticmethod
    def _chunk(
        head: bytes, tail: bytes, index: int, text: str, scored: Any, finish: str | None
    ) -> bytes:
        why = "null" if finish is None else f'"{finish}"'
        more = "null" if scored is None else json.dumps(scored)
        body = f'{{"index":{index},"text":{quoted(text)},"logprobs":{more},"finish_reason":{why}}}]'
        return head + body.encode() + tail

    def _usage(self) -> dict[str, Any]:
        work = self._work
        return {
            "prompt_tokens": work.prompt_tokens,
            "completion_tokens": work.generated,
            "total_tokens": work.prompt_tokens + work.generated,
            "prompt_tokens_details": {"cached_tokens": work.cached},
        }

    def _more(self) -> dict[str, Any]:
        """What is ours: the seed, and the states that were kept."""
        work, ids = self._work, []
        if work.keep:
            sessions = serving(self._request).sessions
            for choice in work.choices:
                if choice.carried is None:
                    ids.append(None)
                    continue
                kept = sessions.keep(
                    owner(self._request),
                    self._hosted.name,
                    self._hosted.digest,
                    choice.carried,
                    choice.trail,
                )
                ids.append(kept.id)
        return {"seed": work.plan.seed, "state": ids[0] if ids else None, "states": ids}
