"""States that are kept for their owners: immutable, bounded, and gone when nobody uses them."""

import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from recurra.generate import Carried
from recurra.generate.streams import Trail
from recurra.serve.errors import ApiError, not_found
from recurra.serve.settings import Limits

#: How many ids of states that left are remembered, to answer 410 and not 404.
_REMEMBERED = 4096
_ID = re.compile("st_[0-9a-f]{32}")


@dataclass(frozen=True, eq=False)
class Kept:
    """A state: where a text stopped, and the way there.

    model: its name; digest: what its weights and tokenizer hash to. Only that model may go on.
    """

    id: str
    model: str
    digest: str
    carried: Carried
    trail: Trail | None
    created: float = field(default_factory=time.time)

    @property
    def tokens(self) -> int:
        """How many tokens the text has."""
        return len(self.carried.ids)

    @cached_property
    def sha256(self) -> str:
        """What model, ids and numbers of the state hash to: equal for equal texts of a model."""
        digest = hashlib.sha256(self.digest.encode() + self.carried.ids.astype("<i8").tobytes())
        for array in _arrays(self.carried.state):
            digest.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
        return digest.hexdigest()


def size_of(state: Any) -> int:
    """Bytes of the arrays of a state."""
    return sum(array.nbytes for array in _arrays(state))


def _arrays(state: Any) -> Iterator[np.ndarray]:
    """The arrays of a state, in its order."""
    if isinstance(state, np.ndarray):
        yield state
    elif isinstance(state, tuple | list):
        for part in state:
            yield from _arrays(part)


class _Shelf:
    """The states of one owner, the least recently used first."""

    def __init__(self) -> None:
        self.states: OrderedDict[str, tuple[Kept, float]] = OrderedDict()
        self.bytes = 0
        self._users: dict[int, int] = {}  # of a part of a way, which several states share

    def add(self, kept: Kept, now: float) -> None:
        self.states[kept.id] = (kept, now)
        self.bytes += self._own(kept)
        trail = kept.trail
        while trail is not None:
            users = self._users.get(id(trail), 0)
            self._users[id(trail)] = users + 1
            if users:
                return
            self.bytes += size_of(trail.state)
            trail = trail.before

    def remove(self, id_: str) -> None:
        kept, _ = self.states.pop(id_)
        self.bytes -= self._own(kept)
        trail = kept.trail
        while trail is not None:
            self._users[id(trail)] -= 1
            if self._users[id(trail)]:
                return
            del self._users[id(trail)]
            self.bytes -= size_of(trail.state)
            trail = trail.before

    @staticmethod
    def _own(kept: Kept) -> int:
        return size_of(kept.carried.state) + kept.carried.ids.nbytes


class Sessions:
    """The states of all owners. Used in the event loop alone.

    Args:
        limits: how many bytes and states an owner may keep, and for how long.
        clock: seconds, for tests.
        process: 0 to 255, of several behind one port: the first two digits of every id tell it.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
        process: int | None = None,
    ) -> None:
        self._limits, self._clock = limits, clock
        self._mark = None if process is None else f"{process:02x}"
        self._shelves: dict[str, _Shelf] = {}
        self._left: OrderedDict[tuple[str, str], None] = OrderedDict()

    @property
    def count(self) -> int:
        """How many states are kept."""
        return sum(len(shelf.states) for shelf in self._shelves.values())

    @property
    def bytes(self) -> int:
        """Bytes of all states."""
        return sum(shelf.bytes for shelf in self._shelves.values())

    def keep(
        self, owner: str, model: str, digest: str, carried: Carried, trail: Trail | None
    ) -> Kept:
        """Keep a state under a new id; those that were unused for longest make room.

        Raises:
            ApiError: 413, where it is larger than all that an owner may keep.
        """
        self.expire()
        random = secrets.token_hex(16)
        name = random if self._mark is None else self._mark + random[2:]
        kept = Kept(f"st_{name}", model, digest, carried, trail)
        shelf = self._shelves.setdefault(owner, _Shelf())
        shelf.add(kept, self._clock())
        while (
            len(shelf.states) > self._limits.state_count or shelf.bytes > self._limits.state_bytes
        ):
            oldest = next(iter(shelf.states))
            self._forget(owner, oldest)
            if oldest == kept.id:
                raise ApiError(
                    413,
                    f"the state takes more than the {self._limits.state_bytes:,} bytes, or the "
                    f"{self._limits.state_count:,} states, that a key may keep",
                    code="state_too_large",
                )
        return kept

    def get(self, owner: str, id: str, digest: str | None = None) -> Kept:
        """A state of an owner, and of a model where a digest is given; it counts as used now.

        Raises:
            ApiError: 404 there is none, 410 it has left, 400 it is of another model, 421 it is of
                another process.
        """
        self.expire()
        shelf = self._shelves.get(owner)
        if shelf is None or id not in shelf.states:
            if (owner, id) in self._left:
                raise ApiError(
                    410,
                    f"state {id!r} is no longer kept: send the text again",
                    code="state_expired",
                    param="state",
                )
            if self._mark is not None and _ID.fullmatch(id) and id[3:5] != self._mark:
                raise ApiError(
                    421,
                    f"state {id!r} is of process {int(id[3:5], 16)}, and this is "
                    f"{int(self._mark, 16)}: send the request there",
                    code="state_elsewhere",
                    param="state",
                    headers={"recurra-process": id[3:5]},
                )
            raise not_found(f"there is no state {id[:80]!r}", "state_not_found", "state")
        kept, _ = shelf.states[id]
        if digest is not None and kept.digest != digest:
            raise ApiError(
                400,
                f"state {id!r} is of the model {kept.model!r}, and another was asked for",
                code="state_of_another_model",
                param="state",
            )
        shelf.states[id] = (kept, self._clock())
        shelf.states.move_to_end(id)
        return kept

    def list(self, owner: str) -> "list[Kept]":
        """The states of an owner, the most recently used first."""
        self.expire()
        shelf = self._shelves.get(owner)
        return [] if shelf is None else [kept for kept, _ in reversed(shelf.states.values())]

    def delete(self, owner: str, id: str) -> None:
        """Forget a state; ApiError where there is none."""
        self.get(owner, id)
        self._forget(owner, id)

    def expire(self) -> None:
        """Forget what was not used for too long."""
        before = self._clock() - 60 * self._limits.state_minutes
        for owner, shelf in list(self._shelves.items()):
            while shelf.states:
                id, (_, used) = next(iter(shelf.states.items()))
                if used > before:
                    break
                self._forget(owner, id)
            if not shelf.states:
                self._shelves.pop(owner, None)

    def _forget(self, owner: str, id: str) -> None:
        self._shelves[owner].remove(id)
        self._left[(owner, id)] = None
        while len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
