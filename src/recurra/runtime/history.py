"""Rows that only grow, as values: what a stream has read, shared by those that forked from it."""

from threading import Lock

import numpy as np


class History:
    """Rows (N, ...) that are extended without being copied each time.

    Values that come of one another share a block, which has room at its end: the first that is
    extended takes the room, another one a block of its own.
    """

    __slots__ = ("_block", "_count")

    def __init__(self, rows: np.ndarray) -> None:
        self._block, self._count = _Block(np.array(rows, order="C")), len(rows)

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> np.ndarray:
        """The rows (N, ...), which nobody may write to."""
        found = self._block.rows[: self._count]
        found.flags.writeable = False
        return found

    def extended(self, rows: np.ndarray) -> "History":
        """These rows and further ones (M, ...) behind them."""
        made = History.__new__(History)
        made._count = self._count + len(rows)
        made._block = self._block
        if not self._block.claim(self._count, made._count):
            made._block = _Block(self.rows, room=made._count, used=made._count)
        made._block.rows[self._count : made._count] = rows
        return made

    def __reduce__(self) -> tuple[type, tuple[np.ndarray]]:
        return History, (np.array(self.rows),)


class _Block:
    """Rows with room behind them."""

    __slots__ = ("_lock", "rows", "used")

    def __init__(self, rows: np.ndarray, *, room: int = 0, used: int | None = None) -> None:
        size = max(len(rows), 2 * room, 16)
        self.rows = np.empty((size, *rows.shape[1:]), rows.dtype)
        self.rows[: len(rows)] = rows
        self.used = len(rows) if used is None else used
        self._lock = Lock()

    def claim(self, begin: int, end: int) -> bool:
        """Take the room from `begin` to `end`, if it is there and still free."""
        with self._lock:
            if self.used != begin or end > len(self.rows):
                return False
            self.used = end
            return True
