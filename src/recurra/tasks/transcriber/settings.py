"""What a user may choose about a transcriber and its data."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from recurra.settings import Settings, option
from recurra.tasks.network import NetworkConfig
from recurra.tasks.transcriber.augment import Augmentation
from recurra.tasks.transcriber.features import LogMel

_FEATURES = LogMel.__dataclass_fields__


def _feature(name: str) -> Any:
    """A setting of the features, as they describe it."""
    return dataclasses.field(default=_FEATURES[name].default, metadata=_FEATURES[name].metadata)


@dataclass(frozen=True, kw_only=True)
class TranscriberConfig(NetworkConfig):
    """Tokens, features and the network."""

    layers: int = option(2, "recurrent layers", least=1, whole=True)
    hidden: int = option(128, "units of a layer and direction", least=1, whole=True)
    bidirectional: bool = option(True, "read each recording from both ends; false can stream")
    tokenizer: str = option("char", "what a token is", choices=("char", "word", "bpe"))
    vocab_size: int | None = option(None, "at most so many tokens", least=2, whole=True)
    min_count: int = option(1, "symbols seen less often become <unk>", least=1, whole=True)
    rate: int | None = option(
        None,
        "samples a second the model reads: others are resampled; by default the lowest rate of the "
        "training recordings",
        least=100,
        whole=True,
    )
    window: float = _feature("window")
    hop: float = _feature("hop")
    mels: int = _feature("mels")
    low: float = _feature("low")
    high: float | None = _feature("high")
    stack: int = _feature("stack")
    stride: int = _feature("stride")
    normalise: str = option(
        "corpus",
        "scale features by the mean and deviation of the training data, or of each recording, "
        "which generalises better to other voices and cannot stream",
        choices=("corpus", "recording"),
    )

    def features(self, rate: int) -> LogMel:
        """What frames are made of, of sound at `rate`; InputError where that makes none."""
        chosen = {name: getattr(self, name) for name in _FEATURES if name != "rate"}
        return LogMel(rate=rate, **chosen).validate()

    def clashes(self) -> list[str]:
        """What is wrong with the values together, where each is right by itself."""
        found = super().clashes()
        if self.rate is not None:
            chosen = {name: getattr(self, name) for name in _FEATURES if name != "rate"}
            found += LogMel(rate=self.rate, **chosen).mistakes()
        return found


@dataclass(frozen=True, kw_only=True)
class TranscriberData(Augmentation):
    """How recordings are read in training."""

    valid_share: float = option(
        0.1,
        "share of the recordings held out at random, where no others are given",
        above=0,
        below=1,
    )
    batch: int = option(32, "recordings side by side", least=1, whole=True)
    bad: str = option(
        "refuse",
        "recordings that cannot be read, have no text, or are too short for it: refuse the data, "
        "or skip them",
        choices=("refuse", "skip"),
    )


@dataclass(frozen=True, kw_only=True)
class Decoding(Settings):
    """How text is found in what the network says."""

    beams: int = option(
        1, "labellings kept by prefix beam search; 1 takes the best path", least=1, whole=True
    )
    n_best: int = option(1, "alternatives to return, at most beams", least=1, whole=True)
    language_model: str | None = option(
        None, "directory of a language model of lines over the same tokens", text=True
    )
    weight: float = option(0.5, "of the language model, where one is given", least=0)
    bonus: float = option(0.0, "added to the score for each token")

    def mistakes(self) -> list[str]:
        """What is wrong with the values, one by one and together."""
        found = super().mistakes()
        if found:
            return found
        if self.language_model is not None and self.beams == 1:
            found.append("language_model: the best path asks none: set a beam, as beams=16")
        if self.n_best > self.beams:
            found.append(f"n_best must be at most beams ({self.beams}), received {self.n_best}")
        return found


@dataclass(frozen=True, kw_only=True)
class TranscriptOptions(Decoding):
    """How recordings of files are transcribed, and what becomes of those that cannot be read."""

    skip_bad: bool = option(False, "leave out recordings that cannot be read, and report them")
