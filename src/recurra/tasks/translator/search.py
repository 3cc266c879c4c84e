"""Beam search and greedy search of many sequences side by side, for models that map to sequences.

`recurra.generate.generate` continues prompts one by one, with all of a text's options; here there
are no prompts and no options but the beam's, and every step serves the beams of all sequences.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recurra.generate.protocol import State
from recurra.generate.sampling import largest
from recurra.native import row_sums


class Steps(Protocol):
    """The part of `StepModel` that a search uses; V may change from state to state."""

    def step(self, ids: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Read one token a stream, ids (N,): logits (N, V) float32 of the next one, new state."""
        ...

    def select(self, state: State, rows: np.ndarray) -> State:
        """The streams rows (M,) of `state`, in that order."""
        ...


@dataclass(frozen=True)
class Hypothesis:
    """A sequence that a search found.

    ids: its tokens, without the one that ends it. logprob: ln P of all of them, with the end.
    score: logprob / length ** length_penalty, the length with the end. ended: it has one; the
    others were cut at the greatest length.
    """

    ids: tuple[int, ...]
    logprob: float
    score: float
    ended: bool


def search(
    model: Steps,
    state: State,
    limits: Sequence[int],
    *,
    start: int,
    end: int,
    beams: int = 1,
    n_best: int = 1,
    length_penalty: float = 1.0,
    banned: Sequence[int] = (),
) -> list[list[Hypothesis]]:
    """Search for the sequences of highest score, from as many states as there are limits.

    At each step the 2 K best continuations of a sequence's K beams are looked at, in order: those
    that end are finished, the first K others go on; until none can still be among the n best. One
    beam follows the most probable token.

    Args:
        model: reads a token a stream, and selects streams.
        state: of B streams, before their first token.
        limits: of each stream the most tokens, with the end (B,).
        start, end: the token that is read first, and the one that ends a sequence.
        beams: K.
        n_best: how many hypotheses to return of each, at most K.
        length_penalty: power of the length that a score is divided by: 0 for the sum of log
            probabilities, 1 for their mean.
        banned: tokens that are never chosen.

    Returns:
        For each stream its hypotheses, best first: fewer than `n_best` where there are no more, and
        none where nothing may be chosen.
    """
    searches = [_Search(limit, beams, n_best, length_penalty, end) for limit in limits]
    rows = np.arange(len(searches))
    ids = np.full(len(searches), start)
    live = [search for search in searches if search.limit > 0]
    state = model.select(state, rows[[s.limit > 0 for s in searches]])
    ids = ids[: len(live)]
    while live:
        logits, state = model.step(ids, state)
        logprobs = log_softmax(logits)
        logprobs[:, list(banned)] = -math.inf
        rows_kept: list[int] = []
        following: list[int] = []
        at = 0
        for one in live:
            width = len(one.totals)
            parents, tokens = one.extend(logprobs[at : at + width])
            rows_kept += [at + parent for parent in parents]
            following += tokens
            at += width
        live = [one for one in live if len(one.totals)]
        ids = np.array(following, np.int64)
        if live:
            state = model.select(state, np.array(rows_kept))
    return [search.best() for search in searches]


class _Search:
    """The search for one sequence."""

    def __init__(self, limit: int, beams: int, n_best: int, alpha: float, end: int) -> None:
        self.limit, self.K, self.n_best, self.alpha, self.end = limit, beams, n_best, alpha, end
        self.length = 0
        self.totals = np.zeros(1)
        #: Of each step the tokens of its beams, and the beams before that they continue.
        self.steps: list[tuple[list[int], list[int]]] = []
        self.finished: list[tuple[float, float, int, int, int]] = []

    def extend(self, logprobs: np.ndarray) -> tuple[list[int], list[int]]:
        """Go one token further, from log probabilities (K, V): the beams that go on, their tokens.

        Each is named by the beam it continues.
        """
        self.length += 1
        looked_at = 2 * self.K if self.K > 1 else 1
        chosen = [largest(row, looked_at) for row in logprobs]
        beam_of = np.repeat(np.arange(len(chosen)), [len(ids) for ids in chosen])
        tokens = np.concatenate(chosen)
        totals = self.totals[beam_of] + logprobs[beam_of, tokens]
        parents: list[int] = []
        going: list[int] = []
        kept: list[float] = []
        for place in (-totals).argsort(kind="stable")[:looked_at].tolist():
            if len(parents) == self.K or totals[place] == -math.inf:
                break
            parent, token, total = int(beam_of[place]), int(tokens[place]), float(totals[place])
            if token == self.end or self.length == self.limit:
                self._finish(total, parent, token)
                continue
            parents.append(parent)
            going.append(token)
            kept.append(total)
        self.totals = np.array(kept)
        if self._decided():
            self.totals = np.empty(0)
            return [], []
        self.steps.append((going, parents))
        return parents, going

    def best(self) -> list[Hypothesis]:
        """The hypotheses, best first."""
        made = []
        for score, total, length, beam, token in self.finished:
            ids = [] if token == self.end else [token]
            for tokens, parents in reversed(self.steps[: length - 1]):
                ids.append(tokens[beam])
                beam = parents[beam]
            made.append(Hypothesis(tuple(reversed(ids)), total, score, token == self.end))
        return made

    def _finish(self, total: float, parent: int, token: int) -> None:
        score = total / self.length**self.alpha
        self.finished.append((score, total, self.length, parent, token))
        # Stable: of equal scores the first found.
        self.finished.sort(key=lambda found: -found[0])
        del self.finished[self.n_best :]

    def _decided(self) -> bool:
        """Whether no beam can still be among the n best.

        A total only falls, and is divided by most at the greatest length.
        """
        if not len(self.totals):
            return True
        if len(self.finished) < self.n_best:
            return False
        return self.finished[-1][0] >= float(self.totals.max()) / self.limit**self.alpha


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log probabilities (N, V) of logits."""
    shifted = logits - logits.max(-1, keepdims=True)
    # What belongs to other sequences, as words that only they can copy, has no weight here.
    total = row_sums(np.exp(shifted).astype(np.float64))
    found: np.ndarray = shifted - np.log(total)
    return found
