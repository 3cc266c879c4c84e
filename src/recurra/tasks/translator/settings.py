"""What a user may choose about a translator, its data, and how it translates."""

from dataclasses import dataclass, replace

from recurra.runtime.architecture import Architecture
from recurra.settings import Settings, option
from recurra.tasks.network import NetworkConfig
from recurra.tasks.translator.runtime import SCORES, TranslatorArchitecture

KINDS = ("char", "byte", "word", "bpe")
#: Tokenizers whose tokens are strings of bytes, so that one's token can be another's.
_BYTES = ("byte", "bpe")

#: Figures of a translator, and whether more is better.
METRICS = {"error_rate": False, "wrong": False, "bleu": True, "chrf": True, "loss": False}


@dataclass(frozen=True, kw_only=True)
class TranslatorConfig(NetworkConfig):
    """The two vocabularies, the layers, and what is between them."""

    source_tokenizer: str = option("bpe", "what a token of the source is", choices=KINDS)
    target_tokenizer: str = option("bpe", "what a token of the target is", choices=KINDS)
    vocab_size: int | None = option(
        None, "at most so many tokens on each side", least=2, whole=True
    )
    min_count: int = option(1, "symbols seen less often become <unk>", least=1, whole=True)
    shared: bool = option(False, "source and target share one vocabulary and its embedding")
    embedding: int | None = option(
        None, "width of the embeddings (default: hidden, at most 256)", least=1, whole=True
    )
    tied: bool | None = option(
        None, "share the target's embedding with the output layer", switch=True
    )
    bidirectional: bool = option(True, "the encoder also reads from the end to the start")
    decoder_layers: int | None = option(
        None, "layers of the decoder (default: as many as of the encoder)", least=1, whole=True
    )
    attention: str = option("general", "score of the attention", choices=SCORES)
    copy: bool = option(False, "words may be copied from the source (See et al. 2017)")
    init: str = option("orthogonal", "how weights are drawn", choices=("uniform", "orthogonal"))

    @property
    def embedding_size(self) -> int:
        """E, the width of both embeddings."""
        return self.embedding or min(self.hidden, 256)

    @property
    def features(self) -> int:
        """F, the width of what the output layer reads."""
        return self.embedding_size if self.is_tied else self.hidden

    @property
    def is_tied(self) -> bool:
        """Whether target embedding and output layer are one matrix: by default for subwords and
        words."""
        return self.target_tokenizer in ("bpe", "word") if self.tied is None else self.tied

    def clashes(self) -> list[str]:
        """See `NetworkConfig.clashes`."""
        found = super().clashes()
        kinds = {self.source_tokenizer, self.target_tokenizer}
        alike = len(kinds) == 1 or kinds == set(_BYTES)
        if self.shared and len(kinds) > 1:
            found.append(f"shared: needs one kind of tokenizer, received {' and '.join(kinds)}")
        if self.copy and not alike:
            found.append(
                f"copy: a {self.source_tokenizer} is no {self.target_tokenizer}, so that it "
                "cannot be copied: use one kind of tokenizer"
            )
        if self.attention == "dot" and self.is_bidirectional:
            found.append(
                "attention dot: needs a decoder as wide as what the encoder writes: use general, "
                "or bidirectional=False"
            )
        return found

    def translator(self, unknown: int) -> TranslatorArchitecture:
        """What running the weights needs to know; `unknown` as in `TranslatorArchitecture`."""
        encoder = self.architecture()
        forward = replace(encoder, bidirectional=False)
        layers = self.decoder_layers or self.layers
        reader: Architecture | None = replace(forward, layers=layers - 1) if layers > 1 else None
        return TranslatorArchitecture(
            encoder=encoder,
            decoder=replace(forward, layers=1),
            reader=reader,
            score=self.attention,
            copy=self.copy,
            unknown=unknown,
        )


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """How pairs are read in training."""

    valid_share: float = option(
        0.05, "share of the sources held out, where no other pairs are given", above=0, below=1
    )
    batch: int = option(64, "pairs side by side", least=1, whole=True)
    max_length: int | None = option(
        None, "leave out pairs of which a side has more tokens", least=1, whole=True
    )
    skip_bad: bool = option(False, "leave out pairs that cannot be read")
    label_smoothing: float = option(
        0.1, "share of the probability that training gives to all tokens alike", least=0, below=1
    )
    metric: str = option(
        "error_rate",
        "figure of the held-out pairs that tells the best model",
        choices=tuple(METRICS),
    )
    judged: int = option(1000, "held-out sources that are translated for it", least=1, whole=True)


@dataclass(frozen=True, kw_only=True)
class TranslationOptions(Settings):
    """How to translate."""

    beams: int = option(4, "width of the beam search; 1 is greedy", least=1, whole=True)
    n_best: int = option(1, "translations of each source, at most beams", least=1, whole=True)
    length_penalty: float = option(
        1.0, "power of the length that scores are divided by: 0 the sum, 1 the mean", least=0
    )
    max_tokens: int | None = option(
        None,
        "most tokens of a translation (default: by the length of the source)",
        least=1,
        whole=True,
    )
    side_by_side: int = option(64, "sources that are translated at a time", least=1, whole=True)

    def mistakes(self) -> list[str]:
        """What is wrong with the values, one by one and together."""
        found = super().mistakes()
        if not found and self.n_best > self.beams:
            found.append(f"n_best must be at most beams ({self.beams}), received {self.n_best}")
        return found


@dataclass(frozen=True, kw_only=True)
class TranslationPrediction(TranslationOptions):
    """How to translate the lines of a file, and how they are read."""

    skip_bad: bool = option(False, "leave out lines that cannot be read, and report them")


@dataclass(frozen=True, kw_only=True)
class TranslationMeasurement(TranslationOptions):
    """How to translate what is held to its targets, and how pairs are read."""

    skip_bad: bool = option(False, "leave out pairs that cannot be read")
