"""The tokens of both sides: texts to numbers and back, and what a copied token is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recurra.errors import FormatError
from recurra.tasks.translator.pairs import Pairs
from recurra.tasks.translator.settings import TranslatorConfig
from recurra.text import Tokenizer, train_tokenizer
from recurra.text.byte_level import ByteLevelTokenizer


class Vocabulary:
    """A tokenizer for each side; where they are shared, the same.

    Targets begin and end with `<eos>`. A token of a source that is copied has the number it has in
    the target's vocabulary; one that is not there gets a number from V on, the first such token of
    a source V, the next V + 1.
    """

    def __init__(self, source: Tokenizer, target: Tokenizer) -> None:
        self.source, self.target = source, target
        if target.eos_id is None:
            raise FormatError("tokenizer.json: expected an <eos> in the target's vocabulary")
        self.end: int = target.eos_id
        #: What the decoder reads in place of a copied token it does not know.
        self.unknown: int = self.end if target.unk_id is None else target.unk_id

    @classmethod
    def fit(cls, pairs: Pairs, config: TranslatorConfig) -> "Vocabulary":
        """Learn the tokens of training pairs.

        Raises:
            InputError: a vocabulary that cannot be made: too small, or for want of a package.
        """
        if config.shared:
            both = _train(config.source_tokenizer, [*pairs.sources, *pairs.targets], config)
            return cls(both, both)
        source = _train(config.source_tokenizer, pairs.sources, config)
        return cls(source, _train(config.target_tokenizer, pairs.targets, config))

    @classmethod
    def from_json(cls, layout: Any) -> "Vocabulary":
        """Read what `to_json` wrote; FormatError where it cannot be that."""
        if not isinstance(layout, Mapping) or not isinstance(layout.get("target"), Mapping):
            raise FormatError('tokenizer.json: expected an object with "source" and "target"')
        target = Tokenizer.from_json(layout["target"])
        source = layout.get("source")
        return cls(target if source is None else Tokenizer.from_json(source), target)

    def to_json(self) -> dict[str, Any]:
        """Two layouts of Hugging Face, "source" and "target"; "source" is null where shared."""
        shared = self.source is self.target
        source = None if shared else self.source.to_json()
        return {"source": source, "target": self.target.to_json()}

    def read_source(self, text: str) -> np.ndarray:
        """The tokens of a source (S,); at least one of a text that is not empty."""
        ids = self.source.encode(_line(text))
        return _without(ids, self.source.eos_id, self.source.unk_id)

    def read_target(self, text: str) -> np.ndarray:
        """The tokens of a target (T,), without an end."""
        return _without(self.target.encode(_line(text)), self.end, self.target.unk_id)

    def read_copy(self, source: str, target: str | None) -> tuple[np.ndarray, np.ndarray]:
        """What copies of a source's tokens write (S,), and the tokens of a target that may be such.

        A token of the target that the vocabulary lacks and the source has is that copy.
        """
        names: dict[str, int] = {}
        units = self._units(self.source, source, self.read_source(source))
        copied = [self._copied(unit, names) for unit in units]
        if target is None:
            return np.array(copied, np.int64), np.empty(0, np.int64)
        ids = self.read_target(target).astype(np.int64)
        for place, unit in enumerate(self._units(self.target, target, ids)):
            if unit in names and ids[place] == self.unknown:
                ids[place] = names[unit]
        return np.array(copied, np.int64), ids

    def write(self, ids: Sequence[int], source: str) -> str:
        """The text of a target's tokens, among which may be copies from the source."""
        if all(id < len(self.target) for id in ids):
            return self.target.decode(ids)
        names: dict[str, int] = {}
        for unit in self._units(self.source, source, self.read_source(source)):
            self._copied(unit, names)
        units = {number: unit for unit, number in names.items()}
        texts = [units[id] if id in units else self.target.token(id) for id in ids]
        if self.target.kind == "word":
            return " ".join(texts)
        if isinstance(self.target, ByteLevelTokenizer):
            known = self.source
            assert isinstance(known, ByteLevelTokenizer)
            owners = [
                (known, known.id(units[id])) if id in units else (self.target, id) for id in ids
            ]
            return b"".join(t.bytes_of(id or 0) for t, id in owners).decode("utf-8", "replace")
        return "".join(texts)

    def show_source(self, text: str) -> list[str]:
        """The tokens of a source, for people to read."""
        ids = self.read_source(text)
        return _shown(self.source, ids, self._units(self.source, text, ids))

    def show_target(self, text: str) -> list[str]:
        """The tokens of a target and its end, for people to read."""
        ids = self.read_target(text)
        return [*_shown(self.target, ids, self._units(self.target, text, ids)), "⏎"]

    def _copied(self, unit: str, names: dict[str, int]) -> int:
        """The number that a copy of a token has; `names` are those beyond the vocabulary."""
        known = self.target.id(unit)
        if known is not None and known not in (self.end, self.target.unk_id):
            return known
        return names.setdefault(unit, len(self.target) + len(names))

    def _units(self, tokenizer: Tokenizer, text: str, ids: np.ndarray) -> list[str]:
        """Each token as text, unknown ones too."""
        if tokenizer.kind == "word":
            return _line(text).split()
        if tokenizer.kind == "char":
            return list(_line(text))
        return [tokenizer.token(int(id)) for id in ids]


def _train(kind: str, texts: Iterable[str], config: TranslatorConfig) -> Tokenizer:
    size = None if kind == "byte" else config.vocab_size
    return train_tokenizer(
        kind,
        map(_line, texts),
        texts=True,
        vocab_size=size,
        min_count=config.min_count,
        eos=True,
    )


def _line(text: str) -> str:
    """A text is one line: a line end in it is a space."""
    return text.strip().replace("\n", " ")


def _without(ids: np.ndarray, end: int | None, unknown: int | None) -> np.ndarray:
    """An `<eos>` that somebody wrote is a word like any other, and an unknown one."""
    if end is not None and (ids == end).any():
        return np.where(ids == end, end if unknown is None else unknown, ids)
    return ids


def _shown(tokenizer: Tokenizer, ids: np.ndarray, units: Sequence[str]) -> list[str]:
    if not isinstance(tokenizer, ByteLevelTokenizer):
        return list(units)
    return [tokenizer.bytes_of(int(id)).decode("utf-8", "replace") for id in ids]
