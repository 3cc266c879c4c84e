"""A text on its way: the prompt that is read, the stream that is written, the states behind it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from recurra.errors import InputError

from .plan import Plan, Prompt
from .protocol import State, StepModel
from .result import Top
from .sampling import most_probable
from .writer import Writer

#: Tokens between two of the states that a text leaves behind, to be rewound to.
APART = 64


class Trail(NamedTuple):
    """A state on the way of a text, and the way there: `state` has read ids[:position].

    The part that two texts have in common is the same object, so that a fork costs nothing.
    """

    before: "Trail | None"
    position: int
    state: State

    def reach(self, position: int) -> "Trail | None":
        """The last state at or before a position; None where all are behind it."""
        at: Trail | None = self
        while at is not None and at.position > position:
            at = at.before
        return at


class Stream:
    """One text that is being written.

    trail: the states on its way so far, where they are kept. dropped: set it when nobody wants the
    text any longer. paused: set it while nobody takes its pieces. failed: why no token could be
    chosen. owner: whatever the caller likes.
    """

    __slots__ = ("dropped", "failed", "owner", "paused", "plan", "prompt", "state", "trail",
                 "trailing", "writer")  # fmt: skip

    def __init__(self, plan: Plan, prompt: Prompt, *, trailing: bool = False, owner: Any = None):
        self.plan, self.prompt, self.owner = plan, prompt, owner
        self.writer = Writer(plan, prompt)
        self.trailing = trailing
        self.trail: Trail | None = None
        self.dropped = self.paused = False
        self.failed: InputError | None = None
        self.state: State = None  # of one stream, while it has no row

    def choose(self, logits: np.ndarray) -> tuple[int, float, Top | None, str]:
        """The next token of logits (V,), its log probability, the most probable, and its text."""
        plan, writer = self.plan, self.writer
        id, logprob = plan.sampler.choose(logits, writer.seen, writer.uniform(), writer.counts)
        n, top = plan.options.logprobs, None
        if n is not None:
            top = most_probable(plan.tokenizer, logits, float(logits[id]) - logprob, n)
        return id, logprob, top, writer.write(id, logprob, top)


#: Called with the number of tokens of `Prompt.before` that were read, and the logits (V,) after.
Watch = Callable[[int, np.ndarray], None]


class Reading:
    """A prompt that is being read for some streams, which all begin behind it.

    Args:
        model: what reads.
        prompt: what is read, from where it is carried.
        streams: those that begin behind it; none where reading is all there is to do.
        trail: the states of the text that is carried, where they are kept.
        watch: called after each token. Such a prompt is read step by step.
        done: called with the state and the trail at the end.
    """

    def __init__(
        self,
        model: StepModel,
        prompt: Prompt,
        streams: Sequence[Stream],
        *,
        trail: Trail | None = None,
        trailing: bool = False,
        watch: Watch | None = None,
        done: Callable[[State, Trail | None], None] | None = None,
    ) -> None:
        self.prompt, self.streams, self.watch, self.done = prompt, list(streams), watch, done
        self.trailing, self.trail = trailing, trail
        self.at, self.dropped = 0, False
        # What a text of no token begins from stands before its position 0.
        self._start = 0 if len(prompt.before) else -len(prompt.unread)
        if prompt.carried is not None:
            self._start = len(prompt.carried.ids) - 1
        self.state: State = None if prompt.carried is None else prompt.carried.state
        if self.trailing and prompt.carried is None and len(prompt.before):
            self.state = model.start(1)
            self.trail = Trail(None, 0, self.state)

    @property
    def position(self) -> int:
        """How many of the text's tokens were read; below 0 before what an empty one begins from."""
        return self._start + self.at

    @property
    def left(self) -> int:
        """How many tokens are still to be read."""
        return len(self.prompt.unread) - self.at

    @property
    def unwanted(self) -> bool:
        """Whether nobody waits for it."""
        return self.dropped or (bool(self.streams) and all(s.dropped for s in self.streams))

    def next(self, most: int) -> np.ndarray:
        """The next ids to read, `most` at most; up to a state that is to be kept."""
        if self.trailing and self.position >= 0:
            most = min(most, APART - self.position % APART)
        return self.prompt.unread[self.at : self.at + most]

    def advance(self, count: int, state: State) -> None:
        """Note that `count` more tokens were read, and the state behind them."""
        self.at, self.state = self.at + count, state
        if self.trailing and self.position >= 0 and self.position % APART == 0:
            self.trail = Trail(self.trail, self.position, state)
