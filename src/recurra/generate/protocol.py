"""What generation asks of a model and of a tokenizer, and the state it hands back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from recurra.native import Choosing

State = Any
"""A model's own state of `B` streams. Opaque here, and a value: no method changes one in place."""


class StepModel(Protocol):
    """A language model that is read one token at a time.

    A state holds `B` independent streams; a row's logits and state depend on that row alone.
    """

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens the model tells apart."""
        ...

    def start(self, batch: int) -> State:
        """The state of `batch` streams before their first token."""
        ...

    def step(self, ids: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Read one token a stream, ids (B,): logits (B, V) float32 of the next one, new state."""
        ...

    def read(
        self, ids: np.ndarray, lengths: np.ndarray | None, state: State
    ) -> tuple[np.ndarray, State]:
        """Read ids (B, T), of which the first lengths (B,) ≥ 1 of a row count (None: all T).

        Returns the logits (B, V) float32 and the state after each row's last token that counts.
        """
        ...

    def select(self, state: State, rows: np.ndarray) -> State:
        """The streams rows (N,) of `state`, in that order: forks, reorders or drops streams."""
        ...


@runtime_checkable
class Joins(Protocol):
    """A model that can put streams of several states into one, which `StepModel` need not."""

    def join(self, states: Sequence[State]) -> State:
        """The streams of several states, one after the other."""
        ...


@runtime_checkable
class Writes(Protocol):
    """A model that can write many tokens of one stream at a time, which `StepModel` need not."""

    @property
    def can_write(self) -> bool:
        """Whether this one can."""
        ...

    def write(
        self, token: int, state: State, choosing: Choosing, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Callable[[int], State]]:
        """Read a token, choose the next by the next of uniforms (N,), read that, and so on.

        Returns the tokens (n,), their log probabilities (n,), and what gives the state in which the
        token of that number was chosen; n is below N where a step left nothing to choose.
        """
        ...


class Decoder(Protocol):
    """Turns tokens into text as they come; holds back what is not yet a whole character."""

    def push(self, id: int, /) -> str:
        """The text that token `id` completes."""
        ...

    def finish(self) -> str:
        """The text of what is still held back."""
        ...


class Tokenizer(Protocol):
    """The part of a tokenizer that generation uses."""

    @property
    def unk_id(self) -> int | None:
        """The id of the unknown token; it is never generated."""
        ...

    @property
    def eos_id(self) -> int | None:
        """The id of the end-of-sequence token."""
        ...

    def __len__(self) -> int: ...

    def encode(self, text: str, /) -> np.ndarray:
        """The ids (T,) of `text`."""
        ...

    def token(self, id: int, /) -> str:
        """The token as text, for people to read."""
        ...

    def unknown(self, text: str, /) -> Sequence[str]:
        """The symbols of `text` that are not in the vocabulary."""
        ...

    def decoder(self, *, after: Sequence[int] = ()) -> Decoder:
        """A new decoder, which goes on after the tokens `after`."""
        ...


@dataclass(frozen=True, eq=False)
class Carried:
    """Where a text stopped: what a further call needs to go on as if there had been no break.

    `ids` (T,) are all tokens so far, prompts and generated; `state` (one stream) has read all of
    them but the last, which nothing has read yet. `drawn` random numbers were used up. `written`
    are the parts of ids, each from and to, that were generated and not given.
    """

    state: State
    ids: np.ndarray
    drawn: int = 0
    written: tuple[tuple[int, int], ...] = ()
