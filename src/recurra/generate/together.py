"""Many texts of one model written side by side: one step of all of them at a time.

`generate` writes the prompts of a call with it, and a server the requests of everybody.
"""

import time
from collections import deque
from collections.abc import Iterator

import numpy as np

from recurra.errors import InputError

from .protocol import Joins, State, StepModel, Writes
from .result import Generation, Piece
from .streams import APART, Reading, Stream, Trail


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

    #: Tokens written in one call while there is one text alone: what comes then waits for them.
    AHEAD = 4

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

    def begin(
        self, stream: Stream, logits: np.ndarray, state: State
    ) -> Iterator[tuple[Stream, Piece | None]]:
        """Begin to write after a prompt that has been read: logits (1, V), and the state there."""
        pack = _Pack([stream], state)
        self._packs.append(pack)
        yield from self._choose(pack, logits)

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
        if self._budget is not None and not self._waiting and not self._readings:
            last = self.last()
            if last is not None and last[0].plan.writes and not last[0].trailing:
                yield from self._write(self._packs[0], last[0])
                return
        for pack in list(self._packs):
            ids = np.array([stream.writer.ids[-1] for stream in pack.streams])
            logits, pack.state = self.model.step(ids, pack.state)
            self._mark(pack)
            yield from self._choose(pack, logits)

    def _write(self, pack: _Pack, stream: Stream) -> Iterator[tuple[Stream, Piece | None]]:
        """A few tokens of the only text, in one call of the kernels."""
        plan, writer = stream.plan, stream.writer
        assert isinstance(self.model, Writes)
        assert plan.sampler.choosing is not None
        count = min(self.AHEAD, plan.options.max_tokens - len(writer.ids))
        uniforms = writer.uniforms(count)
        written = self.model.write(writer.ids[-1], pack.state, plan.sampler.choosing, uniforms)
        ids, logprobs, at = written[0].tolist(), written[1].tolist(), written[2]
        for n, (id, logprob) in enumerate(zip(ids, logprobs, strict=True)):
            text = writer.write(id, logprob, None)
            generation = None if writer.reason is None else writer.generation(at(n))
            yield stream, Piece(text, id, logprob, None, generation)
            if generation is not None:
                pack.streams = []
                return
        if ids:
            pack.state = at(len(ids) - 1)
        if len(ids) < count:  # let the choice say what is wrong
            logits, pack.state = self.model.step(np.array([writer.ids[-1]]), pack.state)
            try:
                plan.sampler.choose(logits[0], writer.seen, float(uniforms[len(ids)]))
            except InputError as error:
                stream.failed, pack.streams = error, []
                yield stream, None

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
