"""The search of many sequences, against the enumeration of all there are."""

import math

import numpy as np
import pytest

from recurra.tasks.translator.search import search

ALPHAS = [0.0, 0.6, 1.0, 2.0]


class Streams:
    """Streams whose next token depends on the last one and on a row of numbers of their own."""

    def __init__(self, V, *, seed, spread=2.0):
        self.V = V
        self.random = np.random.default_rng(seed)
        self.table = self.random.normal(size=(V, V)) * spread
        self.calls = []

    def start(self, batch):
        return self.random.normal(size=(batch, 3)), np.zeros(batch, int)

    def logits(self, own, length, last):
        return self.table[last] + np.outer(own[:, 0], np.arange(self.V)) * np.sin(
            own[:, 1:2] + length[:, None] * own[:, 2:]
        )

    def step(self, ids, state):
        own, length = state
        assert len(ids) == len(own)
        self.calls.append(len(ids))
        return self.logits(own, length, ids).astype(np.float32), (own, length + 1)

    def select(self, state, rows):
        return tuple(part[rows] for part in state)

    def log_probabilities(self, own, ids, start):
        z = self.logits(own[None], np.array([len(ids)]), np.array([[start, *ids][-1]]))[0]
        z = z.astype(np.float32).astype(float)
        return z - math.log(np.exp(z - z.max()).sum()) - z.max()


def everything(model, own, limit, *, start, end, alpha, banned=()):
    """All sequences there are: (score, ids, ended), best first."""
    found = []

    def go(ids, total):
        logprobs = model.log_probabilities(own, ids, start)
        for token in range(model.V):
            if token in banned:
                continue
            length, sum_ = len(ids) + 1, total + logprobs[token]
            if token == end or length == limit:
                whole = ids if token == end else (*ids, token)
                found.append((sum_ / length**alpha, whole, token == end))
            else:
                go((*ids, token), sum_)

    go((), 0.0)
    return sorted(found, reverse=True)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_beam_that_holds_all_finds_the_best(alpha):
    """2,000 random cases in all, twenty at a time, each with a limit of its own."""
    for seed in range(25):
        V = 2 + seed % 3
        model = Streams(V, seed=seed)
        limits = [1 + (seed + n) % (5 if V < 4 else 4) for n in range(20)]
        state = model.start(20)
        end, banned = V - 1, (0,) if seed % 5 == 4 and V > 2 else ()
        found = search(
            model,
            state,
            limits,
            start=end,
            end=end,
            beams=V**5,
            n_best=3,
            length_penalty=alpha,
            banned=banned,
        )
        for own, limit, hypotheses in zip(state[0], limits, found, strict=True):
            judge = everything(model, own, limit, start=end, end=end, alpha=alpha, banned=banned)[
                :3
            ]
            assert [h.ids for h in hypotheses] == [ids for _, ids, _ in judge]
            assert [h.ended for h in hypotheses] == [ended for _, _, ended in judge]
            scores = [score for score, _, _ in judge]
            assert [h.score for h in hypotheses] == pytest.approx(scores, abs=1e-5)
            for h in hypotheses:
                length = len(h.ids) + h.ended
                assert h.logprob / length**alpha == pytest.approx(h.score)


def plain_search(model, own, K, limit, *, start, end, alpha, n_best):
    """The definition in lists, which always goes on to the limit."""
    beams, finished = [(0.0, ())], []
    for length in range(1, limit + 1):
        longer = [
            (total + logprob, (*ids, token))
            for total, ids in beams
            for token, logprob in enumerate(model.log_probabilities(own, ids, start))
        ]
        longer.sort(key=lambda pair: -pair[0])
        beams = []
        for total, ids in longer[: 2 * K]:
            if len(beams) == K:
                break
            if ids[-1] == end or length == limit:
                finished.append((total / length**alpha, ids[:-1] if ids[-1] == end else ids))
            else:
                beams.append((total, ids))
    return [ids for _, ids in sorted(finished, key=lambda pair: -pair[0])[:n_best]]


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("K", [2, 3, 5])
def test_narrow_beams_and_early_ends(K, alpha):
    """Ending as soon as no beam can win gives what the search to the end gives."""
    for seed in range(12):
        V = 3 + seed % 4
        model = Streams(V, seed=seed)
        limits, state = [3 + n for n in range(5)], model.start(5)
        n_best = 1 + seed % K
        options = {"start": 0, "end": 1, "n_best": n_best}
        found = search(model, state, limits, beams=K, length_penalty=alpha, **options)
        for own, limit, hypotheses in zip(state[0], limits, found, strict=True):
            judge = plain_search(model, own, K, limit, alpha=alpha, **options)
            assert [h.ids for h in hypotheses] == judge


def test_one_beam_takes_the_most_probable_token():
    for seed in range(20):
        model = Streams(5, seed=seed)
        state = model.start(4)
        found = search(model, state, [6] * 4, start=2, end=2)
        for own, (hypothesis,) in zip(state[0], found, strict=True):
            ids = ()
            while len(ids) < 6:
                token = int(model.log_probabilities(own, ids, 2).argmax())
                if token == 2:
                    break
                ids = (*ids, token)
            assert (hypothesis.ids, hypothesis.ended) == (ids, len(ids) < 6)


def test_streams_that_have_ended_are_read_no_more():
    model = Streams(3, seed=0)
    model.table[:] = [[-9, -9, 9]] * 3
    state = (np.zeros((4, 3)), np.zeros(4, int))
    found = search(model, state, [50] * 4, start=0, end=2, beams=2)
    assert [hypotheses[0].ids for hypotheses in found] == [()] * 4
    assert model.calls[0] == 4
    assert len(model.calls) < 10


def test_nothing_may_be_chosen():
    model = Streams(2, seed=0)
    state = model.start(2)
    assert search(model, state, [3, 3], start=0, end=1, banned=(0, 1)) == [[], []]
    assert search(model, state, [0, 0], start=0, end=1) == [[], []]
