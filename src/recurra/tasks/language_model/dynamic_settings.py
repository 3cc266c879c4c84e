"""What a user may choose about dynamic evaluation."""

from dataclasses import dataclass

from recurra.settings import Settings, option


@dataclass(frozen=True, kw_only=True)
class DynamicConfig(Settings):
    """How a model learns from a text while it is measured on it (Krause et al. 2018)."""

    rule: str = option(
        "sgd",
        "sgd: by the gradient; rms: by the gradient over its usual size in the training text, "
        "which has to be given",
        choices=("sgd", "rms"),
    )
    lr: float | None = option(
        None, "size of a step; by default 0.3 for sgd, 0.001 for rms", least=0
    )
    decay: float = option(
        0.005, "share of the way back to the trained weights, after each segment", least=0, most=1
    )
    segment: int = option(
        20, "tokens predicted before the weights learn from them", least=1, whole=True
    )
    epsilon: float = option(0.001, "rms: added to the usual size of a gradient", above=0)

    @property
    def step(self) -> float:
        """The size of a step."""
        if self.lr is not None:
            return self.lr
        return 0.3 if self.rule == "sgd" else 0.001
