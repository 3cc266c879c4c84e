"""The linear-chain CRF over hand-made features as a rival in tagging, fitted by CRFsuite."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recurra.baselines.protocol import Budget
from recurra.baselines.tagger.crf_features import features
from recurra.baselines.tagger.rival import TaggingRival
from recurra.errors import FormatError, InputError
from recurra.tasks.tagger.data import Sentences
from recurra.tasks.tagger.viterbi import Chain


class CRFTagger(TaggingRival):
    """A linear-chain CRF by python-crfsuite (Okazaki 2007), and without it once it is fitted.

    Args:
        c1, c2: weights of the L1 and L2 penalties.
        iterations: of L-BFGS at most.
        **settings: of the tagger and of its data; those of the data are used.
    """

    task = "crf_tagger"
    title = "linear-chain CRF"

    def __init__(
        self, *, c1: float = 0.1, c2: float = 0.1, iterations: int = 100, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._how = {
            "c1": c1,
            "c2": c2,
            "max_iterations": iterations,
            "feature.possible_transitions": True,
        }
        self.tags: tuple[str, ...] = ()
        self._attributes: dict[str, int] = {}
        self._weights = self._transitions = np.zeros((0, 0))

    @property
    def parameters(self) -> int:
        """Weights that are not 0."""
        return int(np.count_nonzero(self._weights) + np.count_nonzero(self._transitions))

    def emissions(self, words: Sequence[str]) -> np.ndarray:
        """Scores of the tags of each word, (T, K)."""
        known = self._attributes
        found = np.zeros((len(words), len(self.tags)))
        for t, row in enumerate(features(words)):
            found[t] = self._weights[[known[a] for a in row if a in known]].sum(0)
        return found

    @property
    def chain(self) -> Chain:
        """The scores between tags."""
        edges = np.zeros(len(self.tags))
        return Chain(edges, self._transitions, edges)

    def _learn(self, train: Sentences, valid: Sentences, budget: Budget) -> None:
        try:
            import pycrfsuite
        except ModuleNotFoundError as error:
            raise InputError(
                "this CRF needs python-crfsuite: pip install recurra[baselines]"
            ) from error
        trainer = pycrfsuite.Trainer(algorithm="lbfgs", params=self._how, verbose=False)
        for words, tags in zip(train.words, train.tags, strict=True):
            trainer.append(pycrfsuite.ItemSequence(features(words)), list(tags))
        with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
            path = str(Path(folder) / "model")
            trainer.train(path)
            tagger = pycrfsuite.Tagger()
            tagger.open(path)
            info = tagger.info()
            tagger.close()
        self.tags = tuple(sorted(info.labels))
        number = {tag: k for k, tag in enumerate(self.tags)}
        names = sorted({attribute for attribute, _ in info.state_features})
        self._attributes = {name: k for k, name in enumerate(names)}
        self._weights = np.zeros((len(names), len(number)))
        for (attribute, tag), weight in info.state_features.items():
            self._weights[self._attributes[attribute], number[tag]] = weight
        self._transitions = np.zeros((len(number), len(number)))
        for (before, after), weight in info.transitions.items():
            self._transitions[number[before], number[after]] = weight

    def _tag(self, words: Sequence[str]) -> list[str]:
        return [self.tags[k] for k in self.chain.best(self.emissions(words)).tags]

    def _parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        rows, columns = np.nonzero(self._weights)
        values = {"tags": list(self.tags), "attributes": list(self._attributes), "how": self._how}
        return values, {
            "rows": rows.astype(np.int32),
            "columns": columns.astype(np.int32),
            "weights": self._weights[rows, columns],
            "transitions": self._transitions,
        }

    def _take(self, values: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        try:
            self.tags, names = tuple(values["tags"]), values["attributes"]
            self._how = dict(values["how"])
            self._attributes = {str(name): k for k, name in enumerate(names)}
            self._weights = np.zeros((len(names), len(self.tags)))
            self._weights[tensors["rows"], tensors["columns"]] = tensors["weights"]
            self._transitions = np.array(tensors["transitions"])
            if self._transitions.shape != (len(self.tags),) * 2:
                raise ValueError("transitions of another number of tags")
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise FormatError(f"linear-chain CRF: its weights cannot be read: {error}") from error
