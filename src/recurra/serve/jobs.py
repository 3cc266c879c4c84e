"""A request while the model works on it: what the stepping thread and its coroutine share."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from recurra.generate.result import Piece
from recurra.generate.streams import Reading, Stream
from recurra.serve.errors import ApiError

#: A piece of a stream, by its number in the job; None where the stream failed.
News = tuple[int, Piece | None]


class Job:
    """One request: prompts that are read, and the streams behind them.

    The stepping thread writes `produced` and `admitted`; the coroutine `sent` and `gone`.

    Args:
        readings: what is to be read.
        streams: all streams of the readings, in the order of their choices.
        weight: bytes of a piece as it is sent; 0 where pieces are not sent as they come.
    """

    def __init__(
        self, readings: Sequence[Reading], streams: Sequence[Stream], *, weight: int = 0
    ) -> None:
        self.readings, self.streams, self.weight = list(readings), list(streams), weight
        for number, stream in enumerate(self.streams):
            stream.owner = (self, number)
        self.loop = asyncio.get_running_loop()
        self.begun = self.latest = time.perf_counter()
        self.admitted = self.gone = self.paused = False
        self.produced = self.sent = 0
        self.open = len(self.streams) + sum(not reading.streams for reading in self.readings)
        self.error: ApiError | None = None
        self._news: deque[News] = deque()
        self._event = asyncio.Event()

    @property
    def width(self) -> int:
        """How many rows it will have at once."""
        return sum(max(1, len(reading.streams)) for reading in self.readings)

    @property
    def behind(self) -> int:
        """Bytes that its reader has not taken yet."""
        return (self.produced - self.sent) * self.weight

    def tell(self, news: Sequence[News], *, closed: int = 0, error: ApiError | None = None) -> None:
        """In the event loop: hand over what happened; `closed` parts came to their end."""
        self._news.extend(news)
        self.open -= closed
        self.error = self.error or error
        self._event.set()

    async def next(self) -> list[News]:
        """The pieces since the last call, at least one; none at the end.

        Raises:
            ApiError: the request cannot be done.
        """
        while not self._news and self.open > 0 and self.error is None:
            self._event.clear()
            await self._event.wait()
        if self.error is not None:
            raise self.error
        news = list(self._news)
        self._news.clear()
        return news

    async def started(self) -> None:
        """Wait until it is admitted.

        Raises:
            ApiError: it will not be.
        """
        while not self.admitted and self.error is None:
            self._event.clear()
            await self._event.wait()
        if self.error is not None:
            raise self.error


def failed(stream: Stream) -> ApiError:
    """Why no token could be chosen."""
    return ApiError(400, str(stream.failed), code="generation_failed")


Delivery = list[tuple[Job, list[News], int, Any]]
