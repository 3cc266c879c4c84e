"""What is left to the length of series: the look-back, and how long training lasts.

Measured on monthly series of some hundred values, from many origins: with fewer than about fifty
windows, and fewer than about a hundred steps, a forecaster is behind last year's values.
"""

from dataclasses import replace

from recurra.tasks.forecaster.panel import Panel
from recurra.tasks.forecaster.settings import ForecasterData, ForecasterSettings
from recurra.train.config import EPOCHS, TrainConfig

#: Windows that a look-back should leave, and steps that training without a length should have.
_WINDOWS, _STEPS = 50, 100
#: Two seasons tell a season from what is above it.
_SEASONS = 2


def suited(config: ForecasterSettings, panel: Panel, data: ForecasterData) -> ForecasterSettings:
    """Settings with a shorter look-back than by default, where that would leave few windows.

    The look-back then is at least a horizon and two seasons.
    """
    if config.lookback is not None or config.mode != "direct":
        return config
    usual, segment = config.context, config.segment
    if _count(config, panel, data, usual) >= _WINDOWS:
        return config
    season = config.season or panel.step.season
    least = max(config.horizon, _SEASONS * season if season > 1 else 1, segment)
    steps = usual
    while steps > least and _count(config, panel, data, steps) < _WINDOWS:
        steps -= segment
    steps = -(-max(steps, least) // segment) * segment
    return config if steps >= usual else replace(config, lookback=steps).validate()


def long_enough(
    train: TrainConfig, config: ForecasterSettings, panel: Panel, data: ForecasterData
) -> TrainConfig:
    """Settings of training with a number of steps, where none is given and the usual number of
    epochs over few windows would be a handful of steps."""
    if any((train.minutes, train.epochs, train.steps, train.plan)):
        return train
    windows = max(1, _count(config, panel, data, config.context) // data.stride)
    windows = min(windows, data.windows or windows)
    if EPOCHS * -(-windows // data.batch) >= _STEPS:
        return train
    return replace(train, steps=_STEPS)


def _count(config: ForecasterSettings, panel: Panel, data: ForecasterData, steps: int) -> int:
    """Windows to train on with a look-back of so many steps; a short series has one."""
    held = data.hold_out + (data.valid_steps or config.horizon)
    lengths = [len(one) - held - config.horizon for one in panel.series]
    return sum(max(1, length - steps + 1) for length in lengths if length > 1)
