"""Beam search: the texts of highest score that a search of given width finds."""

import math
from bisect import insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .plan import Plan, Prompt, read_prompts
from .protocol import State
from .result import Generation, Top
from .sampling import largest, log_sum_exp, most_probable, nothing_left
from .writer import CONTEXT, Writer


def beam_search(plan: Plan, prompts: Sequence[Prompt]) -> Iterator[tuple[int, Generation]]:
    """Search for each of prompts that begin in the same state: its index, its best hypothesis."""
    logits, state = read_prompts(plan, prompts)
    for row, prompt in enumerate(prompts):
        one = plan.model.select(state, np.array([row]))
        best, *others = _Search(plan, prompt).run(logits[row : row + 1], one)
        yield prompt.index, replace(best, others=tuple(others))


class _Node(NamedTuple):
    """The last token of a hypothesis and the way to those before: a fork copies nothing."""

    before: "_Node | None"
    id: int
    logprob: float
    top: Top | None


@dataclass(frozen=True, eq=False)
class _Beam:
    """A hypothesis that goes on."""

    node: _Node | None
    total: float
    held: str  # text that may be the beginning of a stop string
    seen: np.ndarray | None


class _Continuations(NamedTuple):
    """Tokens that may follow one beam, (N,) each."""

    ids: np.ndarray
    totals: np.ndarray  # of the hypothesis with this token, as the search counts
    logprobs: np.ndarray  # of this token, the model's own
    top: Top | None


class _Finished(NamedTuple):
    score: float
    node: _Node
    state: State


class _Search:
    """The search for one prompt.

    At each step the 2 K best continuations of K beams are looked at, in order: those that end are
    finished, the first K others go on. A score is total / length ** length_penalty, the length
    with the end-of-sequence token. (Wu et al. 2016, eq. 14, divide by ((5 + length) / 6) ** α; a
    plain power has the sum and the mean as its cases 0 and 1.)
    """

    def __init__(self, plan: Plan, prompt: Prompt) -> None:
        options = plan.options
        assert options.beams is not None
        self.plan = plan
        self.prompt = prompt
        self.K = options.beams
        self.n_best = options.n_best
        self.max_tokens = options.max_tokens
        self.alpha = float(options.length_penalty)
        self.finished: list[_Finished] = []
        self.z = np.empty(plan.model.vocab_size)
        self.scratch = np.empty(plan.model.vocab_size)

    def run(self, logits: np.ndarray, state: State) -> list[Generation]:
        """The n_best hypotheses, best first, from logits (1, V) and state after the prompt."""
        model = self.plan.model
        beams = [_Beam(None, 0.0, "", self.plan.edits.seen(self.prompt.before, model.vocab_size))]
        for length in range(1, self.max_tokens + 1):
            rows, beams = self._extend(beams, logits, state, length)
            if not beams or self._decided(beams):
                break
            ids = np.array([beam.node.id for beam in beams if beam.node])
            logits, state = model.step(ids, model.select(state, np.array(rows)))
        if not self.finished:
            raise nothing_left()
        return [self._generation(finished) for finished in self.finished]

    def _extend(
        self, beams: list[_Beam], logits: np.ndarray, state: State, length: int
    ) -> tuple[list[int], list[_Beam]]:
        """The beams with one more token, and the row of the beam that each continues."""
        found = [self._continue(beam, logits[row]) for row, beam in enumerate(beams)]
        row_of = np.repeat(np.arange(len(beams)), [len(each.ids) for each in found])
        ids, totals, logprobs = (
            np.concatenate([each[field] for each in found]) for field in range(3)
        )
        rows: list[int] = []
        longer: list[_Beam] = []
        for at in (-totals).argsort(kind="stable")[: 2 * self.K].tolist():
            if len(rows) == self.K:
                break
            row, id, total = int(row_of[at]), int(ids[at]), float(totals[at])
            node = _Node(beams[row].node, id, float(logprobs[at]), found[row].top)
            held, ends = self._ends(beams[row], id)
            if ends or length == self.max_tokens:
                self._finish(total / length**self.alpha, node, state, row)
                continue
            seen = beams[row].seen
            if seen is not None:
                seen = seen.copy()
                seen[id] = True
            rows.append(row)
            longer.append(_Beam(node, total, held, seen))
        return rows, longer

    def _continue(self, beam: _Beam, logits: np.ndarray) -> _Continuations:
        """The 2 K best tokens after `beam`, whose next logits are (V,)."""
        z = self.z
        z[:] = logits
        log_total = searched = log_sum_exp(z, self.scratch)
        if beam.seen is not None:
            self.plan.edits.penalise(z, beam.seen)
            searched = log_sum_exp(z, self.scratch)
        self.plan.edits.ban(z)
        ids = largest(z, 2 * self.K)
        ids = ids[z[ids] > -math.inf]
        n = self.plan.options.logprobs
        top = None if n is None else most_probable(self.plan.tokenizer, logits, log_total, n)
        return _Continuations(
            ids, beam.total + (z[ids] - searched), logits[ids].astype(np.float64) - log_total, top
        )

    def _ends(self, beam: _Beam, id: int) -> tuple[str, bool]:
        """Whether token `id` ends the text of `beam`, and the undecided text where it does not."""
        if id == self.plan.eos:
            return "", True
        if not self.plan.stops.stops:
            return "", False
        last: list[int] = []
        node = beam.node
        while node is not None and len(last) < CONTEXT:
            last.append(node.id)
            node = node.before
        before = self.prompt.before[-CONTEXT:].tolist() if len(last) < CONTEXT else []
        decoder = self.plan.tokenizer.decoder(after=before + last[::-1])
        _, held, stopped = self.plan.stops.scan(beam.held, decoder.push(id))
        return held, stopped

    def _finish(self, score: float, node: _Node, state: State, row: int) -> None:
        if len(self.finished) == self.n_best and score <= self.finished[-1].score:
            return
        one = self.plan.model.select(state, np.array([row]))
        insort(self.finished, _Finished(score, node, one), key=lambda f: -f.score)
        del self.finished[self.n_best :]

    def _decided(self, beams: list[_Beam]) -> bool:
        """Whether no beam can still be among the n best.

        A total only falls, and is divided by most at the greatest length: the best score that a
        beam can still reach is its total now at that length.
        """
        bound = max(beam.total for beam in beams) / self.max_tokens**self.alpha
        return len(self.finished) == self.n_best and self.finished[-1].score >= bound

    def _generation(self, finished: _Finished) -> Generation:
        nodes = []
        node: _Node | None = finished.node
        while node is not None:
            nodes.append(node)
            node = node.before
        writer = Writer(self.plan, self.prompt)
        for each in reversed(nodes):
            writer.write(each.id, each.logprob, each.top)
        return replace(writer.generation(finished.state), score=finished.score)
