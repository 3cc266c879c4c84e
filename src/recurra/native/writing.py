"""Text written token by token in one loop: layers, output layer, choice."""

from collections.abc import Sequence

import numpy as np

from recurra.native import library
from recurra.native.packed import Packed, Remade
from recurra.native.product import Product

#: By layer its states, each (1, R) or (1, H).
State = Sequence[Sequence[np.ndarray]]


class Choosing(Remade):
    """How a token is chosen from logits: as `recurra.generate` does, in float64.

    Threads may share it.

    Args:
        symbols: V.
        temperature: logits are divided by it; 0 takes the most probable token.
        top_k: only the k most probable, ties to the lowest ids; None: all.
        banned: tokens that are never chosen.
    """

    def __init__(
        self, symbols: int, *, temperature: float, top_k: int | None, banned: Sequence[int]
    ) -> None:
        names = {"temperature": temperature, "top_k": top_k, "banned": list(banned)}
        self._given = (symbols,), names
        self.handle = library.compiled().Choosing(
            symbols, temperature == 0, temperature, top_k or symbols, list(banned)
        )
        #: `choose(logits, uniform)`: logits (V,) float32 and a number in [0, 1) to the token, -1
        #: where nothing can be chosen, and its log probability by the logits as given.
        self.choose = self.handle.choose


class Writing(Remade):
    """A model that writes one text: layers, packed, and the output layer; float32.

    Threads may share it: they write at the same time, each with memory of its own.

    Args:
        layers: the first packed with a table, all by the instruction set in use.
        keep: per state the share of its old value that stays, or empty.
        residual: a layer above the first adds its input to its output.
        head: the output layer, of weights (V, R), which the kernels compute.
        threads: how many threads to use where there is enough to do.
    """

    def __init__(
        self,
        layers: Sequence[Packed],
        *,
        keep: Sequence[float],
        residual: bool,
        head: Product,
        threads: int,
    ) -> None:
        names = {"keep": list(keep), "residual": residual, "head": head, "threads": threads}
        self._given = (list(layers),), names
        handles = [layer.handle for layer in layers]
        self._handle = library.compiled().Writing(
            handles, list(keep), residual, head.handle, threads
        )

    def write(
        self, token: int, state: State, choosing: Choosing, uniforms: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, list[list[np.ndarray]]]:
        """Read a token, choose the next by the next of `uniforms` (N,), read that, and so on.

        Returns:
            The tokens (n,) and their log probabilities (n,), and by layer the states (n, ·) that
            each was chosen in. n is below N where a step left nothing to choose.
        """
        given = [list(layer) for layer in state]
        done, ids, found, history = self._handle.write(token, given, choosing.handle, uniforms)
        return ids[:done], found[:done], history
