"""A text, or a sequence of numbers, that a classifier reads as it comes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra import rowwise
from recurra.data.labels import Label
from recurra.errors import InputError
from recurra.given import plain, shown
from recurra.runtime.stream_state import Saved
from recurra.runtime.streams import Identity, Reader, Stream, check_direction
from recurra.tasks.classifier.data import Inputs
from recurra.tasks.classifier.examples import numbers_of
from recurra.tasks.classifier.inputs import Before, NumberInputs, TextInputs
from recurra.tasks.classifier.prediction import LabelPrediction
from recurra.tasks.classifier.runtime import (
    ClassifierPlace,
    RuntimeClassifier,
    RuntimeCommittee,
)
from recurra.text.lexicon import Lexicon


@dataclass(frozen=True, eq=False)
class SequencePlace:
    """Where a sequence stands.

    members: where each network does. steps: read so far. held: the last characters of a text, as
    long as what follows may change their token. last, since: of the last step of numbers, see
    `inputs.Before`.
    """

    members: tuple[ClassifierPlace, ...]
    steps: int = 0
    held: str = ""
    last: np.ndarray | None = None
    since: np.ndarray | None = None


#: A piece of a text; or a step (F,), or some (T, F).
Frame = str | np.ndarray | Sequence[Any] | float
ClassifierStream = Stream[SequencePlace, Frame, LabelPrediction, LabelPrediction]


class ClassifierReader(Reader[SequencePlace, Frame, LabelPrediction, LabelPrediction]):
    """Reads with a classifier in one direction: what it says of the sequence so far."""

    kind = "sequence_classifier"

    def __init__(
        self,
        runtime: RuntimeClassifier | RuntimeCommittee,
        inputs: Inputs,
        labels: Sequence[Label],
        identity: Identity,
    ) -> None:
        super().__init__(identity)
        self._members, self._inputs, self._labels = runtime.members, inputs, tuple(labels)
        check_direction(bidirectional=self._members[0].bidirectional)

    def begin(self) -> SequencePlace:
        """The place before any step."""
        return SequencePlace(tuple(member.begin() for member in self._members))

    def advance(
        self, places: Sequence[SequencePlace], frames: Sequence[Frame]
    ) -> list[tuple[SequencePlace, LabelPrediction]]:
        """See `Reader.advance`."""
        lexicon = self._inputs.lexicon() if isinstance(self._inputs, TextInputs) else None
        pairs = zip(places, frames, strict=True)
        taken = [self._taken(place, frame, lexicon) for place, frame in pairs]
        return self._read(taken, lexicon)

    def end(self, place: SequencePlace) -> tuple[SequencePlace, LabelPrediction]:
        """See `Reader.end`."""
        lexicon, rest = None, np.zeros((0, 0), np.float32)
        if isinstance(self._inputs, TextInputs):
            lexicon = self._inputs.lexicon()
            rest = lexicon.encode(place.held)
            place = replace(place, held="")
        elif not place.steps:
            raise InputError("finish: expected at least one step, received none: push some first")
        (found,) = self._read([(place, rest)], lexicon)
        return found

    def pack(self, place: SequencePlace) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See `Reader.pack`."""
        arrays: dict[str, np.ndarray] = {}
        for k, (member, one) in enumerate(zip(self._members, place.members, strict=True)):
            arrays |= member.pack(one, f"members.{k}")
        if place.last is not None:
            # Missing numbers as zeros beside, for arrays of a state are finite.
            arrays["last"] = np.nan_to_num(place.last, nan=0.0)
            arrays["missing"] = np.isnan(place.last)
        if place.since is not None:
            arrays["since"] = place.since
        return arrays, {"steps": place.steps, "held": place.held}

    def unpack(self, saved: Saved) -> SequencePlace:
        """See `Reader.unpack`."""
        last = since = None
        if isinstance(self._inputs, NumberInputs) and saved.has("last"):
            size = self._inputs.features
            missing = saved.array("missing", (size,), np.bool_)
            last = np.where(missing, np.nan, saved.array("last", (size,), np.float32))
            if self._inputs.marks:
                since = saved.array("since", (self._inputs.plain,), np.float32)
        members = [m.unpack(saved, f"members.{k}") for k, m in enumerate(self._members)]
        return SequencePlace(
            tuple(members), saved.whole("steps", 0), saved.text("held"), last, since
        )

    def _taken(
        self, place: SequencePlace, frame: Frame, lexicon: Lexicon | None
    ) -> tuple[SequencePlace, np.ndarray]:
        """The place with what it holds back of a frame, and what is sure of it: forms, numbers."""
        if isinstance(self._inputs, TextInputs):
            assert lexicon is not None
            if not isinstance(frame, str):
                raise InputError(f"push: expected a text, received {shown(frame)}")
            text = place.held + frame
            end = self._inputs.cut(text)
            return replace(place, held=text[end:]), lexicon.encode(text[:end])
        given: Any = plain(frame)
        if np.ndim(given) == 0 or (np.ndim(given) == 1 and self._inputs.features > 1):
            given = [given]
        raw = numbers_of(given, "push")
        before = None if place.last is None else Before(place.last, place.since)
        read, after = self._inputs.read(raw, "push", before)
        return replace(place, last=after.last, since=after.since), read

    def _read(
        self, taken: Sequence[tuple[SequencePlace, np.ndarray]], lexicon: Lexicon | None
    ) -> list[tuple[SequencePlace, LabelPrediction]]:
        """Read further forms (T,) of a lexicon, or numbers (T, F), where there are any."""
        some = [k for k, (_, inputs) in enumerate(taken) if len(inputs)]
        every, odds = [], []
        for m, member in enumerate(self._members):
            ones = [place.members[m] for place, _ in taken]
            if some:
                vectors = [member.vectors(taken[k][1], lexicon) for k in some]
                read = member.advance([ones[k] for k in some], vectors)
                for k, one in zip(some, read, strict=True):
                    ones[k] = one
            every.append(ones)
            odds.append(member.probabilities(ones))
        probabilities = odds[0] if len(odds) == 1 else rowwise.mean(odds)
        found = []
        for k, (place, inputs) in enumerate(taken):
            members = tuple(ones[k] for ones in every)
            after = replace(place, members=members, steps=place.steps + len(inputs))
            found.append((after, self._says(probabilities[k])))
        return found

    def _says(self, odds: np.ndarray) -> LabelPrediction:
        best = int(odds.argmax())
        every = dict(zip(self._labels, odds.tolist(), strict=True))
        return LabelPrediction(self._labels[best], float(odds[best]), every)
