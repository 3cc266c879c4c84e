"""What generation gives back."""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from .protocol import Carried

StopReason = Literal["length", "stop", "eos"]


class Alternative(NamedTuple):
    """One of the most probable tokens of a step."""

    token: str
    id: int
    logprob: float


Top = tuple[Alternative, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Generation:
    """One generated text; `str` gives the text.

    text: what was written after the prompt, without the end-of-sequence token, and cut at the
        stop string.
    ids: all generated tokens, those of a stop string and the end-of-sequence token too.
    logprobs: for each of ids its log probability in nats, in the model's own distribution (before
        penalty, temperature and filters).
    top: for each of ids the most probable tokens of that step, where they were asked for.
    score: (sum of log probabilities) / length ** length_penalty: what beam search maximises.
    state: pass it on as `state=` to continue after the last of ids.
    others: the further hypotheses of beam search, best first, where n_best > 1.
    """

    prompt: str
    text: str
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    top: tuple[Top, ...] | None
    stop_reason: StopReason
    score: float
    state: Carried = field(repr=False)
    others: tuple["Generation", ...] = ()

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """All but the state, for JSON; `top` and `others` only where there are any."""
        record: dict[str, Any] = {
            "prompt": self.prompt,
            "text": self.text,
            "ids": list(self.ids),
            "logprobs": list(self.logprobs),
            "stop_reason": self.stop_reason,
            "score": self.score,
        }
        if self.top is not None:
            record["top"] = [[choice._asdict() for choice in step] for step in self.top]
        if self.others:
            record["others"] = [other.to_dict() for other in self.others]
        return record


class Piece(NamedTuple):
    """One generated token of a stream, and the text that is certain since the piece before.

    The texts of all pieces together are the text of the generation; one may be empty. The last
    piece has the whole generation.
    """

    text: str
    id: int
    logprob: float
    top: Top | None
    generation: Generation | None = None

    def __str__(self) -> str:
        return self.text
