"""A sentence that a tagger reads as it comes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recurra import rowwise
from recurra.data.labels import Label, LabelKinds
from recurra.given import listed
from recurra.runtime.history import History
from recurra.runtime.stream_state import Saved
from recurra.runtime.streams import Identity, Reader, Stream, check_direction
from recurra.tasks.tagger.data import check_words
from recurra.tasks.tagger.runtime import RuntimeCommittee, RuntimeTagger, TaggerPlace
from recurra.tasks.tagger.viterbi import Trellis
from recurra.tasks.tagger.word_forms import WordForms

Frame = str | Sequence[str]
Tags = tuple[Label, ...]


@dataclass(frozen=True, eq=False)
class SentencePlace:
    """Where a sentence stands: where each network does, the ways to its last word, and the tags
    that are certain, (T,)."""

    members: tuple[TaggerPlace, ...]
    trellis: Trellis
    tags: History


class TaggerStream(Stream[SentencePlace, Frame, Tags, Tags]):
    """A sentence that is read word by word.

    `push` takes a word, or a list of words, and returns the tags that are certain now, whatever
    follows; `finish` returns the others. Joined they are those of the whole sentence. With a CRF,
    or features of the words beside, a tag may wait for the next words.
    """

    _reader: "TaggerReader"

    @property
    def tags(self) -> Tags:
        """The best tags of all words so far, as if no more came."""
        if self.ended:
            return self._reader.labels(self.place.tags.rows)
        return self._reader.labels(self._reader.end(self.place)[0].tags.rows)


class TaggerReader(Reader[SentencePlace, Frame, Tags, Tags]):
    """Reads with a tagger in one direction."""

    kind = "sequence_tagger"

    def __init__(
        self,
        runtime: RuntimeTagger | RuntimeCommittee,
        forms: WordForms,
        tags: Sequence[str],
        kinds: LabelKinds,
        identity: Identity,
    ) -> None:
        super().__init__(identity)
        self._members, self._chain = runtime.members, runtime.chain
        self._forms, self._tags, self._kinds = forms, tuple(tags), kinds
        check_direction(bidirectional=self._members[0].bidirectional)

    def labels(self, tags: np.ndarray) -> Tags:
        """Tags (T,) as they were given."""
        return self._kinds.labels(self._tags[y] for y in tags)

    def begin(self) -> SentencePlace:
        """The place before any word."""
        members = tuple(member.begin() for member in self._members)
        return SentencePlace(members, Trellis(), History(np.zeros(0, np.int32)))

    def advance(
        self, places: Sequence[SentencePlace], frames: Sequence[Frame]
    ) -> list[tuple[SentencePlace, Tags]]:
        """See `Reader.advance`."""
        words = [_words(frame) for frame in frames]
        forms = self._forms.fresh()
        encoded = [forms.encode(row) for row in words]
        some = [k for k, row in enumerate(words) if row]
        after = [list(place.members) for place in places]
        emitted: list[list[np.ndarray]] = [[] for _ in places]
        for m, member in enumerate(self._members if some else ()):
            ones = [after[k][m] for k in some]
            read = member.advance(ones, forms.batch([encoded[k] for k in some]))
            for k, (one, emissions) in zip(some, read, strict=True):
                after[k][m] = one
                emitted[k].append(emissions)
        found = []
        for place, members, each in zip(places, after, emitted, strict=True):
            moved = replace(place, members=tuple(members))
            found.append(self._decided(moved, each) if each else (moved, ()))
        return found

    def end(self, place: SentencePlace) -> tuple[SentencePlace, Tags]:
        """See `Reader.end`."""
        read = [m.end(one) for m, one in zip(self._members, place.members, strict=True)]
        moved = replace(place, members=tuple(one for one, _ in read))
        moved, first = self._decided(moved, [emissions for _, emissions in read])
        rest = np.array(self._chain.rest(moved.trellis), np.int32)
        moved = replace(moved, trellis=Trellis(), tags=moved.tags.extended(rest))
        return moved, first + self.labels(rest)

    def pack(self, place: SentencePlace) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See `Reader.pack`."""
        arrays = {"tags": place.tags.rows, "origins": place.trellis.origins}
        if place.trellis.alpha is not None:
            arrays["alpha"] = np.maximum(place.trellis.alpha, np.finfo(np.float64).min)
        for k, (member, one) in enumerate(zip(self._members, place.members, strict=True)):
            arrays |= member.pack(one, f"members.{k}")
        return arrays, {"open": place.trellis.open}

    def unpack(self, saved: Saved) -> SentencePlace:
        """See `Reader.unpack`."""
        size = len(self._tags)
        tags = saved.array("tags", (None,), np.int32)
        count = saved.whole("open", 0) if saved.has("alpha") else 0
        rows = (count - 1, size) if count > 1 else (0, None)
        origins = saved.array("origins", rows, np.int32)
        for name, some in (("tags", tags), ("origins", origins)):
            if some.size and not 0 <= some.min() <= some.max() < size:
                raise saved.wrong(name, f"tags below {size}")
        alpha = None
        if saved.has("alpha"):
            alpha = saved.array("alpha", (size,), np.float64)
            alpha = np.where(alpha == np.finfo(np.float64).min, -np.inf, alpha)
        members = [m.unpack(saved, f"members.{k}") for k, m in enumerate(self._members)]
        return SentencePlace(tuple(members), Trellis(alpha, count, origins), History(tags))

    def _decided(
        self, place: SentencePlace, emissions: list[np.ndarray]
    ) -> tuple[SentencePlace, Tags]:
        """The place after emissions (T, K) of each member, and the tags that they make certain."""
        scores = emissions[0] if len(emissions) == 1 else rowwise.mean(emissions)
        if not len(scores):
            return place, ()
        trellis, certain = self._chain.follow(place.trellis, scores)
        tags = np.array(certain, np.int32)
        return replace(place, trellis=trellis, tags=place.tags.extended(tags)), self.labels(tags)


def _words(frame: Any) -> tuple[str, ...]:
    if isinstance(frame, str):
        return check_words([frame], 0)
    rows = listed(frame, "push", "a word, or a list of words")
    return check_words(rows, 0) if rows else ()
