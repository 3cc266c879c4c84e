"""How to generate, checked once."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from recurra.errors import InputError
from recurra.given import brief
from recurra.settings import option

MIN_TEMPERATURE = 1e-6
"""Below it, float64 could overflow; it is greedy long before."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to generate; every field by name.

    A step's distribution is edited in this order: logit bias, repetition penalty, frequency and
    presence penalty, temperature, top-k, top-p, min-p. Beam search is deterministic: it takes no
    temperature, top_k, top_p or min_p, and no penalty but that of repetition.
    """

    max_tokens: int = option(200, "at most so many tokens, 1 or more")
    temperature: float = option(
        1.0,
        "flatten (above 1) or sharpen the distribution; 0 is greedy: the most probable token, ties "
        "to the lowest id",
    )
    top_k: int | None = option(
        None, "choose among the k most probable tokens, ties to the lowest ids"
    )
    top_p: float | None = option(
        None,
        "choose among the fewest most probable tokens with this mass together, in (0, 1] (Holtzman "
        "et al. 2020)",
    )
    min_p: float = option(
        0.0, "leave out tokens of less than this share of the most probable one's probability"
    )
    beams: int | None = option(None, "beam search of this width, instead of drawing; 1 is greedy")
    n_best: int = option(1, "give so many hypotheses of the beam search")
    length_penalty: float = option(
        1.0,
        "a hypothesis scores its sum of log probabilities, divided by its length to this power: 0 "
        "is the sum, 1 the mean",
    )
    repetition_penalty: float = option(
        1.0,
        "divide the logits of tokens that have occurred by this where positive, multiply them "
        "where negative (Keskar et al. 2019); 1 is none",
    )
    frequency_penalty: float = option(
        0.0,
        "subtract this from a token's logit for each time it was generated, prompts not counted",
    )
    presence_penalty: float = option(
        0.0, "subtract this from the logits of tokens that were generated at all"
    )
    logit_bias: Mapping[int, float] | None = option(
        None, "add to the logits of these ids, by id; -100 bans, in effect", python=True
    )
    stop: str | Sequence[str] = option((), "end where one of these texts appears")
    include_stop: bool = option(False, "leave the text that ended it at the end")
    eos: bool = option(True, "end at the token that ends a sequence, <eos>")
    seed: int | None = option(
        None, "the same seed, 0 or more, gives the same text; None: a new one each call"
    )
    logprobs: int | None = option(
        None,
        "give log probabilities of this many of the most probable tokens at each step",
    )

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):
            object.__setattr__(self, "stop", (self.stop,))
        elif isinstance(self.stop, Sequence):
            object.__setattr__(self, "stop", tuple(self.stop))

    @property
    def deterministic(self) -> bool:
        """Whether nothing is drawn at random."""
        return self.temperature == 0 or self.beams is not None

    def validate(self, vocab_size: int) -> None:
        """Raise one InputError that lists every mistake."""
        V = vocab_size
        mistakes: list[str] = []

        def expect(name: str, good: Callable[[Any], bool], expected: str) -> None:
            value = getattr(self, name)
            if not good(value):
                mistakes.append(f"{name}: expected {expected}, received {brief(value)}")

        expect("max_tokens", _whole(1), "a whole number ≥ 1")
        expect(
            "temperature",
            lambda x: _real(x) and (x == 0 or MIN_TEMPERATURE <= x < math.inf),
            f"0 (greedy) or a number ≥ {MIN_TEMPERATURE}",
        )
        expect("top_k", _or_none(_whole(1, V)), f"1..{V} (the size of the vocabulary)")
        expect("top_p", _or_none(lambda x: _real(x) and 0 < x <= 1), "a number in (0, 1]")
        expect("min_p", lambda x: _real(x) and 0 <= x < 1, "a number in [0, 1)")
        for penalty in ("frequency_penalty", "presence_penalty"):
            expect(penalty, lambda x: _real(x) and -math.inf < x < math.inf, "a finite number")
        expect(
            "logit_bias",
            _or_none(lambda x: isinstance(x, Mapping) and all(map(_bias(V), x.items()))),
            f"finite numbers by id, 0..{V - 1}",
        )
        expect("beams", _or_none(_whole(1)), "a whole number ≥ 1")
        widest = self.beams if self.beams is not None and _whole(1)(self.beams) else 1
        expect("n_best", _whole(1, widest), f"1..{widest} (the number of beams)")
        expect("length_penalty", lambda x: _real(x) and 0 <= x < math.inf, "a number ≥ 0")
        expect("repetition_penalty", lambda x: _real(x) and 0 < x < math.inf, "a number > 0")
        expect(
            "stop",
            lambda x: isinstance(x, tuple) and all(isinstance(s, str) and s for s in x),
            "strings of at least one character",
        )
        for switch in ("include_stop", "eos"):
            expect(switch, lambda x: isinstance(x, bool), "true or false")
        expect("seed", _or_none(_whole(0)), "a whole number ≥ 0")
        expect("logprobs", _or_none(_whole(0, V)), f"0..{V} (the size of the vocabulary)")
        if _whole(2)(self.beams):
            beam = f"no value with beams={self.beams} (beam search draws nothing at random)"
            expect("temperature", lambda x: x == 1, beam)
            expect("top_k", lambda x: x is None, beam)
            expect("top_p", lambda x: x is None, beam)
            for name in ("min_p", "frequency_penalty", "presence_penalty", "logit_bias"):
                expect(name, lambda x: not x, beam)
        if mistakes:
            raise InputError("generate: " + "; ".join(mistakes))


def _real(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _whole(low: int, high: float = math.inf) -> Callable[[Any], bool]:
    return lambda x: isinstance(x, Integral) and not isinstance(x, bool) and low <= int(x) <= high


def _bias(V: int) -> Callable[[Any], bool]:
    id, added = _whole(0, V - 1), lambda x: _real(x) and -math.inf < x < math.inf
    return lambda item: id(item[0]) and added(item[1])


def _or_none(good: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda x: x is None or good(x)
