"""What a user may choose about a training run: one frozen table, also read for the command line."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from recurra.errors import InputError
from recurra.settings import Settings, option

EPOCHS = 10.0  # how long a run is when nothing is said


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Settings):
    """How a model is trained.

    The length is one of `minutes`, `epochs`, `steps`, `plan` (without any: 10 epochs). Every field
    carries `metadata` with `help`, `choices` and its range, from which command-line options can be
    made.
    """

    minutes: float | None = option(
        None,
        "train for this long, everything included; steps and learning rate are fitted to it",
        above=0,
    )
    epochs: float | None = option(None, "train for this many passes over the data", above=0)
    steps: int | None = option(None, "train for this many steps", least=1, whole=True)
    plan: str | None = option(
        None,
        "repeat a run that had a budget in minutes: its plan as carried out, STEP:TOTAL,… of its "
        "config.json",
        text=True,
    )
    optimizer: str = option("adamw", "optimizer", choices=("sgd", "adam", "adamw"))
    lr: float | None = option(
        None, "highest learning rate; by default 0.006 for adam and adamw, 1 for sgd", above=0
    )
    momentum: float = option(0.0, "momentum of sgd", least=0, below=1)
    betas: tuple[float, float] = option(
        (0.9, 0.999), "decay of the two moments of adam and adamw", least=0, below=1
    )
    weight_decay: float | None = option(
        None,
        "weight decay of matrices, never of biases; by default 0.1 for adamw, else 0",
        least=0,
    )
    clip: float | None = option(
        1.0, "largest norm of the gradient; 0 for no limit", least=0, nullable=True
    )
    schedule: str = option(
        "cosine",
        "learning rate over time; rising: from the lowest to the highest, to find one",
        choices=("constant", "cosine", "linear", "plateau", "rising"),
    )
    warmup: float = option(
        0.02, "steps of linear warm-up, or a share of the run where below 1", least=0
    )
    min_lr: float = option(
        0.01, "lowest learning rate of a schedule, as a share of the highest", least=0, most=1
    )
    plateau_factor: float = option(
        0.5, "the plateau schedule multiplies the learning rate by this", above=0, below=1
    )
    plateau_patience: int = option(
        1, "validations without improvement before plateau does so", least=0, whole=True
    )
    unfreeze: float = option(
        0.0,
        "layers begin to learn one after the other, the last first, this many steps apart, or this "
        "share of the run where below 1 (ULMFiT); 0: all from the beginning",
        least=0,
    )
    lr_decay: float = option(
        1.0, "learning rate of a layer, as a share of that of the one above", above=0, most=1
    )
    patience: int | None = option(
        None, "stop after this many validations without improvement", least=1, whole=True
    )
    eval_every: int | str = option(
        "auto", "steps between validations", words=("auto", "epoch"), least=1, whole=True
    )
    checkpoint_every: float = option(60.0, "seconds between checkpoints", least=0, free=True)
    seed: int = option(0, "seed of everything random", least=0, most=2**32 - 1, whole=True)
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    threads: int | None = option(
        None,
        "threads to compute on, by default as many as there are cores; results do not depend on it",
        least=1,
        whole=True,
        free=True,
    )
    deterministic: bool = option(False, "refuse operations whose result may vary between runs")
    max_bad_steps: int = option(
        5, "stop after this many steps in a row that are not finite", least=1, whole=True, free=True
    )

    @property
    def highest_lr(self) -> float:
        """The learning rate after warm-up. Measured on character models of 1 MB of text: AdamW
        does best at 0.006 with a weight decay of 0.1."""
        return self.lr or (1.0 if self.optimizer == "sgd" else 0.006)

    @property
    def decay(self) -> float:
        """The weight decay of matrices."""
        if self.weight_decay is not None:
            return self.weight_decay
        return 0.1 if self.optimizer == "adamw" else 0.0

    def lasting(self, plan: str = "") -> dict[str, Any]:
        """The fields that decide what a model becomes, as JSON: what its directory records.

        `plan` is what a budget in minutes came to so far, and stands in its place.
        """
        free = {field.name for field in fields(self) if field.metadata["free"]}
        values = {name: value for name, value in self.to_json().items() if name not in free}
        return {**values, "minutes": None, "steps": None, "plan": plan} if plan else values

    def mistakes(self) -> list[str]:
        """What is wrong with the values, one by one and together."""
        found = super().mistakes()
        lengths = [name for name in ("minutes", "epochs", "steps", "plan") if getattr(self, name)]
        if lengths == ["steps", "plan"] and not found:
            found += self._wrong_plan()
        elif len(lengths) > 1:
            found.append(f"only one of minutes, epochs, steps, plan can be set, received {lengths}")
        elif lengths == ["plan"] and not found:
            found += self._wrong_plan()
        return found

    def _wrong_plan(self) -> list[str]:
        assert self.plan is not None
        try:
            steps = parse_plan(self.plan)[-1][1]
        except InputError as error:
            return [str(error)]
        if self.steps not in (None, steps):
            return [f"steps is {self.steps}, but plan ends after {steps}: leave steps out"]
        return []


def parse_plan(text: str) -> tuple[tuple[int, int], ...]:
    """Pairs (step, total) of `STEP:TOTAL,…`: from a step on, the run was to have so many in all.

    Raises:
        InputError: another form, steps that do not rise from 0, or a total below its step.
    """
    try:
        pairs = [tuple(map(int, part.split(":"))) for part in text.split(",")]
        revisions = tuple((step, total) for step, total in pairs)
    except ValueError:
        revisions = ()
    steps = [step for step, _ in revisions]
    if (
        not revisions
        or steps != sorted(set(steps))
        or steps[0] != 0
        or any(total < max(step, 1) for step, total in revisions)
    ):
        shown = text if len(text) <= 40 else f"{text[:37]}..."
        raise InputError(
            f"plan: expected STEP:TOTAL,... with steps that rise from 0, as 0:1000,1:850, "
            f"received {shown!r}"
        )
    return revisions


def write_plan(revisions: Iterable[tuple[int, int]]) -> str:
    """What `parse_plan` reads."""
    return ",".join(f"{step}:{total}" for step, total in revisions)


def plan_note(training: Mapping[str, Any]) -> str:
    """What a model card adds to the seed: where the plan is that a budget in minutes came to."""
    planned = training["train"].get("plan")
    return ", by the plan of steps in `config.json`" if planned else ""
