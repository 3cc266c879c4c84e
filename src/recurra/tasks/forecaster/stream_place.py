"""Where a stream of a series stands, as a value."""

from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from recurra.data.dates import Writer
from recurra.data.layouts import FORMS, NUMBER, Form
from recurra.data.timestamps import Step
from recurra.errors import FormatError
from recurra.given import brief, reason
from recurra.runtime.states import States, pack_states
from recurra.runtime.stream_state import Saved
from recurra.tasks.forecaster.panel import Time
from recurra.tasks.forecaster.runtime import RuntimeForecaster
from recurra.tasks.forecaster.scaling import Scaler


class Observed(NamedTuple):
    """Values with covariates: values (C,) or (T, C), NaN where missing; known (K,) or (T, K), the
    known covariates of these times; ahead (h, K), those of the steps to forecast."""

    values: Any
    known: Any = ()
    ahead: Any = None


@dataclass(frozen=True, eq=False)
class Measure:
    """What a series is called and measured by, as its first window was.

    start: time of its first value. step, writer: of its times. static: (1, S). track_shift,
    track_size: (C,), shift, size: (1, C): normalised values times `size` plus `shift` are scaled
    ones, and these times `track_size` plus `track_shift` those of the series.
    """

    name: str
    start: Time
    step: Step
    writer: Writer | None
    static: np.ndarray
    track_shift: np.ndarray
    track_size: np.ndarray
    shift: np.ndarray
    size: np.ndarray

    def times(self, first: int, count: int) -> np.ndarray:
        """Times of `count` values, from the `first` on."""
        return self.step.after(self.start, count, first=first)


@dataclass(frozen=True, eq=False)
class SeriesPlace:
    """Where a series stands.

    count: values so far. values: (1, C, A + L), normalised, up to the last whole segment. pending:
    of each value since, it (C,) and what is known of its time (K',). states: of each member; None
    before its first step. random: the state of the generator of its draws. levels: of quantiles.
    """

    measure: Measure
    count: int
    values: np.ndarray
    pending: tuple[tuple[np.ndarray, np.ndarray], ...]
    states: tuple[States | None, ...]
    random: dict[str, Any]
    levels: tuple[float, ...] | None


def generator_of(state: dict[str, Any]) -> np.random.Generator:
    """A generator in a state."""
    bits = np.random.PCG64(0)
    values: Any = deepcopy(state)
    bits.state = values
    return np.random.Generator(bits)


def pack_place(place: SeriesPlace, scaler: Scaler) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """A place as arrays and JSON values."""
    at, size = place.measure, len(scaler.columns)
    arrays = {name: getattr(at, name) for name in _NUMBERS}
    arrays["values"] = place.values
    waiting = len(place.pending)
    pending = np.array([values for values, _ in place.pending], np.float32)
    known = np.array([numbers for _, numbers in place.pending], np.float32)
    arrays["pending"] = pending.reshape(waiting, size)
    arrays["known"] = known.reshape(waiting, scaler.known_size)
    for k, states in enumerate(place.states):
        if states is not None:
            arrays |= pack_states(states, f"members.{k}")
    told: dict[str, Any] = {
        "name": at.name,
        "step": at.step.to_json(),
        "time": _time_to_json(at.start),
    }
    told |= {"writer": None if at.writer is None else _writer_to_json(at.writer)}
    levels = None if place.levels is None else list(place.levels)
    return arrays, {**told, "count": place.count, "random": place.random, "levels": levels}


def unpack_place(saved: Saved, model: RuntimeForecaster, scaler: Scaler) -> SeriesPlace:
    """The place that `pack_place` wrote; FormatError for anything else."""
    s, columns = model.shape, len(scaler.columns)
    sizes = {"static": (1, s.static), "track_shift": (columns,), "track_size": (columns,)}
    sizes |= {"shift": (1, columns), "size": (1, columns)}
    numbers = {name: saved.array(name, sizes[name], float) for name in _NUMBERS}
    if min(numbers["size"].min(), numbers["track_size"].min()) <= 0:
        raise saved.wrong("size", "numbers above 0")
    try:
        start, step = _time_from_json(saved.value("time")), Step.from_json(saved.value("step"))
        writer = _writer_from_json(saved.value("writer"))
        measure = Measure(saved.text("name"), start, step, writer, **numbers)
        count = saved.whole("count", 1, 1 << 31)
        times = measure.times(count, 1)
        _ = None if writer is None else writer.write(times)
        random, levels = saved.value("random"), saved.value("levels")
        generator_of(random)
        if levels is not None:
            levels = tuple(map(float, levels))
            if not all(0 < level < 1 for level in levels):
                raise ValueError("levels: expected numbers between 0 and 1")
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise FormatError(f"state: {reason(error)}: take it anew") from error
    pending = saved.array("pending", (None, columns), np.float32)
    known = saved.array("known", (len(pending), scaler.known_size), np.float32)
    if len(pending) >= s.segment:
        raise saved.wrong("pending", f"fewer than {s.segment} values")
    values = saved.array("values", (1, columns, s.context), np.float32)
    rows, states = 1 if s.joint else columns, list[States | None]()
    for k, m in enumerate(model.members):
        there = saved.has(f"members.{k}.0.0")
        states.append(m.stack.unpack(saved, f"members.{k}", rows) if there else None)
    if None in states and (s.direct or s.lookback != s.segment):
        raise saved.wrong("members", "the states of the layers")
    both = tuple(zip(pending, known, strict=True))
    return SeriesPlace(measure, count, values, both, tuple(states), random, levels)


#: The numbers of a `Measure`.
_NUMBERS = ("static", "track_shift", "track_size", "shift", "size")


def _time_to_json(time: Time) -> list[Any]:
    if isinstance(time, np.datetime64):
        return [int(time.astype(np.int64)), np.datetime_data(time.dtype)[0]]
    return [int(time), ""]


def _time_from_json(value: Any) -> Time:
    count, unit = value
    if type(count) is not int or unit not in ("", "D", "s", "ms", "us", "ns"):
        raise ValueError(f"time: expected a number and its unit, received {brief(value)}")
    return np.datetime64(count, unit) if unit else count


def _writer_to_json(writer: Writer) -> dict[str, Any]:
    return {**asdict(writer), "form": asdict(writer.form)}


def _writer_from_json(value: Any) -> Writer | None:
    if value is None:
        return None
    made = Writer(**{**value, "form": Form(**value["form"])})
    if made.form.template not in {form.template for form in (*FORMS, NUMBER)}:
        raise ValueError(f"writer: expected a layout that is known, received {brief(value)}")
    return made
