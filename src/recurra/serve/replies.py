"""The forms of a reply, whole and in events: of texts, and of turns of a conversation."""

import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, ClassVar

from recurra.serve.choices import Choice, Scored, logprobs_of
from recurra.serve.completion import Completion
from recurra.serve.hosted import Hosted
from recurra.serve.sse import DONE, event, quoted

#: Keeps the state at the end of a choice; returns its id.
Keep = Callable[[Choice], str | None]


class Reply:
    """Base of both forms.

    Args:
        hosted: the model.
        work: what it writes.
        keep: keeps a state.
        usage: whether a stream ends with its usage.
        seeded: whether the seed was given.
        ids: whether the ids of the tokens are wanted (`token_ids`).
    """

    prefix: ClassVar[str]
    whole_kind: ClassVar[str]
    part_kind: ClassVar[str]

    def __init__(
        self,
        hosted: Hosted,
        work: Completion,
        keep: Keep,
        *,
        usage: bool,
        seeded: bool,
        ids: bool = False,
    ) -> None:
        self._work, self._keep, self._wants_usage, self._seeded = work, keep, usage, seeded
        self._wants_ids = ids
        self._head = {
            "id": f"{self.prefix}-{secrets.token_hex(12)}",
            "object": self.whole_kind,
            "created": int(time.time()),
            "model": hosted.name,
        }

    def whole(self) -> dict[str, Any]:
        """The reply of a request without a stream."""
        choices = [self._whole_choice(choice) for choice in self._work.choices]
        return {**self._head, "choices": choices, "usage": self._usage(), "recurra": self._more()}

    async def events(self) -> AsyncIterator[tuple[bytes, int]]:
        """The events of a stream, with the number of pieces in each."""
        work, head = self._work, {**self._head, "object": self.part_kind}
        self._before = b"data: " + json.dumps(head)[:-1].encode() + b', "choices": ['
        self._after = b',"usage":null}\n\n' if self._wants_usage else b"}\n\n"
        ahead = b""
        if not work.job.streams:  # what was read is known only at the end
            await work.job.next()
            for choice in work.choices:
                ahead += self._opening(choice) + self._part(choice, "", [])
        begun: set[int] = set()
        while work.job.streams and (news := await work.job.next()):
            parts = []
            for number, piece in news:
                assert piece is not None
                choice = work.choices[number]
                if number not in begun:  # by now its prompt has been read, and scored
                    begun.add(number)
                    parts.append(self._opening(choice))
                new = choice.add(piece)
                if piece.text or new or choice.finish or self._wants_ids:
                    parts.append(self._part(choice, piece.text, new))
            yield b"".join(parts), len(news)
        work.finish()
        last = {**head, "choices": [], "recurra": self._more()}
        if self._wants_usage:
            last["usage"] = self._usage()
        if self._wants_usage or work.keep or not self._seeded:
            ahead += event(last)
        yield ahead + DONE, 0

    def _whole_choice(self, choice: Choice) -> dict[str, Any]:
        raise NotImplementedError

    def _opening(self, choice: Choice) -> bytes:
        """What the stream of a choice begins with, once its prompt has been read."""
        raise NotImplementedError

    def _part(self, choice: Choice, text: str, scored: list[Scored]) -> bytes:
        """The event of a piece."""
        raise NotImplementedError

    def _framed(self, inner: str) -> bytes:
        return self._before + inner.encode() + b"]" + self._after

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
        work = self._work
        ids = [self._keep(choice) for choice in work.choices] if work.keep else []
        return {"seed": work.plan.seed, "state": ids[0] if ids else None, "states": ids}


class TextReply(Reply):
    """Of `/v1/completions`."""

    prefix, whole_kind, part_kind = "cmpl", "text_completion", "text_completion"

    def _whole_choice(self, choice: Choice) -> dict[str, Any]:
        scored = None
        if choice.logprobs:
            watched = self._work.scored_prompt(choice)
            scored = logprobs_of([*(watched.scored if watched else ()), *choice.scored])
        made = {
            "index": choice.index,
            "text": choice.text,
            "logprobs": scored,
            "finish_reason": choice.finish,
        }
        return {**made, "token_ids": choice.tokens} if self._wants_ids else made

    def _opening(self, choice: Choice) -> bytes:
        """The prompt, where it is repeated."""
        if not choice.echo:
            return b""
        watched = self._work.scored_prompt(choice)
        scored = None if watched is None else logprobs_of(watched.scored)
        return self._chunk(choice.index, choice.echo, scored, None)

    def _part(self, choice: Choice, text: str, scored: list[Scored]) -> bytes:
        found = logprobs_of(scored) if choice.logprobs else None
        return self._chunk(choice.index, text, found, choice.finish, choice.tokens[-1:])

    def _chunk(
        self, index: int, text: str, scored: Any, finish: str | None, ids: Sequence[int] = ()
    ) -> bytes:
        why = "null" if finish is None else f'"{finish}"'
        more = "null" if scored is None else json.dumps(scored)
        told = f',"token_ids":{json.dumps(list(ids))}' if self._wants_ids else ""
        return self._framed(
            f'{{"index":{index},"text":{quoted(text)},"logprobs":{more},"finish_reason":{why}{told}}}'
        )


class ChatReply(Reply):
    """Of `/v1/chat/completions`."""

    prefix, whole_kind, part_kind = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def _whole_choice(self, choice: Choice) -> dict[str, Any]:
        return {
            "index": choice.index,
            "message": {"role": "assistant", "content": choice.text, "refusal": None},
            "logprobs": _content(choice.scored) if choice.logprobs else None,
            "finish_reason": choice.finish,
        }

    def _opening(self, choice: Choice) -> bytes:
        return self._delta(choice.index, '{"role":"assistant","content":""}', None, None)

    def _part(self, choice: Choice, text: str, scored: list[Scored]) -> bytes:
        delta = f'{{"content":{quoted(text)}}}' if text else "{}"
        found = _content(scored) if choice.logprobs else None
        return self._delta(choice.index, delta, found, choice.finish)

    def _delta(self, index: int, delta: str, scored: Any, finish: str | None) -> bytes:
        why = "null" if finish is None else f'"{finish}"'
        more = "null" if scored is None else json.dumps(scored)
        return self._framed(
            f'{{"index":{index},"delta":{delta},"logprobs":{more},"finish_reason":{why}}}'
        )


def _content(scored: list[Scored]) -> dict[str, Any]:
    """Scored tokens in the form of a conversation."""

    def one(token: str, logprob: float | None) -> dict[str, Any]:
        return {"token": token, "logprob": logprob, "bytes": list(token.encode(errors="replace"))}

    return {
        "content": [
            {
                **one(each.token, each.logprob),
                "top_logprobs": [one(top.token, top.logprob) for top in each.top or ()],
            }
            for each in scored
        ],
        "refusal": None,
    }
