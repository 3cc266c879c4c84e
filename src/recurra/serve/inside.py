"""What a language model does inside while it reads: named values of a layer, and the effects of a
changed token or of a unit that is held. Functions of arrays; the routes bound what they are given.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recurra.errors import InputError
from recurra.generate.plan import Prompt
from recurra.inspect.network import of_stack
from recurra.reference import Interpreter
from recurra.tasks.language_model.runtime import RuntimeLM

#: Logits that are worked on at once, which bounds memory.
_LOGITS = 1 << 22


def read_to(model: RuntimeLM, prompt: Prompt, count: int) -> Any:
    """The state after the first `count` tokens of a prompt's `unread`, of one stream."""
    state = model.start(1) if prompt.carried is None else prompt.carried.state
    if count:
        _, state = model.read(np.asarray(prompt.unread[None, :count]), None, state)
    return state


def follow(model: RuntimeLM, ids: np.ndarray, state: Any) -> tuple[np.ndarray, np.ndarray]:
    """Read B texts, ids (T, B), on from states: the outputs (T, B, R) of the last layer after each
    token, and all states of all layers side by side, (T, B, S)."""
    outputs, states = [], []
    for row in ids:
        found, state = model.step_outputs(row, state)
        outputs.append(found)
        states.append(np.concatenate([part for layer in state for part in layer], axis=1))
    return np.stack(outputs), np.stack(states)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """ln P (T, V), float64, of logits (T, V)."""
    x = logits.astype(np.float64)
    x -= x.max(1, keepdims=True)
    found: np.ndarray = x - np.log(np.exp(x).sum(1, keepdims=True))
    return found


def compare(
    model: RuntimeLM, one: np.ndarray, other: np.ndarray, ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two texts' outputs (T, R), and the tokens (T - 1,) that followed in both, from their second
    on: KL(one ‖ other) (T,) of what they expect next, and -ln P of these tokens in each."""
    rows = max(1, _LOGITS // model.vocab_size)
    kl, first, second = np.empty(len(one)), np.empty(len(ids)), np.empty(len(ids))
    for begin in range(0, len(one), rows):
        p, q = (log_softmax(model.head(side[begin : begin + rows])) for side in (one, other))
        # Rounding may leave a sum of nothing a little below zero.
        kl[begin : begin + rows] = np.maximum(0.0, (np.exp(p) * (p - q)).sum(1))
        wanted = ids[begin : begin + rows]
        at = np.arange(len(wanted))
        first[begin : begin + rows] = -p[at, wanted]
        second[begin : begin + rows] = -q[at, wanted]
    return kl, first, second


class Layers:
    """The layers of a model, which read one text at a time.

    Raises:
        InputError: there is no such layer, name or unit.
    """

    def __init__(self, model: RuntimeLM) -> None:
        self._network = of_stack(model.stack)
        self.count = self._network.layers

    @property
    def names(self) -> tuple[str, ...]:
        """What a cell names: its gates and its states."""
        return tuple(name for name, _ in self._network.program.visible)

    def record(self, ids: np.ndarray, state: Any, *, layer: int, name: str) -> np.ndarray:
        """A named value of a layer while it reads ids (T,): (T, H), before zoneout."""
        self.check(layer, name)
        ran = self._network.run(None, np.asarray(ids, np.int64)[:, None], states=state)
        found: np.ndarray = ran.visible[layer][0][name][:, 0]
        return found

    def outputs(
        self, ids: np.ndarray, state: Any, *, hold: tuple[int, int, float] | None = None
    ) -> np.ndarray:
        """The outputs (T, R) of the last layer. `hold`: a layer, a unit and a value at which the
        unit's output stands in all steps, for the layer itself in its next step, too."""
        network = self._network
        if hold is not None:
            network = network.edited({hold[0]: _holding(hold[1], hold[2])})
        ran = network.run(None, np.asarray(ids, np.int64)[:, None], states=state, look=False)
        return ran.outputs[:, 0]

    def check(self, layer: int, name: str | None, *, unit: int | None = None) -> None:
        """InputError where there is no such layer, value or unit."""
        if not 0 <= layer < self.count:
            raise InputError(f"layer: expected 0 to {self.count - 1}, received {layer}")
        if name is not None and name not in self.names:
            raise InputError(
                f"name: expected one of {', '.join(self.names)}, received {name!r:.80}"
            )
        if unit is not None and not 0 <= unit < (size := len(self._network.starts[layer][0])):
            raise InputError(f"unit: expected 0 to {size - 1}, received {unit}")


def _holding(unit: int, value: float) -> type[Interpreter]:
    class Holding(Interpreter):
        """A layer whose unit is held."""

        def run(self, x: Any, states: Any, **how: Any) -> Any:
            def tap(new: Any) -> Any:
                h = np.array(new[0])
                h[:, unit] = value
                return [h, *new[1:]]

            return super().run(x, states, **how, tap=tap)

    return Holding


def replaced(model: RuntimeLM, ids: np.ndarray, state: Any, id: int) -> dict[str, Any]:
    """What changes when the first of ids (T,) is another one, all that follows being the same."""
    both = np.stack([ids, np.concatenate([[id], ids[1:]])], axis=1)
    outputs, states = follow(model, both, model.select(state, np.array([0, 0])))
    kl, nats, changed = compare(model, outputs[:, 0], outputs[:, 1], ids[1:])
    apart = np.linalg.norm(states[:, 0] - states[:, 1], axis=1)
    before = np.maximum(np.linalg.norm(states[:, 0], axis=1), 1e-30)
    return {
        "kl": kl.tolist(),
        "distance": (apart / before).tolist(),
        "nats": nats.tolist(),
        "nats_changed": changed.tolist(),
    }


def ablated(
    model: RuntimeLM, ids: np.ndarray, state: Any, *, layer: int, unit: int, value: float | None
) -> dict[str, Any]:
    """What changes while a unit's output is held at a value, by default its mean over ids (T,)."""
    layers = Layers(model)
    layers.check(layer, None, unit=unit)
    if value is None:
        named = model.architecture.program.states[0]
        value = float(layers.record(ids, state, layer=layer, name=named)[:, unit].mean())
    plain, held = layers.outputs(ids, state), layers.outputs(ids, state, hold=(layer, unit, value))
    kl, nats, changed = compare(model, plain, held, ids[1:])
    return {"kl": kl.tolist(), "nats": nats.tolist(), "nats_changed": changed.tolist(),
            "value": value}  # fmt: skip


def most_changed(nats: Sequence[float], changed: Sequence[float], count: int = 20) -> list[int]:
    """Places of the tokens whose surprise changed most, the largest change first."""
    apart = np.abs(np.asarray(changed) - np.asarray(nats))
    order = np.argsort(-apart, kind="stable")[:count]
    return [int(place) for place in order if apart[place] > 0]
