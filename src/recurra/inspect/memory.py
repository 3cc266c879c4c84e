"""What a model of text remembers: by changing a token, and by starting late."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.given import brief
from recurra.inspect.language import Language, language, log_softmax
from recurra.inspect.results import Result, axes

#: What counts as remembered, nats.
REMEMBERED = 0.01
#: One-sided 95 % of normal values.
_Z = 1.6448536269514722


@dataclass(frozen=True, eq=False)
class Memory(Result):
    """How much a replaced token changes what is expected when k more have been read.

    lags: 0 … K - 1, (K,): 0 is the prediction right after the replaced token.
    kl: KL(k) in nats, the mean over places and draws, (K,).
    lower: its lower 95 % bound, over places, (K,).
    last: the last k whose lower bound is 0.01 nat or more; -1: none.
    places, draws: how many there were.
    """

    lags: np.ndarray
    kl: np.ndarray
    lower: np.ndarray
    last: int
    places: int
    draws: int

    def figure(self) -> Any:
        """KL by lag, both axes logarithmic."""
        figure, area = axes("What is left of a replaced token", "tokens since", "KL, nats")
        area.plot(self.lags + 1, np.maximum(self.kl, 1e-9), label="mean")
        area.plot(self.lags + 1, np.maximum(self.lower, 1e-9), ls=":", label="lower 95 % bound")
        area.axhline(REMEMBERED, color="0.6", lw=0.8)
        area.set(xscale="log", yscale="log")
        area.legend(frameon=False)
        return figure


def memory(
    model: Any,
    data: Any,
    *,
    lags: int = 64,
    places: int = 24,
    draws: int = 8,
    seed: int = 0,
    double: bool = False,
) -> Memory:
    """How long a model of text remembers a token: replace it, read on, compare. Needs no torch.

    At each of some places p the token is replaced by draws from the text's own frequencies, other
    than itself. All versions are read on side by side over the same text, so that each step gives
    one lag: KL(k) is that of what is expected with the token, from what is expected without.

    Args:
        model: any model of text, n-grams among them.
        data: a text or tokens (N,).
        lags: K, how many; fewer where the text is shorter.
        places: how many tokens are replaced, at most; evenly spaced.
        draws: by how many others each.
        seed: of the draws.
        double: whether to compute in float64.

    Raises:
        InputError: no model of text, a text of one symbol or of fewer than 3 tokens, numbers < 1.
    """
    _at_least_one("memory", lags=lags, places=places, draws=draws)
    own = language(model, double=double)
    ids = own.whole(data)
    count = len(ids)
    reach = min(lags, count - 2)
    symbols, frequency = np.unique(ids, return_counts=True)
    if reach < 1 or len(symbols) < 2:
        raise InputError(
            f"memory: expected at least 3 tokens, two of them different, received {count} of "
            f"{len(symbols)} kinds: give a longer text"
        )
    at = np.unique(np.linspace(0, count - 1 - reach, places).round().astype(int))
    rng = np.random.default_rng(seed)
    before = state_before(own, ids, at)
    rows = np.repeat(np.arange(len(at)), 1 + draws)
    state = own.steps.select(before, rows)
    changed = ids[at][rows]
    for number, place in enumerate(at.tolist()):
        odds = np.where(symbols == ids[place], 0, frequency).astype(np.float64)
        drawn = rng.choice(symbols, size=draws, p=odds / odds.sum())
        changed[number * (1 + draws) + 1 : (number + 1) * (1 + draws)] = drawn
    found = np.empty((reach, len(at)))
    logits, state = own.steps.step(changed, state)
    for k in range(reach):
        if k:
            logits, state = own.steps.step(ids[at + k][rows], state)
        found[k] = _divergence(logits, len(at)).mean(1)
    kl = found.mean(1)
    spread = found.std(1, ddof=1) / np.sqrt(len(at)) if len(at) > 1 else np.zeros(reach)
    lower = kl - _Z * spread
    above = np.flatnonzero(lower >= REMEMBERED)
    last = int(above[-1]) if len(above) else -1
    return Memory(np.arange(reach), kl, lower, last, len(at), draws)


def _divergence(logits: np.ndarray, groups: int) -> np.ndarray:
    """KL (groups, draws) of the first row of each group from each other one; 0 of equal logits."""
    z = log_softmax(logits).reshape(groups, -1, logits.shape[-1])
    p = z[:, :1]
    # What cannot come has logit -inf, and adds nothing.
    with np.errstate(invalid="ignore"):
        terms = np.where(np.isneginf(p), 0, np.exp(p) * (p - z[:, 1:]))
    found: np.ndarray = np.maximum(terms.sum(-1), 0)
    return found


def state_before(own: Language, ids: np.ndarray, places: np.ndarray) -> Any:
    """The states (N streams) before some tokens of a text, in ascending order, from one pass."""
    steps = own.steps
    state, at, rows = steps.start(1), 0, []
    for place in places.tolist():
        if place > at:
            _, state = steps.read(ids[None, at:place], None, state)
            at = place
        rows.append(state)
    if hasattr(steps, "join"):
        return steps.join(rows)
    raise InputError(
        f"expected a model whose streams can be joined, received a {type(steps).__name__}"
    )


@dataclass(frozen=True, eq=False)
class ContextNeeded(Result):
    """What is lost by starting k tokens before a prediction, from the start state.

    lags: how many tokens were read before the prediction, (K,).
    loss: mean over anchors of -ln P minus that with the whole text before it, nats, (K,).
    lower, upper: its 95 % interval over anchors, (K,).
    anchors: how many predictions.
    """

    lags: np.ndarray
    loss: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    anchors: int

    def figure(self) -> Any:
        """Loss by number of tokens read."""
        figure, area = axes("Context that is needed", "tokens read before", "loss, nats")
        area.fill_between(self.lags, self.lower, self.upper, alpha=0.25, lw=0)
        area.plot(self.lags, self.loss)
        area.set_xscale("log")
        return figure


def context_needed(
    model: Any,
    data: Any,
    *,
    lags: tuple[int, ...] | None = None,
    anchors: int = 128,
    double: bool = False,
) -> ContextNeeded:
    """How many tokens before it a prediction needs: read only so many, from the start state.

    Args:
        model: any model of text.
        data: a text or tokens (N,).
        lags: numbers of tokens, ascending; by default 1, 2, 3, 4, 6, 8, 12 … as the text allows.
        anchors: how many predictions, at most; evenly spaced.
        double: whether to compute in float64.

    Raises:
        InputError: no model of text, or one of fewer than 3 tokens.
    """
    _at_least_one("context_needed", anchors=anchors)
    own = language(model, double=double)
    ids = own.whole(data)
    longest = len(ids) - 2
    if longest < 1:
        raise InputError(f"context_needed: expected at least 3 tokens, received {len(ids)}")
    usual = [k for n in range(7) for k in (2**n, 3 * 2**n // 2) if n or k == 1]
    wanted = sorted({k for k in usual if k <= longest // 2 or k == 1}) if lags is None else lags
    for k in wanted:
        if not isinstance(k, int) or not 1 <= k <= longest:
            raise InputError(
                f"context_needed: lags: expected numbers from 1 to {longest}, received {brief(k)}"
            )
    most = max(wanted)
    at = np.unique(np.linspace(most, len(ids) - 1, anchors).round().astype(int))
    full = _chosen(own.steps.step(ids[at - 1], state_before(own, ids, at - 1))[0], ids[at])
    loss, low, high = [], [], []
    for k in wanted:
        rows = ids[at[:, None] - k + np.arange(k)]
        logits, _ = own.steps.read(rows, None, own.steps.start(len(at)))
        extra = full - _chosen(logits, ids[at])
        half = 1.959963984540054 * extra.std(ddof=1) / np.sqrt(len(at)) if len(at) > 1 else 0.0
        loss.append(extra.mean())
        low.append(extra.mean() - half)
        high.append(extra.mean() + half)
    return ContextNeeded(np.array(wanted), np.array(loss), np.array(low), np.array(high), len(at))


def _chosen(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    found: np.ndarray = log_softmax(logits)[np.arange(len(targets)), targets]
    return found


def _at_least_one(what: str, **given: Any) -> None:
    for name, value in given.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(
                f"{what}: {name}: expected a number from 1 on, received {brief(value)}"
            )
