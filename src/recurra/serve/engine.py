"""The one thread that steps a model, for all requests together.

Each tick: take on what waits, one step of all texts, then prompts for a few milliseconds.
"""

import logging
import threading
import time
from collections import deque
from typing import Any

from recurra.generate.result import Piece
from recurra.generate.streams import Stream
from recurra.generate.together import Together
from recurra.serve.errors import ApiError
from recurra.serve.jobs import Delivery, Job, News, failed
from recurra.serve.metrics import Metrics
from recurra.serve.settings import Limits

#: Seconds of a tick for prompts.
BUDGET = 0.005

_log = logging.getLogger("recurra.serve")


class Engine:
    """Steps one model.

    Args:
        name: the model's, for metrics.
        model: a `recurra.generate.StepModel`.
        limits: how many texts at once, and how many requests wait.
        metrics: what is counted.
    """

    def __init__(self, name: str, model: Any, limits: Limits, metrics: Metrics) -> None:
        self.name, self._limits, self._metrics = name, limits, metrics
        self._together = Together(model, rows=limits.slots, budget=BUDGET)
        self._queue: deque[Job] = deque()
        self._jobs: list[Job] = []
        self._used, self._stop, self._poked = 0, False, False
        self._wake = threading.Condition()
        self._pace = 1.0  # seconds a request takes, lately
        self._thread = threading.Thread(target=self._run, name=f"step {name}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> int:
        """How many texts are being read or written."""
        return self._used

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._queue)

    def submit(self, job: Job) -> None:
        """Take on a request, now or when there is room.

        Raises:
            ApiError: 429, where too many wait; 503 when the server ends.
        """
        with self._wake:
            if self._stop:
                raise ending()
            if self.crowded:
                raise self.full()
            self._queue.append(job)
            self._wake.notify()

    @property
    def crowded(self) -> bool:
        """Whether a further request would find no place, to wait in either."""
        free = max(0, self._limits.slots - self._used)
        return len(self._queue) >= self._limits.queue + free

    def full(self) -> ApiError:
        """The error of a queue that is full, with the time in which it is likely to drain."""
        ahead = (len(self._queue) + 1) / self._limits.slots
        seconds = min(60, max(1, round(self._pace * ahead)))
        return ApiError(
            429,
            f"{len(self._queue)} requests wait for {self.name!r} already: try again in {seconds} s",
            code="queue_full",
            headers={"retry-after": str(seconds)},
        )

    def poke(self) -> None:
        """Look at the requests again: somebody left, or caught up."""
        with self._wake:
            self._poked = True
            self._wake.notify()

    def stop(self, *, wait: float = 5.0) -> None:
        """End all requests with an error, and the thread."""
        with self._wake:
            self._stop = True
            self._wake.notify()
        self._thread.join(wait)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._stop or self._queue or self._poked or not self._together.idle):
                    self._wake.wait()
                self._poked = False
                if self._stop:
                    break
                admitted = self._admit()
            try:
                self._settle(admitted)
                self._deliver(list(self._together.step()))
                self._deliver(list(self._together.read()))
                self._close()
            except Exception:
                _log.exception("%s: a step failed", self.name)
                self._give_up(ApiError(500, "the model could not be stepped", code="internal"))
        self._give_up(ending())

    def _admit(self) -> list[Job]:
        """Take requests from the queue while there is room; the lock is held."""
        admitted = []
        while self._queue and (self._used < self._limits.slots or self._queue[0].gone):
            job = self._queue.popleft()
            if not job.gone:
                self._used += job.width
                admitted.append(job)
        return admitted

    def _settle(self, admitted: list[Job]) -> None:
        """Begin with what was admitted; drop texts of those who left, pause those of the slow."""
        now = time.perf_counter()
        for job in admitted:
            job.admitted, job.latest = True, now
            self._metrics.queued.observe(self.name, now - job.begun)
            for reading in job.readings:
                self._together.add(reading)
            self._jobs.append(job)
            job.loop.call_soon_threadsafe(job.tell, ())
        for job in self._jobs:
            if job.gone:
                for stream in job.streams:
                    stream.dropped = True
                for reading in job.readings:
                    reading.dropped = True
            elif job.weight:
                most = self._limits.backlog if not job.paused else self._limits.backlog // 2
                paused = job.behind > most
                if paused != job.paused:
                    job.paused = paused
                    for stream in job.streams:
                        stream.paused = paused

    def _deliver(self, pieces: list[tuple[Stream, Piece | None]]) -> None:
        """Hand pieces to the coroutines that wait for them, with one call into the event loop."""
        if not pieces:
            return
        now = time.perf_counter()
        by_job: dict[int, tuple[Job, list[News]]] = {}
        first: list[float] = []
        between: list[float] = []
        for stream, piece in pieces:
            job, number = stream.owner
            by_job.setdefault(id(job), (job, []))[1].append((number, piece))
        delivery: Delivery = []
        for job, news in by_job.values():
            (between if job.produced else first).append(
                now - (job.latest if job.produced else job.begun)
            )
            job.latest = now
            job.produced += len(news)
            ends = [piece is None or piece.generation is not None for _, piece in news]
            error = next((failed(job.streams[n]) for n, piece in news if piece is None), None)
            delivery.append((job, news, sum(ends), error))
        self._metrics.batch.observe(self.name, len(pieces))
        self._metrics.generated.add(len(pieces), model=self.name)
        if first:
            self._metrics.first.observe(self.name, *first)
        if between:
            self._metrics.between.observe(self.name, *between)
        delivery[0][0].loop.call_soon_threadsafe(_hand_over, delivery)

    def _close(self) -> None:
        """Forget requests that came to their end."""
        self._metrics.prompt.add(self._together.tokens_read, model=self.name)
        self._together.tokens_read = 0
        stays = []
        for job in self._jobs:
            reading = any(r.left and not r.unwanted for r in job.readings)
            writing = any(not (s.dropped or s.failed or s.writer.reason) for s in job.streams)
            if reading or writing:
                stays.append(job)
                continue
            took = time.perf_counter() - job.begun
            self._pace += 0.1 * (took - self._pace)
            self._metrics.whole.observe(self.name, took)
            alone = sum(not reading.streams for reading in job.readings)
            if alone:
                job.loop.call_soon_threadsafe(_hand_over, _end(job, alone))
        self._jobs = stays
        with self._wake:
            self._used = sum(job.width for job in self._jobs)

    def _give_up(self, error: ApiError) -> None:
        """End every request with an error."""
        with self._wake:
            jobs = [*self._jobs, *self._queue]
            self._queue.clear()
            self._jobs = []
            self._used = 0
        self._together.clear()
        for job in jobs:
            try:
                job.loop.call_soon_threadsafe(_hand_over, _end(job, 0, error))
            except RuntimeError:  # the event loop has ended
                return


def ending() -> ApiError:
    """The error of a server that ends."""
    return ApiError(503, "the server is shutting down: try another", code="draining")


def _end(job: Job, closed: int, error: ApiError | None = None) -> Delivery:
    return [(job, [], closed, error)]


def _hand_over(delivery: Delivery) -> None:
    for job, news, closed, error in delivery:
        job.tell(news, closed=closed, error=error)
