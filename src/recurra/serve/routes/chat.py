"""`POST /v1/chat/completions`."""

from typing import Any

from fastapi import APIRouter, Request

from recurra.serve.bodies import read_json
from recurra.serve.chat import no_turn_format
from recurra.serve.choices import Choice
from recurra.serve.completion import Completion
from recurra.serve.context import EVENTS, body_of, owner, serving
from recurra.serve.errors import invalid
from recurra.serve.prompts import Given, check_stream, encode, options_of
from recurra.serve.replies import ChatReply
from recurra.serve.routes.completions import answer, wants_usage
from recurra.serve.schema import ChatRequest

router = APIRouter()

_USUAL = 256  # max_tokens


@router.post("/v1/chat/completions", openapi_extra=body_of(ChatRequest), responses=EVENTS)
async def chat(request: Request) -> Any:
    """The next turn of a conversation. Of what was sent before, only the new part is read."""
    serve = serving(request)
    asked = await read_json(request, serve.limits, ChatRequest)
    hosted = serve.models.get(asked.model)
    hosted.stepping()
    if hosted.chat is None:
        raise no_turn_format(asked.model)
    check_stream(asked)
    if asked.top_logprobs is not None and not asked.logprobs:
        raise invalid("top_logprobs: expected only with logprobs: true", "top_logprobs")
    tokenizer = hosted.model.tokenizer
    (given,) = encode(tokenizer, [hosted.chat.text(asked.messages)])
    found = serve.conversations.continued(owner(request), hosted.digest, given.ids)
    carried, trail = (None, None) if found is None else found
    most = asked.max_completion_tokens or asked.max_tokens or _USUAL
    wanted = min(asked.top_logprobs or 0, len(tokenizer)) if asked.logprobs else None
    options = options_of(
        asked, tokenizer, ends=(hosted.chat.stop,), max_tokens=most, logprobs=wanted
    )
    rest = given.ids if carried is None else given.ids[len(carried.ids) :]
    work = Completion(
        hosted,
        [Given(given.text, rest)],
        options,
        max_tokens=most,
        n=asked.n or 1,
        carried=carried,
        trail=trail,
        logprobs=bool(asked.logprobs),
        keep=True,
        streamed=bool(asked.stream),
    )

    def keep(choice: Choice) -> None:
        if choice.carried is not None:
            serve.conversations.keep(
                owner(request), hosted.name, hosted.digest, choice.carried, choice.trail
            )

    reply = ChatReply(hosted, work, keep, usage=wants_usage(asked), seeded=asked.seed is not None)
    return await answer(request, work, reply, stream=bool(asked.stream), hosted=hosted)
