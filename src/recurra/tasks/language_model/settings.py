"""What a user may choose about a language model and its data."""

from dataclasses import dataclass

from recurra.settings import Settings, option
from recurra.tasks.network import NetworkConfig


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig(NetworkConfig):
    """The network, the tokenizer, and what is between them."""

    # Of these, three minutes of two cores make the best of a megabyte of English characters: fewer
    # units, or less dropout, stop learning before the time is over.
    hidden: int = option(384, "units of a layer", least=1, whole=True)
    dropout: float = option(
        0.3, "dropout between layers and before the output layer", least=0, below=1
    )
    tokenizer: str = option("char", "what a token is", choices=("char", "byte", "word", "bpe"))
    vocab_size: int | None = option(None, "at most so many tokens", least=2, whole=True)
    min_count: int = option(1, "symbols seen less often become <unk>", least=1, whole=True)
    embedding: int | None = option(
        None, "width of the embedding; 0 for one-hot input", least=0, whole=True
    )
    tied: bool | None = option(None, "share the embedding with the output layer", switch=True)
    embedding_dropout: float = option(0.0, "dropout of the embedding", least=0, below=1)

    @property
    def is_tied(self) -> bool:
        """Whether embedding and output layer are one matrix: by default for large vocabularies."""
        if self.tied is not None:
            return self.tied
        large = self.tokenizer in ("word", "bpe")
        return large and self.embedding in (None, self.output_size)

    @property
    def embedding_size(self) -> int:
        """Width of the embedding; 0 for one-hot."""
        if self.embedding is not None:
            return self.embedding
        return self.output_size if self.is_tied else min(self.hidden, 128)

    def clashes(self) -> list[str]:
        """See `NetworkConfig.clashes`."""
        found = super().clashes()
        if self.is_tied and self.embedding_size != self.output_size:
            found.append(
                f"tied weights need an embedding of {self.output_size}, the width of the output, "
                f"received {self.embedding_size}"
            )
        return found


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """How a text is read in training."""

    valid_share: float = option(
        0.1, "share held out from the end of the text, where no other is given", above=0, below=1
    )
    lines: bool = option(False, "each line is a text of its own")
    batch: int = option(16, "streams, or lines, side by side", least=1, whole=True)
    bptt: int | str | None = option(
        None,
        "steps the gradient travels back: by default 64; lines: whole",
        words=("full",),
        least=1,
        whole=True,
    )
    random_lengths: bool = option(False, "segments of random length (Merity et al. 2018)")

    @property
    def segment(self) -> int | None:
        """Steps of a segment; None for as long as the streams or lines are."""
        if self.bptt == "full" or (self.bptt is None and self.lines):
            return None
        return 64 if self.bptt is None else int(self.bptt)
