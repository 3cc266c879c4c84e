"""How long a run is: in steps from the start, also where the user gave minutes."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from recurra.errors import InputError
from recurra.train.config import EPOCHS, TrainConfig

if TYPE_CHECKING:
    from recurra.train.task import Task

VALIDATIONS = 20  # of a run, where eval_every is auto
VALIDATION_SHARE = 0.05  # of the time of a run, where eval_every is auto
LINES = 400  # of metrics, besides validations

_AIM = 0.985  # of the budget; steps vary, and a late end is worse than an early one
_TRIAL_SECONDS, _TRIAL_SHARE = 3.0, 0.03
_WARM_UP = 3


@dataclass(frozen=True)
class Plan:
    """What is decided once and recorded, so that a resumed run does the same.

    `epoch` is the number of batches in one; `eval_every` 0 is at the end of each; `world` is the
    number of processes.
    """

    steps: int
    epoch: int
    eval_every: int
    log_every: int
    world: int
    device: str
    goal: str = "loss"  # see `recurra.train.Judged`, as the next two
    goal_higher: bool = False
    unit: str = "tokens"

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Rates:
    """Seconds that each part of a run takes on this machine."""

    step: float
    validation: float
    checkpoint: float
    end: float


def make_plan(
    config: TrainConfig, *, epoch: int, cost: float | None, world: int, device: str, steps: int = 0
) -> Plan:
    """The plan of a run whose epochs have `epoch` batches.

    `cost` is `Rated.validation_cost`. `steps` is what `minutes` came to (see `fit_steps`).
    """
    if not steps:
        epochs = config.epochs or EPOCHS
        steps = config.steps or max(1, round(epochs * epoch))
    every = {"auto": auto_eval_every(steps, cost), "epoch": 0}.get(
        str(config.eval_every), config.eval_every
    )
    return Plan(steps, epoch, int(every), max(1, steps // LINES), world, device)


def judge(task: "Task", plan: Plan) -> Plan:
    """The plan with what the task says of its figures (see `recurra.train.Judged`)."""
    said = {n: getattr(task, n) for n in ("goal", "goal_higher", "unit") if hasattr(task, n)}
    return replace(plan, **said)


def auto_eval_every(steps: int, cost: float | None) -> int:
    """Steps between validations: 20 of them, fewer where each costs much. No clock decides it."""
    spared = math.ceil((cost or 0.0) / VALIDATION_SHARE)
    return min(steps, max(math.ceil(steps / VALIDATIONS), spared))


def fit_steps(
    config: TrainConfig, rates: Rates, seconds: float, *, epoch: int, cost: float | None
) -> int:
    """The largest number of steps whose run, with all that belongs to it, takes `seconds`."""

    def duration(steps: int) -> float:
        if config.eval_every == "auto":
            validations = math.ceil(steps / auto_eval_every(steps, cost))
        elif config.eval_every == "epoch":
            validations = 1 + steps // epoch
        else:
            validations = math.ceil(steps / int(config.eval_every))
        work = steps * rates.step + validations * rates.validation
        saves = work / max(config.checkpoint_every, rates.checkpoint, 1e-3)
        return work + saves * rates.checkpoint + rates.end

    low, high = 1, max(2, int(seconds / rates.step) + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if duration(middle) <= seconds else (low, middle)
    return low


def seconds_left(config: TrainConfig, started: float) -> float:
    """What is left of the budget in minutes that began at `started` (of `time.monotonic`)."""
    assert config.minutes is not None
    return config.minutes * 60 * _AIM - (time.monotonic() - started)


def time_steps(
    step: Callable[[Any], None],
    batches: Sequence[Any],
    *,
    budget: float,
    go_on: Callable[[bool], bool],
    wait: Callable[[], None],
) -> float:
    """Seconds a step takes, from steps on batches spread over the epoch.

    `go_on` turns this process's wish to continue into that of all; `wait` waits for the device.
    """
    limit = min(_TRIAL_SECONDS, _TRIAL_SHARE * budget)
    stride = max(1, round(len(batches) * 0.382)) | 1
    for number in range(_WARM_UP):
        step(batches[number * stride % len(batches)])
    wait()
    start, done = time.perf_counter(), 0
    while go_on(done < _WARM_UP or time.perf_counter() - start < limit):
        step(batches[(_WARM_UP + done) * stride % len(batches)])
        done += 1
    wait()
    return (time.perf_counter() - start) / done


def count_batches(batches: Sequence[Any]) -> int:
    """The number of batches of an epoch; InputError if there is none."""
    if len(batches) == 0:
        raise InputError(
            "training data: not one batch can be made of it: give more text, or smaller batches "
            "and segments"
        )
    return len(batches)
