"""The texts of a reply as they come: pieces, log probabilities, states, why they ended."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recurra.generate import Carried
from recurra.generate.plan import Plan, Prompt
from recurra.generate.result import Generation, Piece, Top
from recurra.generate.sampling import log_sum_exp, most_probable
from recurra.generate.streams import Trail
from recurra.generate.writer import CONTEXT

#: OpenAI's words for why a text ended.
FINISH = {"length": "length", "stop": "stop", "eos": "stop"}


@dataclass(frozen=True)
class Scored:
    """A token with its log probability, those of the most probable, and where its text begins."""

    token: str
    id: int
    logprob: float | None
    top: Top | None
    offset: int


class Offsets:
    """Where in a text, in code points, the text of each token begins."""

    def __init__(self, plan: Plan, before: np.ndarray, at: int) -> None:
        self._decoder = plan.tokenizer.decoder(after=before[-CONTEXT:].tolist())
        self._eos, self._at = plan.tokenizer.eos_id, at

    def next(self, id: int) -> int:
        """The offset of the next token."""
        at = self._at
        if id != self._eos:
            self._at += len(self._decoder.push(id))
        return at


@dataclass
class Choice:
    """One text of a reply.

    index: its number. echo: the prompt that is repeated before it. tokens: the ids generated.
    """

    index: int
    plan: Plan
    prompt: Prompt
    echo: str = ""
    logprobs: bool = False
    tokens: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    finish: str | None = None
    generation: Generation | None = None
    carried: Carried | None = None
    trail: Trail | None = None
    _offsets: Offsets | None = None

    def add(self, piece: Piece) -> list[Scored]:
        """Take a piece; what is scored of it."""
        self.tokens.append(piece.id)
        self.texts.append(piece.text)
        new: list[Scored] = []
        if self.logprobs:
            if self._offsets is None:
                self._offsets = Offsets(self.plan, self.prompt.before, len(self.echo))
            token, offset = self.plan.tokenizer.token(piece.id), self._offsets.next(piece.id)
            new.append(Scored(token, piece.id, piece.logprob, piece.top, offset))
            self.scored += new
        if piece.generation is not None:
            self.generation = piece.generation
            self.finish = FINISH[piece.generation.stop_reason]
            self.carried = piece.generation.state
        return new

    @property
    def text(self) -> str:
        """All of the text so far."""
        return self.echo + "".join(self.texts)


class Watched:
    """Log probabilities of the tokens of a prompt, as the stepping thread reads it.

    Args:
        plan: how many alternatives are wanted.
        prompt: what is read. Its new tokens are scored.
        new: how many of its tokens are new.
    """

    def __init__(self, plan: Plan, prompt: Prompt, new: int) -> None:
        self._plan, self._prompt, self._first = plan, prompt, len(prompt.before) - new
        self._offsets = Offsets(plan, prompt.before[: self._first], 0)
        self.scored: list[Scored] = []
        if prompt.carried is None and new:
            self._add(None, None)

    def __call__(self, position: int, logits: np.ndarray) -> None:
        """After `position` tokens of the text the next has logits (V,)."""
        at = self._first + len(self.scored)
        if position != at or at >= len(self._prompt.before):
            return
        total = log_sum_exp(logits.astype(np.float64))
        id = int(self._prompt.before[at])
        top = most_probable(self._plan.tokenizer, logits, total, self._plan.options.logprobs or 0)
        self._add(float(logits[id]) - total, top)

    def _add(self, logprob: float | None, top: Top | None) -> None:
        id = int(self._prompt.before[self._first + len(self.scored)])
        token = self._plan.tokenizer.token(id)
        self.scored.append(Scored(token, id, logprob, top, self._offsets.next(id)))


def logprobs_of(scored: list[Scored]) -> dict[str, Any]:
    """Scored tokens in the form of `/v1/completions`."""
    return {
        "tokens": [each.token for each in scored],
        "token_logprobs": [each.logprob for each in scored],
        "top_logprobs": [_top(each) for each in scored],
        "text_offset": [each.offset for each in scored],
    }


def _top(scored: Scored) -> dict[str, float] | None:
    if scored.logprob is None:
        return None
    found = {each.token: each.logprob for each in scored.top or ()}
    return {**found, scored.token: scored.logprob}
