"""What a user may choose about a language model and its data."""

from dataclasses import dataclass
from typing import Any

from recurra.cells import FUNCTIONS, find
from recurra.native import PRECISIONS
from recurra.runtime import Architecture
from recurra.settings import Settings, option


@dataclass(frozen=True, kw_only=True)
class LanguageModelConfig(Settings):
    """The tokenizer and the network."""

    tokenizer: str = option("char", "what a token is", choices=("char", "byte", "word", "bpe"))
    vocab_size: int | None = option(None, "at most so many tokens", least=2, whole=True)
    min_count: int = option(1, "symbols seen less often become <unk>", least=1, whole=True)
    cell: str = option("lstm", "recurrent cell", choices=("rnn", "lstm", "gru"))
    layers: int = option(1, "recurrent layers", least=1, whole=True)
    hidden: int = option(256, "units of a layer", least=1, whole=True)
    embedding: int | None = option(
        None, "width of the embedding; 0 for one-hot input", least=0, whole=True
    )
    tied: bool | None = option(None, "share the embedding with the output layer", switch=True)
    dropout: float = option(
        0.1, "dropout between layers and before the output layer", least=0, below=1
    )
    embedding_dropout: float = option(0.0, "dropout of the embedding", least=0, below=1)
    recurrent_dropout: float = option(
        0.0, "dropout of the recurrent input, one mask a segment", least=0, below=1
    )
    weight_drop: float = option(0.0, "dropout of recurrent weights", least=0, below=1)
    zoneout: float = option(0.0, "probability that a unit keeps its state", least=0, below=1)
    layer_norm: bool = option(False, "layer norm in the cell")
    peephole: bool = option(False, "peephole connections (lstm)")
    projection: int = option(0, "project the output to so many units (lstm)", least=0, whole=True)
    reset: str = option("after", "reset gate of the gru", choices=("after", "before"))
    activation: str = option("tanh", "function in place of tanh", choices=FUNCTIONS)
    residual: bool = option(False, "add a layer's input to its output, above the first")
    learn_initial_state: bool = option(False, "learn the state that streams begin from")
    init: str = option("uniform", "how weights are drawn", choices=("uniform", "orthogonal"))
    precision: str = option(
        "float32",
        "of products in training: bf16 is faster on CPUs that have it, and refused elsewhere",
        choices=PRECISIONS,
    )

    @property
    def output_size(self) -> int:
        """Features that the output layer reads."""
        return self.projection or self.hidden

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

    def mistakes(self) -> list[str]:
        """What is wrong with the values, one by one and together."""
        found = super().mistakes()
        if found:
            return found
        cell = find(self.cell)
        for name in ("peephole", "projection"):
            if getattr(self, name) and name not in cell.options:
                found.append(f"{name}: the cell {self.cell} has none (the lstm has)")
        if self.reset != "after" and "reset" not in cell.options:
            found.append(f"reset: the cell {self.cell} has no reset gate (the gru has)")
        if self.projection >= self.hidden:
            found.append(f"projection must be below hidden ({self.hidden})")
        if self.is_tied and self.embedding_size != self.output_size:
            found.append(
                f"tied weights need an embedding of {self.output_size}, the width of the output, "
                f"received {self.embedding_size}"
            )
        return found

    def architecture(self) -> Architecture:
        """What running the weights needs to know."""
        options: dict[str, Any] = {"activation": self.activation, "norm": self.layer_norm}
        if self.peephole:
            options["peephole"] = True
        if self.projection:
            options["projection"] = True
        if self.reset != "after":
            options["reset"] = self.reset
        rates = (self.zoneout,) * len(find(self.cell).states)
        return Architecture(self.cell, self.layers, self.residual, rates, options)


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
