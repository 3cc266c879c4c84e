"""What a user may choose about a training run: one frozen table, also read for the command line."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recurra.errors import InputError

EPOCHS = 10.0  # how long a run is when nothing is said


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    whole: bool = False,
    free: bool = False,
) -> Any:
    """A field with its one description.

    The range is closed at `least` and `most`, open at `above` and `below`. `free` marks what may
    change when a run is resumed, because the result does not depend on it.
    """
    limits = {"least": least, "above": above, "most": most, "below": below}
    metadata = {"help": help, "choices": choices, "whole": whole, "free": free, **limits}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained.

    The length is one of `minutes`, `epochs`, `steps` (without any: 10 epochs). Every field carries
    `metadata` with `help`, `choices` and its range, from which command-line options can be made.
    """

    minutes: float | None = option(
        None, "train for this long, everything included; the learning rate is fitted to it", above=0
    )
    epochs: float | None = option(None, "train for this many passes over the data", above=0)
    steps: int | None = option(None, "train for this many steps", least=1, whole=True)
    optimizer: str = option("adamw", "optimizer", choices=("sgd", "adam", "adamw"))
    lr: float = option(3e-3, "highest learning rate", above=0)
    momentum: float = option(0.0, "momentum of sgd", least=0, below=1)
    betas: tuple[float, float] = option(
        (0.9, 0.999), "decay of the two moments of adam and adamw", least=0, below=1
    )
    weight_decay: float | None = option(
        None,
        "weight decay of matrices, never of biases; by default 0.01 for adamw, else 0",
        least=0,
    )
    clip: float | None = option(1.0, "largest norm of the gradient; 0 for no limit", least=0)
    schedule: str = option(
        "cosine", "learning rate over time", choices=("constant", "cosine", "linear", "plateau")
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
    patience: int | None = option(
        None, "stop after this many validations without improvement", least=1, whole=True
    )
    eval_every: int | str = option(
        "auto", "steps between validations, or epoch, or auto", least=1, whole=True
    )
    checkpoint_every: float = option(60.0, "seconds between checkpoints", least=0, free=True)
    seed: int = option(0, "seed of everything random", least=0, most=2**32 - 1, whole=True)
    device: str = option("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    threads: int | None = option(
        None, "threads of torch; its own choice by default", least=1, whole=True, free=True
    )
    deterministic: bool = option(False, "refuse operations whose result may vary between runs")
    max_bad_steps: int = option(
        5, "stop after this many steps in a row that are not finite", least=1, whole=True, free=True
    )

    def validate(self) -> "TrainConfig":
        """Return this configuration; one InputError lists every mistake in it."""
        mistakes = [text for field in dataclasses.fields(self) for text in self._mistakes(field)]
        lengths = [name for name in ("minutes", "epochs", "steps") if getattr(self, name)]
        if len(lengths) > 1:
            mistakes.append(f"only one of minutes, epochs, steps can be set, got {lengths}")
        if mistakes:
            raise InputError(f"training configuration: {'; '.join(mistakes)}")
        return self

    def _mistakes(self, field: "dataclasses.Field[Any]") -> list[str]:
        value, rule = getattr(self, field.name), field.metadata
        if value is None and (field.default is None or field.name == "clip"):
            return []
        if field.name == "eval_every" and value in ("auto", "epoch"):
            return []
        if rule["choices"]:
            if value in rule["choices"]:
                return []
            return [f"{field.name} must be one of {', '.join(rule['choices'])}, got {value!r}"]
        if isinstance(field.default, bool):
            wrong = not isinstance(value, bool)
            return [f"{field.name} must be true or false, got {value!r}"] if wrong else []
        if isinstance(field.default, tuple):
            right = isinstance(value, tuple) and len(value) == len(field.default)
            values = value if right else (None,)
        else:
            values = (value,)
        if all(_is_number(number, rule) for number in values):
            return []
        return [f"{field.name} must be {_range(rule, len(values))}, got {value!r}"]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """The configuration `to_json` wrote; InputError names fields this version does not know."""
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise InputError(f"training configuration: unknown fields {', '.join(unknown)}")
        known: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**known).validate()


def _is_number(value: Any, rule: Mapping[str, Any]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if rule["whole"] else int | float):
        return False
    return (
        math.isfinite(value)
        and (rule["least"] is None or value >= rule["least"])
        and (rule["above"] is None or value > rule["above"])
        and (rule["most"] is None or value <= rule["most"])
        and (rule["below"] is None or value < rule["below"])
    )


def _range(rule: Mapping[str, Any], numbers: int) -> str:
    noun = "whole number" if rule["whole"] else "number"
    words = {"least": "at least", "above": "above", "most": "at most", "below": "below"}
    limits = [f"{text} {rule[key]:g}" for key, text in words.items() if rule[key] is not None]
    what = f"a {noun}" if numbers == 1 else f"{numbers} {noun}s"
    return f"{what} {' and '.join(limits)}".rstrip()
