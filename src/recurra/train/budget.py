"""How long a run is, in steps; also where the user gave minutes, which are planned on the way."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from recurra.errors import FormatError, InputError
from recurra.given import shown
from recurra.train.config import EPOCHS, TrainConfig, parse_plan, write_plan
from recurra.train.recorded import record

if TYPE_CHECKING:
    from recurra.train.task import Task

VALIDATIONS = 20  # of a run, where eval_every is auto
VALIDATION_SHARE = 0.05  # of the time of a run, where eval_every is auto
LINES = 400  # of metrics, besides validations
FIRST = 1000  # steps that a budget in minutes begins with, until one of them has been timed


@dataclass(frozen=True)
class Plan:
    """What is decided and recorded, so that a resumed run does the same.

    `epoch` is the number of batches in one; `eval_every` 0 is at the end of each; `world` is the
    number of processes. A budget in `minutes` is planned anew while it runs: `revisions` are pairs
    (step, total), each in force from its step on, the first from step 0; `steps` is the last total.
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
    minutes: float | None = None
    cost: float | None = None  # see `recurra.train.Rated`
    revisions: tuple[tuple[int, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values; revisions in the form of the option `plan`."""
        return {**asdict(self), "revisions": self.text}

    @classmethod
    def from_json(cls, values: Any) -> "Plan":
        """What `to_json` wrote, also an older version's. FormatError for what it did not."""
        where = "the plan of a run"
        kept = {n: v for n, v in values.items() if n != "revisions"} if values else values
        plan, text = record(cls, kept, where), values.get("revisions")
        if text and not isinstance(text, str):
            raise FormatError(f"{where}: revisions: expected a text, found {shown(text)}")
        if min(plan.steps, plan.epoch, plan.log_every, plan.world) < 1:
            raise FormatError(f"{where}: expected counts from 1 on: start over with --fresh")
        return replace(plan, revisions=parse_plan(text) if text else ())

    @property
    def text(self) -> str:
        """The revisions in the form of the option `plan`; empty where the length was given."""
        return write_plan(self.revisions)

    def at(self, step: int, config: TrainConfig) -> "Plan":
        """The plan as it stands at a step: without what was revised later."""
        if not self.revisions or self.revisions[-1][0] <= step:
            return self
        return self._with(tuple(pair for pair in self.revisions if pair[0] <= step), config)

    def revised(self, step: int, total: int, config: TrainConfig) -> "Plan":
        """The plan with another total from `step` on."""
        return self._with((*self.revisions, (step, total)), config)

    def place(self, step: int) -> float:
        """Where in a run of `steps` steps the learning rate is at a step.

        Without revisions the step itself. Each revision spreads what is left of the run evenly over
        the steps that are left, so that the learning rate never jumps and its end is the run's.
        """
        if len(self.revisions) < 2:
            return step
        done = 0.0
        ends = [first for first, _ in self.revisions[1:]] + [step]
        for (first, total), end in zip(self.revisions, ends, strict=True):
            done += (1 - done) * (min(end, step) - first) / max(1, total - first)
            if end >= step:
                break
        return min(done, 1.0) * self.steps

    def _with(self, revisions: tuple[tuple[int, int], ...], config: TrainConfig) -> "Plan":
        steps = revisions[-1][1]
        return replace(
            self,
            revisions=revisions,
            steps=steps,
            eval_every=_eval_every(config, steps, self.cost),
            log_every=max(1, steps // LINES),
        )


@dataclass(frozen=True)
class Rates:
    """Seconds that each part of a run takes on this machine; `end` is what follows the last step's
    validation."""

    step: float
    validation: float
    checkpoint: float
    end: float


def make_plan(
    config: TrainConfig, *, epoch: int, cost: float | None, world: int, device: str
) -> Plan:
    """The plan of a run whose epochs have `epoch` batches; `cost` is `Rated.validation_cost`."""
    revisions: tuple[tuple[int, int], ...] = ()
    if config.plan:
        revisions = parse_plan(config.plan)
    elif config.minutes:
        revisions = ((0, FIRST),)
    epochs = config.epochs or EPOCHS
    steps = config.steps or max(1, round(epochs * epoch))
    plan = Plan(steps, epoch, 0, 1, world, device, minutes=config.minutes, cost=cost)
    if revisions:
        return plan._with(revisions, config)
    every = _eval_every(config, steps, cost)
    return replace(plan, eval_every=every, log_every=max(1, steps // LINES))


def judge(task: "Task", plan: Plan) -> Plan:
    """The plan with what the task says of its figures (see `recurra.train.Judged`)."""
    said = {n: getattr(task, n) for n in ("goal", "goal_higher", "unit") if hasattr(task, n)}
    return replace(plan, **said)


def _eval_every(config: TrainConfig, steps: int, cost: float | None) -> int:
    if config.eval_every == "auto":
        return auto_eval_every(steps, cost)
    return 0 if config.eval_every == "epoch" else int(config.eval_every)


def auto_eval_every(steps: int, cost: float | None) -> int:
    """Steps between validations: 20 of them, fewer where each costs much. No clock decides it."""
    spared = math.ceil((cost or 0.0) / VALIDATION_SHARE)
    return min(steps, max(math.ceil(steps / VALIDATIONS), spared))


def duration(config: TrainConfig, plan: Plan, rates: Rates, *, step: int, total: int) -> float:
    """Seconds from `step` to the end of a run of `total` steps, with all that belongs to it."""
    every = _eval_every(config, total, plan.cost) or plan.epoch
    validations = total // every - step // every + (total % every > 0)
    work = (total - step) * rates.step + validations * rates.validation
    saves = work / max(config.checkpoint_every, rates.checkpoint, 1e-3)
    return work + saves * rates.checkpoint + rates.end


def fit_total(config: TrainConfig, plan: Plan, rates: Rates, seconds: float, *, step: int) -> int:
    """The largest total with which the rest of a run, from `step` on, takes `seconds`."""
    low, high = max(1, step), step + max(2, int(seconds / max(rates.step, 1e-9)) + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if duration(config, plan, rates, step=step, total=middle) <= seconds:
            low = middle
        else:
            high = middle
    return low


def count_batches(batches: Sequence[Any]) -> int:
    """The number of batches of an epoch; InputError if there is none."""
    if len(batches) == 0:
        raise InputError(
            "training data: not one batch can be made of it: give more text, or smaller batches "
            "and segments"
        )
    return len(batches)
