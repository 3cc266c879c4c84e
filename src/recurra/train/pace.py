"""A budget in minutes, kept on a machine whose speed changes: what the clock says of the plan."""

import math

from recurra.train.budget import Plan, Rates, duration, fit_total
from recurra.train.config import TrainConfig

AIM = 0.985  # of the budget; steps vary, and a late end is worse than an early one
LOOK = 0.01  # of the budget: how often the plan is looked at, and how far off it may be
SLACK = 0.05  # of the time left: how much farther off; there is time to see whether it lasts
MEMORY = 0.1  # of the budget: how far back the speed of a step is remembered


class Pace:
    """Times the parts of a run while they are done, and says when its plan no longer fits.

    Seconds come from the caller, so that no clock is read here. Looks are frequent at first, when
    one step has been timed, and a hundredth of the budget apart later.
    """

    def __init__(self, config: TrainConfig, *, save: float, report: float) -> None:
        """`save` is what a checkpoint took, `report` what the run's report will take, in seconds"""
        assert config.minutes is not None
        self.config, self.budget = config, config.minutes * 60
        self._save, self._report = save, report
        self._steps = self._seconds = 0.0  # with a fading memory
        self._calls = 0
        self._validation: float | None = None
        self._spent = 0.0  # seconds of steps in this process
        self._next = 0.0

    def stepped(self, count: int, seconds: float) -> None:
        """So many steps took so long."""
        self._spent += seconds
        self._calls += 1
        if self._calls <= 2:  # the first also pays for what is set up once
            self._steps = self._seconds = 0.0
        fade = math.exp(-seconds / (MEMORY * self.budget))
        self._steps = self._steps * fade + count
        self._seconds = self._seconds * fade + seconds

    def validated(self, seconds: float) -> None:
        """A validation took so long; one that was slow by chance counts half."""
        before = seconds if self._validation is None else self._validation
        self._validation = (before + seconds) / 2

    def saved(self, seconds: float) -> None:
        """A checkpoint took so long."""
        self._save = (self._save + seconds) / 2

    def wish(self, plan: Plan, *, step: int, spent: float) -> int:
        """The total with which the run ends in time; 0 where the plan may stay as it is.

        Args:
            plan: as it stands at `step`.
            step: steps done.
            spent: seconds of the budget that are gone.
        """
        few = self._calls < 2 and self._spent < 0.1 * self.budget
        if self._calls == 0 or few or self._spent < self._next:
            return 0
        self._next = self._spent + min(LOOK * self.budget, self._spent)
        rates = self._rates(plan)
        left = AIM * self.budget - spent
        now = duration(self.config, plan, rates, step=step, total=max(step, plan.steps))
        if abs(now - left) <= LOOK * self.budget + SLACK * max(0.0, left):
            return 0
        total = fit_total(self.config, plan, rates, left, step=step)
        return 0 if total == plan.steps else total

    def _rates(self, plan: Plan) -> Rates:
        step = self._seconds / self._steps
        validation = self._validation
        if validation is None:
            validation = (plan.cost or 0.0) * step + self._save
        return Rates(step, validation, self._save, self._save + self._report)
