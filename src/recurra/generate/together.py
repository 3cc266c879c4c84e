"""Many texts of one model written side by side: one step of all of them at a time.

`generate` writes the prompts of a call with it, and a server the requests of everybody.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from recurra.errors import InputError

from .plan import Plan, Prompt
from .protocol import Joins, State, StepModel
from .result import Generation, Piece, Top
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


class _Pack:
    """Streams that are stepped as one batch, and their state."""

    def __init__(self, streams: list[Stream], state: State) -> None:
        self.streams, self.state = streams, state


class Together:
    """All texts that one model is writing. No text depends on the others.

    Args:
        model: what reads and steps. Without `join` it is stepped for each group of prompts that
            begin in one state by itself.
        rows: the most texts in one step; None: all.
        budget: seconds of a tick for prompts, which are then read in slices; None: all at once.
    """

    #: Prompts read side by side, and tokens of all of them in a slice: a few milliseconds.
    WIDE, SLICE, LONGEST = 16, 64, 32

    def __init__(
        self, model: StepModel, *, rows: int | None = None, budget: float | None = None
    ) -> None:
        self.model, self._rows, self._budget = model, rows, budget
        self._joins = isinstance(model, Joins)
        self._packs: list[_Pack] = []
        self._waiting: deque[Stream] = deque()  # read, and without a row
        self._readings: list[Reading] = []
        self.tokens_read = 0

    @property
    def count(self) -> int:
        """How many texts there are, those whose prompt is being read and those that wait too."""
        reading = sum(max(1, len(reading.streams)) for reading in self._readings)
        return reading + len(self._waiting) + self.stepped

    @property
    def stepped(self) -> int:
        """How many texts have a row."""
        return sum(len(pack.streams) for pack in self._packs)

    @property
    def idle(self) -> bool:
        """Whether a tick would do nothing."""
        if self._readings or self.stepped:
            return False
        return all(stream.paused and not stream.dropped for stream in self._waiting)

    def add(self, reading: Reading) -> None:
        """Begin to read a prompt."""
        self._readings.append(reading)

    def clear(self) -> None:
        """Forget all texts."""
        self._packs, self._readings = [], []
        self._waiting.clear()

    def last(self) -> tuple[Stream, State] | None:
        """The one text that is left, with its state; None where there are others."""
        if self._readings or self._waiting or self.stepped != 1:
            return None
        (pack,) = self._packs
        return pack.streams[0], pack.state

    def tick(self) -> Iterator[tuple[Stream, Piece | None]]:
        """One step of all texts, then prompts: the pieces, None for a stream that failed."""
        yield from self.step()
        yield from self.read()

    def step(self) -> Iterator[tuple[Stream, Piece | None]]:
        """The first half of a tick: the next token of each text that has a row."""
        self._settle()
        for pack in list(self._packs):
            ids = np.array([stream.writer.ids[-1] for stream in pack.streams])
            logits, pack.state = self.model.step(ids, pack.state)
            self._mark(pack)
            yield from self._choose(pack, logits)

    def _settle(self) -> None:
        """Take away the rows that nobody wants now, and give theirs to those that wait."""
        for pack in self._packs:
            stays = [row for row, s in enumerate(pack.streams) if not (s.paused or s.dropped)]
            if len(stays) == len(pack.streams):
                continue
            for row, stream in enumerate(pack.streams):
                if stream.paused and not stream.dropped:
                    stream.state = self.model.select(pack.state, np.array([row]))
                    self._waiting.append(stream)
            self._keep(pack, stays)
        for _ in range(len(self._waiting)):
            stream = self._waiting.popleft()
            if stream.dropped:
                continue
            full = self._rows is not None and self.stepped >= self._rows
            if stream.paused or full:
                self._waiting.append(stream)
                continue
            self._packs.append(_Pack([stream], stream.state))
            stream.state = None
        self._join()

    def _join(self) -> None:
        """Make one batch of several, where the model can."""
        self._packs = [pack for pack in self._packs if pack.streams]
        if self._joins and len(self._packs) > 1:
            assert isinstance(self.model, Joins)
            state = self.model.join([pack.state for pack in self._packs])
            self._packs = [_Pack([s for pack in self._packs for s in pack.streams], state)]

    def _keep(self, pack: _Pack, rows: list[int]) -> None:
        if rows and len(rows) < len(pack.streams):
            pack.state = self.model.select(pack.state, np.array(rows))
        pack.streams = [pack.streams[row] for row in rows]

    def _mark(self, pack: _Pack) -> None:
        """Keep the states that texts can be rewound to."""
        for row, stream in enumerate(pack.streams):
            if stream.trailing:
                read = len(stream.prompt.before) + len(stream.writer.ids)
                if read % APART == 0:
                    one = self.model.select(pack.state, np.array([row]))
                    stream.trail = Trail(stream.trail, read, one)

    def _choose(self, pack: _Pack, logits: np.ndarray) -> Iterator[tuple[Stream, Piece | None]]:
        """The next token of each stream of a batch; those that end leave it."""
        goes_on: list[int] = []
        ended = False
        for row, stream in enumerate(pack.streams):
            if stream.dropped:
                continue
            try:
                id, logprob, top, text = stream.choose(logits[row])
            except InputError as error:
                stream.failed, ended = error, True
                yield stream, None
                continue
            generation: Generation | None = None
            if stream.writer.reason is None:
                goes_on.append(row)
            else:
                one = pack.state
                if len(pack.streams) > 1:
                    one = self.model.select(pack.state, np.array([row]))
                generation, ended = stream.writer.generation(one), True
            yield stream, Piece(text, id, logprob, top, generation)
        if ended or len(goes_on) < len(pack.streams):
            self._keep(pack, goes_on)

    def read(self) -> Iterator[tuple[Stream, Piece | None]]:
        """The second half: read prompts for a while; the first tokens of those read to the end."""
        started, took = time.perf_counter(), 0.0
        while self._readings:
            self._readings = [reading for reading in self._readings if not reading.unwanted]
            begun = time.perf_counter()
            if self._budget is not None and took and begun - started + took > self._budget:
                return
            group = self._group()
            if not group:
                return
            read = self._read_alone(group[0]) if group[0].watch else self._read_slices(group)
            yield from self._begin(group, *read)
            took = time.perf_counter() - begun

    def _group(self) -> list[Reading]:
        """The prompts to be read side by side next."""
        if not self._readings:
            return []
        first = self._readings[0]
        if first.watch is not None:
            return [first]
        others = [reading for reading in self._readings if reading.watch is None]
        if not self._joins or self._budget is None:
            return [r for r in others if r.state is first.state and r.at == first.at]
        return others[: self.WIDE]

    def _together(self, group: list[Reading]) -> State:
        """The state of a group of prompts."""
        first = group[0].state
        if all(reading.state is first for reading in group):
            if first is None:
                return self.model.start(len(group))
            if len(group) == 1:
                return first
            return self.model.select(first, np.zeros(len(group), dtype=np.int64))
        assert isinstance(self.model, Joins)
        states = [self.model.start(1) if r.state is None else r.state for r in group]
        return self.model.join(states)

    def _read_slices(self, group: list[Reading]) -> tuple[np.ndarray, State]:
        """Read on in each prompt of a group: logits (B, V) and state after it."""
        most = max(reading.left for reading in group)
        if self._budget is not None:
            most = max(4, min(self.LONGEST, self.SLICE // len(group)))
        parts = [reading.next(most) for reading in group]
        lengths = np.array([len(part) for part in parts])
        ids = np.zeros((len(group), int(lengths.max())), dtype=np.int64)
        for row, part in enumerate(parts):
            ids[row, : len(part)] = part
        even = bool((lengths == ids.shape[1]).all())
        logits, state = self.model.read(ids, None if even else lengths, self._together(group))
        self.tokens_read += int(lengths.sum())
        for row, reading in enumerate(group):
            if reading.left > lengths[row] or reading.trailing or not reading.streams:
                one = state if len(group) == 1 else self.model.select(state, np.array([row]))
                reading.advance(int(lengths[row]), one)
            else:
                reading.advance(int(lengths[row]), None)
        return logits, state

    def _read_alone(self, reading: Reading) -> tuple[np.ndarray, State]:
        """Read on in a prompt of which each token is watched."""
        assert reading.watch is not None
        state = self._together([reading])
        logits = np.empty((1, 0), np.float32)
        for id in reading.next(self.LONGEST).tolist():
            logits, state = self.model.step(np.array([id]), state)
            reading.advance(1, state)
            self.tokens_read += 1
            if reading.position >= 0:
                reading.watch(reading.position, logits[0])
        return logits, state

    def _begin(
        self, group: list[Reading], logits: np.ndarray, state: State
    ) -> Iterator[tuple[Stream, Piece | None]]:
        """Let the streams behind prompts that were read to their end begin."""
        ready = [(row, r) for row, r in enumerate(group) if not r.left]
        seen = set(map(id, group))
        self._readings = [r for r in self._readings if id(r) not in seen]
        self._readings += [r for r in group if r.left]  # behind those that have waited
        rows, streams = [], []
        for row, reading in ready:
            if reading.done is not None:
                reading.done(reading.state, reading.trail)
            for stream in reading.streams:
                stream.trail = reading.trail
                rows.append(row)
                streams.append(stream)
        if not streams:
            return
        if rows != list(range(len(group))):
            state = self.model.select(state, np.array(rows))
        pack = _Pack(streams, state)
        yield from self._choose(pack, logits[rows])
        room = len(pack.streams) if self._rows is None else max(0, self._rows - self.stepped)
        for row in range(room, len(pack.streams)):
            pack.streams[row].state = self.model.select(pack.state, np.array([row]))
            self._waiting.append(pack.streams[row])
        self._keep(pack, list(range(min(room, len(pack.streams)))))
        if pack.streams:
            self._packs.append(pack)
            self._join()
