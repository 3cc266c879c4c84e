"""The hidden Markov model as a rival in tagging."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.baselines.protocol import Budget
from recurra.baselines.tagger.rival import TaggingRival
from recurra.baselines.tagger.trigram_hmm import TrigramHMM
from recurra.tasks.tagger.data import Sentences


class HMMTagger(TaggingRival):
    """A second-order hidden Markov model of tags and words (see `TrigramHMM`)."""

    task = "hmm_tagger"
    title = "hidden Markov tagger"
    model: TrigramHMM

    @property
    def parameters(self) -> int:
        """Probabilities of words and of trigrams that are not 0 by counting."""
        counted = (self.model.word_counts, self.model.trigrams)
        return sum(int(np.count_nonzero(counts)) for counts in counted)

    def _learn(self, train: Sentences, valid: Sentences, budget: Budget) -> None:
        self.model = TrigramHMM.count(zip(train.words, train.tags, strict=True))

    def _tag(self, words: Sequence[str]) -> list[str]:
        return self.model.best(words)

    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return self.model.to_json(), self.model.to_tensors()

    def _take(self, values: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        self.model = TrigramHMM.from_parts(values, tensors)
