"""Sampled paths of an autoregressive forecaster: each step drawn, then read."""

import numpy as np

from recurra.runtime.states import States, select
from recurra.tasks.forecaster.described import PointForecast
from recurra.tasks.forecaster.draws import Random
from recurra.tasks.forecaster.runtime import RuntimeForecaster, RuntimeMember


def sample_paths(
    model: RuntimeForecaster,
    distribution: PointForecast,
    values: np.ndarray,
    known: np.ndarray,
    static: np.ndarray,
    *,
    paths: int,
    rng: Random,
) -> np.ndarray:
    """Draw paths of the horizon; the members of an ensemble draw equally many, in turn.

    Args:
        model: with autoregressive members.
        distribution: what their numbers say.
        values: (B, C, A + L), normalised.
        known: (B, A + L + W, K).
        static: (B, S).
        paths: S, for each window.
        rng: where the draws come from.

    Returns:
        (S, B, C, W), normalised.
    """
    found = []
    for index, member in enumerate(model.members):
        mine = len(range(index, paths, len(model.members)))
        if mine:
            states = read_context(member, values, known, static)
            found.append(
                draw_on(member, distribution, values, known, static, states, paths=mine, rng=rng)
            )
    return np.concatenate(found)


def read_context(
    member: RuntimeMember, values: np.ndarray, known: np.ndarray, static: np.ndarray
) -> States | None:
    """The states after all of a context but its last segment, which the first step reads."""
    s = member.shape
    if s.lookback == s.segment:
        return None
    rows, known, static = member.rows(values), member.repeated(known), member.repeated(static)
    first = s.reach + s.segment
    lagged = [rows[:, first - lag : s.context - lag] for lag in s.lags]
    before = rows[:, s.reach : s.context - s.segment]
    return member.step(before, lagged, known[:, first : s.context], static, None)[1]


def draw_on(
    member: RuntimeMember,
    distribution: PointForecast,
    values: np.ndarray,
    known: np.ndarray,
    static: np.ndarray,
    states: States | None,
    *,
    paths: int,
    rng: Random,
) -> np.ndarray:
    """Paths of one member after a context, from its states; arguments as in `sample_paths`."""
    s = member.shape
    batch, channels, _ = values.shape
    path = np.concatenate([values, np.zeros((batch, channels, s.steps_ahead), np.float32)], axis=2)
    path = np.tile(path, (paths, 1, 1))
    known = member.repeated(np.tile(known, (paths, 1, 1)))
    static = member.repeated(np.tile(static, (paths, 1)))
    if states is not None:
        states = select(states, np.tile(np.arange(len(states[0][0])), paths))
    for start in range(s.context, s.context + s.steps_ahead, s.segment):
        rows, end = member.rows(path), start + s.segment
        lagged = [rows[:, start - lag : end - lag] for lag in s.lags]
        numbers, states = member.step(
            rows[:, start - s.segment : start], lagged, known[:, start:end], static, states
        )
        path[:, :, start:end] = distribution.draw(numbers, rng)
    return path[:, :, s.context :].reshape(paths, batch, channels, s.steps_ahead)
