"""What a user may choose about a sequence tagger and its data."""

from dataclasses import dataclass
from typing import Any

from recurra.cells import find
from recurra.runtime import Architecture
from recurra.settings import Settings, option
from recurra.tasks.network import NetworkConfig, cell_option
from recurra.tasks.tagger.conll import CONLLU, FORMATS


@dataclass(frozen=True, kw_only=True)
class TaggerSettings(NetworkConfig):
    """How words are read, the recurrent layers, and whether tags are chosen together."""

    cell: str = cell_option("gru")
    embedding: int = option(
        100, "width of the words' vectors; 0 to read characters alone", least=0, whole=True
    )
    min_count: int = option(1, "words seen less often become <unk>", least=1, whole=True)
    lowercase: bool = option(True, "look words up in lower case; characters tell their case")
    word_dropout: float = option(
        0.5,
        "a word seen n times is read as <unk> with probability word_dropout / (word_dropout + n)",
        least=0,
    )
    subwords: int = option(
        0, "width of the vectors of words' character n-grams; 0 for none", least=0, whole=True
    )
    gram_count: int = option(
        3, "words of the training data in which an n-gram must be", least=1, whole=True
    )
    characters: int = option(
        32, "width of the characters' vectors; 0 to read words alone", least=0, whole=True
    )
    character_hidden: int = option(
        64, "units of the layer that reads characters, each direction", least=1, whole=True
    )
    features: bool = option(
        False,
        "score tags also by features of words that a linear CRF has: shape, affixes, capitals",
    )
    feature_window: int = option(
        2, "words on either side whose features count for a word's tag", least=0, whole=True
    )
    feature_count: int = option(
        2, "words of the training data that a feature must be true of", least=1, whole=True
    )
    feature_dropout: float = option(0.3, "dropout of words' features in training", least=0, below=1)
    layers: int = option(2, "recurrent layers", least=1, whole=True)
    hidden: int = option(128, "units of a layer, each direction", least=1, whole=True)
    bidirectional: bool = option(True, "read also from the end to the start")
    init: str = option("orthogonal", "how weights are drawn", choices=("uniform", "orthogonal"))
    dropout: float = option(
        0.5, "dropout of words, between layers and before the output layer", least=0, below=1
    )
    crf: bool | None = option(
        None, "choose tags together (CRF); by default where they mark entities", switch=True
    )
    members: int = option(
        1, "networks of different weights whose scores are averaged", least=1, whole=True
    )
    constrain: bool = option(True, "let the CRF give only sequences that the entities' scheme has")

    def clashes(self) -> list[str]:
        """See `NetworkConfig.clashes`."""
        found = super().clashes()
        if not (self.embedding or self.subwords or self.characters):
            found.append("embedding, subwords and characters are 0: there is nothing to read")
        return found

    def spelling(self) -> Architecture:
        """The layer that reads characters."""
        states = len(find(self.cell).states)
        return Architecture(self.cell, 1, False, (0.0,) * states, {}, True)

    def inputs(self, *, grams: bool) -> int:
        """How wide a word is as the layers read it; `grams` says whether there are n-grams."""
        spelled = 2 * self.character_hidden if self.characters else 0
        return self.embedding + (self.subwords if grams else 0) + spelled


@dataclass(frozen=True, kw_only=True)
class TaggerColumns(Settings):
    """Where in a file words and tags stand."""

    format: str | None = option(
        None, "of files; by default as their names end, else columns", choices=FORMATS
    )
    word_column: int | None = option(
        None, "of columns: where the words stand, from 1; by default the first", least=1, whole=True
    )
    tag_column: int | str | None = option(
        None,
        "of columns: where the tags stand, from 1, by default the last; "
        "of CoNLL-U: upos, xpos, feats, deprel, …, by default upos",
        words=CONLLU[2:],
        least=1,
        whole=True,
    )
    skip_bad: bool = option(False, "leave out sentences that are wrong, and report them")

    def reading(self) -> dict[str, Any]:
        """Arguments of `recurra.tasks.tagger.conll.read_tagged`."""
        return {name: getattr(self, name) for name in TaggerColumns.names()}


@dataclass(frozen=True, kw_only=True)
class TaggerData(TaggerColumns):
    """How sentences are read in training."""

    valid_share: float = option(
        0.1,
        "share of the sentences held out at random, where no validation data are given",
        above=0,
        below=1,
    )
    batch: int = option(32, "sentences side by side", least=1, whole=True)
    pretrained: str | None = option(
        None,
        "a language model of words (run or model directory) to begin from: its words, embedding "
        "and layers are taken over, whatever the settings of layers say; no characters are read",
        text=True,
    )
    recall_cost: float = option(
        0.0,
        "nats that O has to be less likely than an entity's tag by, in training: finds more "
        "entities, and more that are none (Mohit et al. 2012)",
        least=0,
    )
    goal: str | None = option(
        None,
        "figure by which the best model is chosen: by default f1 of entities where tags mark them, "
        "else accuracy",
        choices=("accuracy", "f1", "loss"),
    )


@dataclass(frozen=True, kw_only=True)
class TaggerTellings(Settings):
    """What is told of a sentence beside its tags."""

    n_best: int = option(1, "give this many of the best taggings", least=1, whole=True)
    probabilities: bool = option(False, "give the probability of each word's tag")


@dataclass(frozen=True, kw_only=True)
class TaggerOptions(TaggerTellings, TaggerColumns):
    """How a file is read that is to be tagged, and what is told of it."""
