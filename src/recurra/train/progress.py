"""Progress of a run: a live bar on a terminal, plain lines elsewhere. Imports no torch."""

import importlib.util
import math
import sys
import time
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TextIO

from recurra.train.events import FitResult, Start, StepDone, Validation

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_LINE_SECONDS = 10.0
_BAR_SECONDS = 0.2
_MEMORY = 0.95  # of the running mean of the loss, per step


def _shown(method: Callable[["Progress", Any], None]) -> Callable[["Progress", Any], None]:
    """The method of a display whose terminal may go away: the run goes on without it."""

    @wraps(method)
    def show(self: "Progress", event: Any) -> None:
        if not self._gone:
            try:
                method(self, event)
            except OSError:
                self._gone = True

    return show


class Progress:
    """A callback of `fit` that shows how it goes.

    On a terminal, where rich is installed, one bar; otherwise a line about every ten seconds and
    at each validation. `live` chooses; by default what fits `stream` (standard error).
    """

    def __init__(self, stream: TextIO | None = None, *, live: bool | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        if live is None:
            live = self.stream.isatty() and importlib.util.find_spec("rich") is not None
        self.live = live
        self._bar: Bar | None = None
        self._gone = False
        self._steps = 0
        self._minutes: float | None = None
        self._goal, self._unit = "loss", "tokens"
        self._first: StepDone | None = None
        self._window: StepDone | None = None  # begin of the rate that is shown
        self._rate = self._loss = math.nan
        self._valid = ""
        self._skipped = 0
        self._shown = time.monotonic()

    @_shown
    def on_start(self, event: Start) -> None:
        """Say what is going to be done."""
        plan = event.plan
        self._steps, self._goal, self._unit = plan.steps, plan.goal, plan.unit
        for note in event.notes:
            self._line(note)
        ranks = f" × {plan.world}" if plan.world > 1 else ""
        self._minutes = plan.minutes
        length = f"{plan.steps:,} steps ({plan.steps / plan.epoch:.3g} epochs)"
        if plan.minutes and event.step == 0:
            length = f"{plan.minutes:g} minutes"
        self._line(f"{event.run}: {length}, {event.parameters:,} parameters, {plan.device}{ranks}")
        if 0 < event.step < plan.steps:
            self._line(f"resumed after step {event.step:,}")
        if self.live and event.step < plan.steps:
            self._open(event.step)

    @_shown
    def on_step(self, event: StepDone) -> None:
        """Show the step, if the last showing is long enough ago."""
        if self._first is None or self._window is None:
            self._first = self._window = event
            self._shown = time.monotonic()  # a rate takes two steps
        self._steps = event.planned or self._steps
        self._skipped += event.skipped
        if math.isfinite(event.loss):
            memory = 0.0 if math.isnan(self._loss) else min(_MEMORY, 1 - 1 / (event.step + 1))
            self._loss = memory * (self._loss if memory else 0.0) + (1 - memory) * event.loss
        now = time.monotonic()
        if now - self._shown < (_BAR_SECONDS if self._bar else _LINE_SECONDS):
            return
        self._shown = now
        self._measure(event)
        if self._bar:
            self._update(event)
        else:
            self._line(self._text(event) + self._valid)

    @_shown
    def on_validation(self, event: Validation) -> None:
        """Show what was found."""
        figures = [f"valid {event.metrics['loss']:.4f}"]
        figures += [f"{k} {v:.4g}" for k, v in event.metrics.items() if k != "loss"]
        self._valid = f"  valid {event.metrics['loss']:.4f}"
        if not self._bar:
            mark = "  best" if event.best else ""
            place = f"step {event.step}/{self._steps}  epoch {event.epoch:.2f}"
            self._line(f"{place}  loss {self._loss:.4f}  {'  '.join(figures)}{mark}")
            self._shown = time.monotonic()

    @_shown
    def on_end(self, result: FitResult | None) -> None:
        """Close the bar; say how it ended."""
        if self._bar:
            if result is not None:
                self._bar.update(self._bar.task_ids[0], completed=result.steps)
            self._bar.refresh()
            self._bar.stop()
            self._bar = None
        if result is None:
            return
        text = f"{result.steps:,} steps, {result.epochs:.3g} epochs in {_duration(result.seconds)}"
        if result.stopped == "patience":
            text += ", stopped early"
        if result.skipped_steps:
            text += f", {result.skipped_steps} skipped"
        if result.best:
            name = "" if self._goal == "loss" else f"{self._goal.replace('_', ' ')} "
            text += f"; best valid {name}{result.best[self._goal]:.4f}"
            text += f" at step {result.best['step']:,}"
        self._line(text)

    def _measure(self, event: StepDone) -> None:
        window = self._window
        if window is not None and event.seconds > window.seconds:
            self._rate = (event.tokens - window.tokens) / (event.seconds - window.seconds)
            if event.seconds - window.seconds > 2 * _BAR_SECONDS:
                self._window = event

    def _left(self, event: StepDone) -> str:
        if self._minutes:
            return _duration(max(0.0, 60 * self._minutes - event.seconds))
        first = self._first
        if first is None or event.step == first.step:
            return "?"
        pace = (event.seconds - first.seconds) / (event.step - first.step)
        return _duration(pace * (self._steps - event.step))

    def _text(self, event: StepDone) -> str:
        skipped = f"  skipped {self._skipped}" if self._skipped else ""
        return (
            f"step {event.step}/{self._steps}  epoch {event.epoch:.2f}  loss {self._loss:.4f}  "
            f"{self._rate:,.0f} {self._unit}/s  {self._left(event)} left{skipped}"
        )

    def _open(self, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (
            BarColumn(bar_width=24),
            TextColumn("[progress.percentage]{task.percentage:>3.0f}%"),
            TextColumn("{task.description}"),
        )
        # No thread of its own: it would take the interpreter from the steps.
        self._bar = Bar(*columns, console=Console(file=self.stream), auto_refresh=False)
        self._bar.start()
        self._bar.add_task("", total=self._steps, completed=done)

    def _update(self, event: StepDone) -> None:
        assert self._bar is not None
        skipped = f"  [red]skipped {self._skipped}[/]" if self._skipped else ""
        text = (
            f"{event.step}/{self._steps}  [bold]loss {self._loss:.3f}[/][cyan]{self._valid}[/]  "
            f"{self._rate:,.0f} {self._unit}/s  {self._left(event)} left{skipped}"
        )
        task = self._bar.task_ids[0]
        self._bar.update(task, total=self._steps, completed=event.step, description=text)
        self._bar.refresh()

    def _line(self, text: str) -> None:
        if self._bar:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=self.stream, flush=True)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
