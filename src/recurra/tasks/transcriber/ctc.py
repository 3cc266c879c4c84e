"""From what a CTC network says of each frame to text: the best path, and prefix beam search."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.generate.protocol import State, StepModel, Tokenizer

#: The class of "nothing new"; class k + 1 is token k.
BLANK = 0


@dataclass(frozen=True)
class Labelling:
    """Tokens found in some frames.

    ids: the tokens. frames: in which frame each begins (of the best path; empty in beam search).
    score: what was maximised: of the best path its log probability; in beam search the log
    probability of the labelling, all its paths together, with what the language model adds.
    """

    ids: tuple[int, ...]
    frames: tuple[int, ...]
    score: float


class BestPath:
    """The most probable class of each frame, without repetitions and blanks (Graves et al. 2006).

    Frames may come in pieces; the pieces that `push` returns, joined, are those of the whole.
    """

    def __init__(self) -> None:
        self._last = BLANK
        self._read = 0

    @property
    def counts(self) -> tuple[int, int]:
        """The class of the last frame, and how many frames were read; assign them to go on."""
        return self._last, self._read

    @counts.setter
    def counts(self, values: tuple[int, int]) -> None:
        self._last, self._read = values

    def push(self, log_probabilities: np.ndarray) -> Labelling:
        """Read frames (T, V + 1); returns the tokens that begin in them."""
        best = log_probabilities.argmax(1)
        before = np.concatenate([[self._last], best[:-1]]) if len(best) else best
        begins = np.flatnonzero((best != BLANK) & (best != before))
        score = float(log_probabilities.max(1).sum(dtype=np.float64)) if len(best) else 0.0
        found = Labelling(
            tuple((best[begins] - 1).tolist()), tuple((begins + self._read).tolist()), score
        )
        self._last = int(best[-1]) if len(best) else self._last
        self._read += len(best)
        return found


class TextModel:
    """A language model as prefix beam search asks it: over the tokens of the transcriber.

    Args:
        model: a language model of lines, which reads `<eos>` first and writes it at the end.
        tokenizer: its tokenizer.
        tokens: what the transcriber's tokens 0 … V - 1 are.

    Raises:
        InputError: a model that does not end its texts, or lacks one of the tokens.
    """

    def __init__(self, model: StepModel, tokenizer: Tokenizer, tokens: Sequence[str]) -> None:
        if tokenizer.eos_id is None:
            raise InputError(
                "language model: expected one of lines, which knows where a text begins and ends: "
                "train it with lines=True"
            )
        self._model, self._end = model, tokenizer.eos_id
        known = {tokenizer.token(id): id for id in range(len(tokenizer))}
        ids = [known.get(token, tokenizer.unk_id) for token in tokens]
        if None in ids:
            missing = [token for token, id in zip(tokens, ids, strict=True) if id is None]
            raise InputError(
                f"language model: expected every token of the transcriber, {missing[:5]} are not "
                "in its vocabulary: train it on text with the same symbols"
            )
        self._ids = np.array(ids, np.int64)

    def start(self) -> tuple[np.ndarray, State]:
        """Log probabilities (1, V + 1) of the first token, the end last, and the state."""
        return self._step(np.array([self._end]), self._model.start(1))

    def read(self, tokens: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Read tokens (N,), one a stream: log probabilities (N, V + 1) of the next, the state."""
        return self._step(self._ids[tokens], state)

    def select(self, state: State, rows: np.ndarray) -> State:
        """The streams rows (N,) of a state."""
        return self._model.select(state, rows)

    def _step(self, ids: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        logits, state = self._model.step(ids, state)
        wide = logits.astype(np.float64)
        wide -= wide.max(1, keepdims=True)
        wide -= np.log(np.exp(wide).sum(1, keepdims=True))
        return wide[:, np.append(self._ids, self._end)], state


#: Keys of labellings are polynomials of their tokens, modulo a prime.
_PRIME, _BASE = (1 << 127) - 1, 0x2545F4914F6CDD1D2E1B5C3A97D84F63

#: Tokens of a labelling, the last beside those before.
Chain = tuple["Chain", int] | None


@dataclass(frozen=True, eq=False)
class _Prefix:
    """A labelling so far.

    chain: its tokens. key: the same number for the same tokens. before: the key of all tokens but
    the last. spoken: log probability in the language model. next: of the next token and of the end,
    there. state: a state of the language model, and the row of it.
    """

    chain: Chain
    length: int
    key: int
    before: int
    spoken: float = 0.0
    next: np.ndarray | None = None
    state: tuple[State, int] | None = None

    @property
    def token(self) -> int:
        """The last token; -1 of none."""
        return -1 if self.chain is None else self.chain[1]

    @property
    def ids(self) -> tuple[int, ...]:
        """All tokens."""
        found, at = [], self.chain
        while at is not None:
            found.append(at[1])
            at = at[0]
        return tuple(reversed(found))

    def child(self, token: int) -> "_Prefix":
        """The labelling with a token more, which the language model has not read."""
        key = (self.key * _BASE + token + 2) % _PRIME
        return _Prefix((self.chain, token), self.length + 1, key, self.key)

    def __reduce__(self) -> tuple[Any, ...]:
        return _prefix_of, (self.ids, self.spoken, self.next, self.state)


def _prefix_of(ids: Sequence[int], *heard: Any) -> _Prefix:
    """The labelling of tokens, and what the language model says of it."""
    made = _Prefix(None, 0, 1, 0)
    for token in ids:
        made = made.child(int(token))
    return replace(made, **dict(zip(("spoken", "next", "state"), heard, strict=False)))


class PrefixBeam:
    """Prefix beam search (Graves & Jaitly 2014; Hannun et al. 2014).

    The paths of a labelling are summed. A labelling is worth
    log P(labelling | sound) + weight * log P(labelling and its end in the language model)
    + bonus * its tokens; where the beam is wide enough for all labellings, the best is found.
    Frames may come in pieces, with the same result.

    Args:
        beams: labellings kept after a frame.
        model: a language model.
        weight: of the language model.
        bonus: for each token.

    Raises:
        InputError: beams below 1, or a weight without a language model.
    """

    def __init__(
        self,
        *,
        beams: int = 16,
        model: TextModel | None = None,
        weight: float = 0.5,
        bonus: float = 0.0,
    ) -> None:
        if isinstance(beams, bool) or not isinstance(beams, int) or beams < 1:
            raise InputError(f"beams: expected a whole number of at least 1, received {beams!r}")
        if not (np.isfinite(weight) and np.isfinite(bonus)):
            raise InputError(f"weight, bonus: expected numbers, received {weight} and {bonus}")
        self._beams, self._model, self._weight, self._bonus = beams, model, weight, bonus
        self._kept = [self._root()]
        # log probabilities of all paths of a prefix that end in a blank, and in its last token
        self._blank, self._token = np.zeros(1), np.full(1, -np.inf)

    @property
    def model(self) -> TextModel | None:
        """The language model."""
        return self._model

    @property
    def numbers(self) -> tuple[int, float, float]:
        """Beams, weight and bonus."""
        return self._beams, self._weight, self._bonus

    @property
    def held(self) -> tuple[list[tuple[int, ...]], np.ndarray, np.ndarray]:
        """The labellings that are kept (N), and log probabilities (N,) of all paths of each that
        end in a blank, and in its last token."""
        return [prefix.ids for prefix in self._kept], self._blank, self._token

    def holding(
        self, labellings: Sequence[Sequence[int]], blank: np.ndarray, token: np.ndarray
    ) -> "PrefixBeam":
        """A search like this one that holds such; the language model reads the labellings anew."""
        made = copy(self)
        made._blank, made._token = blank, token
        made._kept = [self._root() for _ in labellings]
        for place in range(max(map(len, labellings), default=0)):
            longer = [k for k, ids in enumerate(labellings) if place < len(ids)]
            grown = self._grown([(made._kept[k], int(labellings[k][place])) for k in longer])
            for k, prefix in zip(longer, grown, strict=True):
                made._kept[k] = prefix
        return made

    def _root(self) -> _Prefix:
        if self._model is None:
            return _prefix_of(())
        following, state = self._model.start()
        return _prefix_of((), 0.0, following[0], (state, 0))

    def push(self, log_probabilities: np.ndarray) -> None:
        """Read frames (T, V + 1)."""
        for frame in log_probabilities.astype(np.float64):
            self._read(frame)

    def best(self, n: int = 1) -> list[Labelling]:
        """The best n labellings of the frames so far, as if no more came, best first."""
        scores = np.logaddexp(self._blank, self._token) + self._worth()
        if self._model is not None:
            scores += self._weight * np.array([_following(p)[-1] for p in self._kept])
        order = np.argsort(-scores, kind="stable")[:n]
        return [Labelling(self._kept[i].ids, (), float(scores[i])) for i in order]

    def _worth(self) -> np.ndarray:
        """What the prefixes are worth beside their probability."""
        return np.array([self._weight * p.spoken + self._bonus * p.length for p in self._kept])

    def _read(self, frame: np.ndarray) -> None:
        kept, tokens = self._kept, len(frame) - 1
        if tokens == 0:
            self._blank = self._blank + frame[BLANK]
            return
        total = np.logaddexp(self._blank, self._token)
        last = np.array([p.token for p in kept])
        longer = np.flatnonzero(last >= 0)
        blank = total + frame[BLANK]
        same = np.full(len(kept), -np.inf)
        same[longer] = self._token[longer] + frame[last[longer] + 1]
        grown = total[:, None] + frame[None, 1:]
        # The same token again needs a blank between.
        grown[longer, last[longer]] = self._blank[longer] + frame[last[longer] + 1]
        places = {p.key: i for i, p in enumerate(kept)}
        for i in longer:
            parent = places.get(kept[i].before)
            if parent is not None:  # what grows into a prefix that is kept joins it
                same[i] = np.logaddexp(same[i], grown[parent, last[i]])
                grown[parent, last[i]] = -np.inf
        worth = self._worth()
        bonus = np.full((len(kept), tokens), self._bonus)
        if self._model is not None:
            bonus += self._weight * np.stack([_following(p)[:-1] for p in kept])
        scores = np.concatenate(
            [np.logaddexp(blank, same) + worth, (grown + worth[:, None] + bonus).ravel()]
        )
        chosen = _largest(scores, self._beams)
        self._keep(chosen, blank, same, grown)

    def _keep(
        self, chosen: np.ndarray, blank: np.ndarray, same: np.ndarray, grown: np.ndarray
    ) -> None:
        old, (count, tokens) = self._kept, grown.shape
        stay, grow = chosen[chosen < count], chosen[chosen >= count] - count
        parents, added = grow // tokens, grow % tokens
        pairs = [(old[i], token) for i, token in zip(parents.tolist(), added.tolist(), strict=True)]
        self._kept = [*(old[i] for i in stay), *self._grown(pairs)]
        self._blank = np.concatenate([blank[stay], np.full(len(grow), -np.inf)])
        self._token = np.concatenate([same[stay], grown[parents, added]])

    def _grown(self, pairs: Sequence[tuple[_Prefix, int]]) -> list[_Prefix]:
        """Labellings with a token more each, which the language model reads side by side."""
        made = [prefix.child(token) for prefix, token in pairs]
        if self._model is None:
            return made
        groups: dict[int, list[int]] = {}
        for k, (parent, _) in enumerate(pairs):
            groups.setdefault(id(_state(parent)[0]), []).append(k)
        for group in groups.values():
            parents = [pairs[k][0] for k in group]
            tokens = np.array([pairs[k][1] for k in group])
            rows = np.array([_state(parent)[1] for parent in parents])
            state = self._model.select(_state(parents[0])[0], rows)
            following, state = self._model.read(tokens, state)
            for row, (k, parent) in enumerate(zip(group, parents, strict=True)):
                spoken = parent.spoken + float(_following(parent)[made[k].token])
                made[k] = replace(made[k], spoken=spoken, next=following[row], state=(state, row))
        return made


def _following(prefix: _Prefix) -> np.ndarray:
    assert prefix.next is not None
    return prefix.next


def _state(prefix: _Prefix) -> tuple[State, int]:
    assert prefix.state is not None
    return prefix.state


def _largest(scores: np.ndarray, n: int) -> np.ndarray:
    """Indices of the n largest that are not -inf, in their order; at least one index."""
    found = np.arange(len(scores)) if len(scores) <= n else np.argpartition(-scores, n - 1)[:n]
    found = np.sort(found[scores[found] > -np.inf])
    return found if len(found) else np.zeros(1, np.int64)
