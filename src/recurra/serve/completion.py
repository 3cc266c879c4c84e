"""A completion: prompts and options as a job of the stepping thread, and its choices."""

from collections.abc import Sequence

import numpy as np

from recurra.errors import InputError
from recurra.generate import Carried, Options
from recurra.generate.plan import Plan, Prompt
from recurra.generate.streams import Reading, Stream, Trail
from recurra.serve.choices import Choice, Watched
from recurra.serve.hosted import Hosted
from recurra.serve.jobs import Job
from recurra.serve.prompts import Given, prompt_of, refused

#: Bytes of a chunk of a stream, besides its text.
_CHUNK = 240


class Completion:
    """What one request writes.

    Args:
        hosted: the model.
        given: the prompts.
        options: of `recurra.generate`; `max_tokens` counts even where it is 0.
        max_tokens: how many tokens a text has at most; 0 reads the prompts alone.
        n: texts of each prompt.
        carried: the state that they continue, with the way to it.
        echo: whether texts begin with their prompts.
        logprobs: whether they are wanted.
        keep: whether the states at the ends are to be kept.
        streamed: whether the texts are sent as they come.
    """

    def __init__(
        self,
        hosted: Hosted,
        given: Sequence[Given],
        options: Options,
        *,
        max_tokens: int,
        n: int = 1,
        carried: Carried | None = None,
        trail: Trail | None = None,
        echo: bool = False,
        logprobs: bool = False,
        keep: bool = False,
        streamed: bool = False,
    ) -> None:
        model = hosted.model
        try:
            self.plan = Plan(model.runtime, model.tokenizer, options)
        except InputError as error:
            raise refused(error) from None
        self.keep, self.cached = keep, 0 if carried is None else len(carried.ids)
        self.choices: list[Choice] = []
        self.prompt_tokens = sum(self.cached + len(each.ids) for each in given)
        self._watched: list[Watched | None] = []
        readings: list[Reading] = []
        streams: list[Stream] = []
        for number, each in enumerate(given):
            prompt, behind = None, []
            for index in range(number * n, number * n + n):
                prompt = prompt_of(model.tokenizer, each, carried, index=index, last=max_tokens > 0)
                text = each.text if echo else ""
                choice = Choice(index, self.plan, prompt, echo=text, logprobs=logprobs)
                self.choices.append(choice)
                if max_tokens:
                    behind.append(Stream(self.plan, prompt, trailing=keep))
            assert prompt is not None
            watch = Watched(self.plan, prompt, len(each.ids)) if echo and logprobs else None
            self._watched.append(watch)
            mine = self.choices[-n:]
            reading = Reading(
                model.runtime,
                prompt,
                behind,
                trail=trail,
                trailing=keep,
                watch=watch,
                done=None if max_tokens else _ended(mine, prompt, model.runtime),
            )
            if reading.left:
                readings.append(reading)
            elif reading.done is not None:
                reading.done(reading.state, reading.trail)
            streams += behind
        self.job = Job(readings, streams, weight=_CHUNK if streamed else 0)
        self._n = n

    def scored_prompt(self, choice: Choice) -> Watched | None:
        """The log probabilities of a choice's prompt, where they are wanted with it."""
        return self._watched[choice.index // self._n]

    @property
    def generated(self) -> int:
        """How many tokens were generated so far."""
        return sum(len(choice.tokens) for choice in self.choices)

    def finish(self) -> None:
        """Give the choices the ways to their ends, for states that are kept."""
        for choice, stream in zip(self.choices, self.job.streams, strict=False):
            choice.trail = stream.trail


def _ended(choices, prompt: Prompt, model):  # type: ignore[no-untyped-def]
    """What ends choices of no token when their prompt was read but for its last token."""

    def done(state: object, trail: Trail | None) -> None:
        carried = prompt.carried
        start = model.start(1) if state is None else state
        ids = np.asarray(prompt.before, np.int32)
        for choice in choices:
            choice.finish, choice.trail = "length", trail
            drawn, written = (0, ()) if carried is None else (carried.drawn, carried.written)
            choice.carried = Carried(start, ids, drawn, written) if len(ids) else None

    return done
