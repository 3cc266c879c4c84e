"""One text being written: its tokens, its text so far, its random numbers, when it ends."""

import numpy as np

from .plan import Plan, Prompt
from .protocol import Carried, Decoder, State
from .result import Generation, StopReason, Top
from .stopping import StopStrings

# The text of a token depends on tokens before it (a blank between words, a character cut in two),
# but not far back: a character has at most four bytes, and a token at least one.
CONTEXT = 8
_AT_ONCE = 32  # random numbers


class Text:
    """Tokens to text, up to the first stop string."""

    def __init__(self, decoder: Decoder, stops: StopStrings) -> None:
        self._decoder = decoder
        self._stops = stops
        self._held = ""
        self.stopped = False

    def push(self, id: int) -> str:
        """The text that is certain after token `id`."""
        new = self._decoder.push(id)
        return self._scan(new) if self._stops.stops else new

    def finish(self) -> str:
        """The rest of the text."""
        return self._scan(self._decoder.finish()) + self._held

    def _scan(self, new: str) -> str:
        text, self._held, self.stopped = self._stops.scan(self._held, new)
        return text


class Writer:
    """One text being written.

    ids, logprobs, top: the tokens so far, their log probabilities, the alternatives of each.
    seen: (V,) bool, the tokens in prompt and text, where a penalty asks for it.
    counts: (V,), how often each was generated, likewise.
    reason: why it ended; None while it goes on.
    """

    def __init__(self, plan: Plan, prompt: Prompt) -> None:
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.top: list[Top] = []
        self.seen = plan.edits.seen(prompt.before, plan.model.vocab_size)
        self.counts: np.ndarray | None = None
        if plan.edits.counting:
            parts = [prompt.before[start:stop] for start, stop in prompt.written]
            generated = np.concatenate([np.empty(0, np.int64), *parts])
            self.counts = np.bincount(generated, minlength=plan.model.vocab_size)
        self.reason: StopReason | None = None
        self._plan = plan
        self._prompt = prompt
        self._pieces: list[str] = []
        after = prompt.before[-CONTEXT:].tolist()
        self._text = Text(plan.tokenizer.decoder(after=after), plan.stops)
        # By the place in the call and not by the order of draws, so that a text does not depend on
        # the others of the call; advanced, so that two calls draw what one longer call draws.
        bits = np.random.PCG64(np.random.SeedSequence(plan.seed, spawn_key=(prompt.index,)))
        self._random = np.random.Generator(bits.advance(prompt.drawn)).random
        self._ahead: list[float] = []  # drawn and not used yet, the next one last

    def uniforms(self, count: int) -> np.ndarray:
        """The next random numbers in [0, 1), (count,); zeros where none is needed."""
        if self._plan.sampler.greedy:
            return np.zeros(count)
        ahead = np.array(self._ahead[::-1][:count])
        del self._ahead[len(self._ahead) - len(ahead) :]
        return np.concatenate([ahead, self._random(count - len(ahead))])

    def uniform(self) -> float:
        """The next one of them. Drawn some at a time: numpy lets other threads run at each call."""
        if self._plan.sampler.greedy:
            return 0.0
        if not self._ahead:
            self._ahead = self._random(_AT_ONCE)[::-1].tolist()
        return self._ahead.pop()

    def write(self, id: int, logprob: float, top: Top | None) -> str:
        """Add a token; the text that is certain after it. Sets `reason` where it is the last."""
        self.ids.append(id)
        self.logprobs.append(logprob)
        if top is not None:
            self.top.append(top)
        if self.seen is not None:
            self.seen[id] = True
        if self.counts is not None:
            self.counts[id] += 1
        if id == self._plan.eos:
            self.reason = "eos"
            piece = self._text.finish()
        else:
            piece = self._text.push(id)
            if self._text.stopped:
                self.reason = "stop"
            elif len(self.ids) == self._plan.options.max_tokens:
                piece += self._text.finish()
                self.reason = "stop" if self._text.stopped else "length"
        self._pieces.append(piece)
        return piece

    @property
    def plain(self) -> bool:
        """Whether a text ends by its tokens alone."""
        return not self._plan.stops.stops

    def extend(self, ids: list[int], logprobs: list[float]) -> int:
        """`write` for those tokens that belong to the text, a plain one; returns their number."""
        eos, left = self._plan.eos, self._plan.options.max_tokens - len(self.ids)
        count = min(ids.index(eos) + 1 if eos in ids else len(ids), left)
        if not count:
            return 0
        for id in ids[: count - 1]:
            self._pieces.append(self._text.push(id))
        if self.seen is not None:
            self.seen[ids[: count - 1]] = True
        self.ids += ids[: count - 1]
        self.logprobs += logprobs[: count - 1]
        self.write(ids[count - 1], logprobs[count - 1], None)
        return count

    def generation(self, state: State) -> Generation:
        """The finished text; `state` (one stream) has read all tokens but the last."""
        assert self.reason is not None
        options = self._plan.options
        ids = np.concatenate([self._prompt.before, self.ids]).astype(np.int32)
        drawn = self._prompt.drawn + (0 if self._plan.sampler.greedy else len(self.ids))
        return Generation(
            prompt=self._prompt.text,
            text="".join(self._pieces),
            ids=tuple(self.ids),
            logprobs=tuple(self.logprobs),
            top=None if options.logprobs is None else tuple(self.top),
            stop_reason=self.reason,
            score=sum(self.logprobs) / len(self.logprobs) ** float(options.length_penalty),
            state=Carried(state, ids, drawn, self._written(len(ids))),
        )

    def _written(self, stop: int) -> tuple[tuple[int, int], ...]:
        """The parts that were generated, with this text at the end."""
        spans, start = self._prompt.written, stop - len(self.ids)
        if spans and spans[-1][1] == start:
            start, spans = spans[-1][0], spans[:-1]
        return (*spans, (start, stop))
