"""What a user may choose about a sequence classifier and its data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.data.cells import DECIMALS
from recurra.errors import InputError
from recurra.given import columns_of, is_path, listed, path_of, settled, shown
from recurra.settings import Settings, option
from recurra.tasks.classifier.examples import Examples, in_memory
from recurra.tasks.classifier.labelled import from_columns, read_numbers, read_texts
from recurra.tasks.network import NetworkConfig
from recurra.text.kinds import KINDS

#: Files, or inputs and their labels, or what was read already.
Source = str | Path | Sequence[str | Path] | tuple[Sequence[Any], Sequence[Any]] | Examples


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(NetworkConfig):
    """The inputs, the recurrent layers, and what becomes of their outputs."""

    inputs: str = option("text", "what a sequence is of", choices=("text", "numbers"))
    tokenizer: str = option("word", "what a token of a text is", choices=KINDS)
    vocab_size: int | None = option(None, "at most so many tokens", least=2, whole=True)
    min_count: int = option(1, "symbols seen less often become <unk>", least=1, whole=True)
    lowercase: bool = option(False, "read texts in lower case")
    punctuation: bool = option(True, "part punctuation from words (tokenizer word)")
    subwords: int | None = option(
        None,
        "add to a word's vector those of its character n-grams that are in so many words of the "
        "training texts; 0 for none (tokenizer word: 3)",
        least=0,
        whole=True,
    )
    embedding: int = option(128, "width of the vectors of tokens", least=1, whole=True)
    token_dropout: float | None = option(
        None, "probability that a step is hidden; texts: 0.3, numbers: 0", least=0, below=1
    )
    embedding_dropout: float | None = option(
        None, "dropout of the input's features; texts: 0.5, numbers: 0", least=0, below=1
    )
    missing: str = option(
        "mean",
        "a missing number becomes its feature's mean, the last one there was, or an error; marked: "
        "the last, and layers also read which numbers there are, and since how many steps",
        choices=("mean", "last", "error", "marked"),
    )
    standardise: bool = option(True, "scale numbers to mean 0 and deviation 1 a feature")
    hidden: int = option(128, "units of a layer", least=1, whole=True)
    bidirectional: bool = option(True, "read also from the end to the start")
    init: str = option("orthogonal", "how weights are drawn", choices=("uniform", "orthogonal"))
    dropout: float = option(
        0.5, "dropout between layers and before the output layer", least=0, below=1
    )
    pooling: str = option(
        "max",
        "how the outputs of all steps become one vector",
        choices=("last", "mean", "max", "attention"),
    )
    members: int = option(
        1, "networks with weights of their own, whose probabilities are averaged",
        least=1, whole=True,
    )  # fmt: skip

    @property
    def reads_text(self) -> bool:
        """Whether the inputs are texts."""
        return self.inputs == "text"

    @property
    def gram_count(self) -> int:
        """In how many words a character n-gram has to be; 0 for no n-grams."""
        if self.subwords is not None:
            return self.subwords
        return 3 if self.reads_text and self.tokenizer == "word" else 0

    @property
    def noise(self) -> tuple[float, float]:
        """Dropout of tokens, and of the features of the input."""
        usual = (0.3, 0.5) if self.reads_text else (0.0, 0.0)
        given = (self.token_dropout, self.embedding_dropout)
        token, features = (u if g is None else g for g, u in zip(given, usual, strict=True))
        return token, features

    @property
    def has_further_inputs(self) -> bool:
        """See `NetworkConfig`."""
        return not self.reads_text

    def clashes(self) -> list[str]:
        """See `NetworkConfig.clashes`."""
        found = super().clashes()
        if self.subwords and not (self.reads_text and self.tokenizer == "word"):
            found.append("subwords: only words have character n-grams (tokenizer word)")
        if self.tokenizer == "byte" and self.vocab_size is not None:
            found.append("vocab_size: bytes are 256 tokens: leave it out")
        return found


@dataclass(frozen=True, kw_only=True)
class ClassifierColumns(Settings):
    """Where in a file the examples stand."""

    input_column: str | None = option(
        None, "column of the texts (default: text) or sequences (x)", text=True
    )
    label_column: str | None = option(
        None, "column of the labels (default: label; of sequences: y)", text=True
    )
    columns: str | None = option(
        None, "names of the columns of CSV or TSV without a first line of names: label,text",
        text=True,
    )  # fmt: skip
    sequence_column: str | None = option(
        None, "column that says to which sequence a line of numbers belongs", text=True
    )
    features: int = option(
        1, "numbers of a step, where a line of CSV or TSV is a sequence", least=1, whole=True
    )
    skip_bad: bool = option(False, "leave out rows that cannot be read, and report them")
    delimiter: str | None = option(
        None, "between the cells of CSV: by default what separates the first rows",
        text=True, later=True,
    )  # fmt: skip
    encoding: str | None = option(
        None, "of files that are not UTF-8, such as cp1252", text=True, later=True
    )
    decimal: str = option(
        "auto", "what stands before the fraction of a number in CSV or TSV",
        choices=DECIMALS, later=True,
    )  # fmt: skip
    axes: str = option(
        "time",
        "which axis of an array of numbers comes first: time (T, F), or channels (F, T), as in "
        "aeon and sktime",
        choices=("time", "channels"), later=True,
    )  # fmt: skip

    def read(self, source: Any, config: ClassifierSettings, *, labelled: bool) -> Examples:
        """The examples of files, of a pair (inputs, labels), or (not `labelled`) of inputs.

        Raises:
            InputError: what cannot be read, or is of the other kind of input.
        """
        numbers = not config.reads_text
        if isinstance(source, Examples):
            return source
        source = _unzipped(settled(source)) if labelled else settled(source)
        pair = labelled and isinstance(source, tuple) and len(source) == 2
        if pair and not all(map(is_path, source)):
            if source[1] is None:
                raise InputError(
                    "labels: expected a label for each input, received None: give a list"
                )
            return in_memory(*source, numbers=numbers, axes=self.axes, column=self._column(numbers))
        value, label = self._column(numbers), self.label_column
        label = (label or ("y" if numbers else "label")) if labelled else None
        if columns_of(source) is not None:
            return from_columns(
                source, value=value, label=label, numbers=numbers, features=self.features
            )
        header = None if self.columns is None else self.columns.split(",")
        expected = "a file, several, a table with columns, or a pair (inputs, labels)"
        if is_path(source):
            source = path_of(source, "data", expected if labelled else "a file")
        elif not labelled:
            return in_memory(source, None, numbers=numbers, axes=self.axes)
        else:
            parts = listed(source, "data", expected)
            if not parts or not all(map(is_path, parts)):
                what = shown(parts[0]) if parts else "none"
                raise InputError(
                    f"data: expected {expected}, received {shown(source)}, the first {what}: "
                    "fit(X, y) requires y to be passed, but the target y is None"
                )
            source = [path_of(part, "data", expected) for part in parts]
        if not numbers:
            return read_texts(
                source,
                text=value,
                label=label,
                header=header,
                skip_bad=self.skip_bad,
                delimiter=self.delimiter,
                encoding=self.encoding,
            )
        if not is_path(source):
            raise InputError(
                f"data: expected one file of sequences of numbers, received {len(source)}: join "
                "them"
            )
        return read_numbers(
            source,
            values=value,
            label=label,
            sequence=self.sequence_column,
            features=self.features,
            header=header,
            skip_bad=self.skip_bad,
            delimiter=self.delimiter,
            encoding=self.encoding,
            decimal=self.decimal,
            axes=self.axes,
        )

    def _column(self, numbers: bool) -> str:
        """The column of the inputs."""
        return self.input_column or ("x" if numbers else "text")


def _unzipped(source: Any) -> Any:
    """Inputs and their labels, of a list of pairs; everything else as it is."""
    if not isinstance(source, list) or not source:
        return source
    if not all(isinstance(one, tuple) and len(one) == 2 for one in source):
        return source
    return [one[0] for one in source], [one[1] for one in source]


@dataclass(frozen=True, kw_only=True)
class ClassifierData(ClassifierColumns):
    """How examples are read in training."""

    valid_share: float = option(
        0.1,
        "share of each label's examples held out at random, where no validation data are given",
        above=0,
        below=1,
    )
    batch: int = option(32, "sequences side by side", least=1, whole=True)
    max_steps: int | None = option(
        None, "at most so many steps in a batch: fewer sequences where they are long",
        least=1, whole=True,
    )  # fmt: skip
    class_weights: str = option(
        "none",
        "weights of the classes in the loss; balanced: a rare class counts as much as a frequent",
        choices=("none", "balanced"),
    )
    label_smoothing: float = option(
        0.0, "share of the probability that goes to all classes alike", least=0, below=1
    )
    pretrained: str | None = option(
        None,
        "a language model (run or model directory) to begin from: its tokenizer, embedding and "
        "layers are taken over, whatever the settings of layers say",
        text=True,
    )
    goal: str = option(
        "accuracy",
        "figure by which the best model is chosen",
        choices=("accuracy", "macro_f1", "loss"),
    )


@dataclass(frozen=True, kw_only=True)
class ClassifierTellings(Settings):
    """What is told of an example beside its label."""

    probabilities: bool = option(False, "give the probability of every label")


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions(ClassifierTellings, ClassifierColumns):
    """How a file of unlabelled examples is read, and what is told of each."""
