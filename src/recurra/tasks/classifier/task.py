"""`SequenceClassifier`: train it, measure it, ask it. Only training needs torch."""

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from recurra.data.labels import Label, LabelKinds
from recurra.errors import FormatError
from recurra.given import path_of
from recurra.runtime import Architecture
from recurra.runtime.stream_state import StreamState
from recurra.settings import Settings
from recurra.tasks.answers import Unanswered, answered
from recurra.tasks.classifier.data import (
    Inputs,
    classes_of,
    encode,
    labels_of,
    reader_of,
)
from recurra.tasks.classifier.examples import Examples, numbers_in_lines
from recurra.tasks.classifier.inputs import NumberInputs, TextInputs
from recurra.tasks.classifier.prediction import LabelPrediction
from recurra.tasks.classifier.runtime import RuntimeClassifier, RuntimeCommittee
from recurra.tasks.classifier.scores import ClassifierScores
from recurra.tasks.classifier.settings import (
    ClassifierColumns,
    ClassifierData,
    ClassifierOptions,
    ClassifierSettings,
    Source,
)
from recurra.tasks.classifier.stream import ClassifierReader, ClassifierStream
from recurra.tasks.protocol import Fitting, Task
from recurra.text import Corpus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from recurra.tasks.classifier.options import Chosen, Measured, Trained
    from recurra.train import Callback, FitResult

    pass

#: AdamW's usual rate here is lower than for language models: with fewer steps to learn in, the
#: vectors of words should not run ahead of what reads them.
LR = 0.002


class SequenceClassifier(Task):
    """A recurrent classifier of texts, or of sequences of numbers.

    The arguments are the fields of `ClassifierSettings`, by name:
    `SequenceClassifier(cell="gru", hidden=64, pooling="attention")`, and for sensor data, frames of
    video and the like `SequenceClassifier(inputs="numbers")`.

    Raises:
        InputError: settings that do not exist or do not fit; all mistakes are listed.
    """

    task = "sequence_classifier"
    title = "sequence classifier"
    fitting = Fitting(
        reads="examples",
        keeps="vocabulary and labels",
        data=(
            "a file (CSV, TSV, JSON lines, Parquet; of numbers also .npz), several of them; a "
            "pair (inputs, labels): texts, or arrays (T, F) of any lengths T, and for each a "
            "text, number or truth value; or a DataFrame with columns for both."
        ),
        valid=(
            "the examples held out, likewise; by default a tenth of `data`, drawn at random "
            "from each label in proportion."
        ),
        example='`epochs=6`, `columns="label,text"`, `class_weights="balanced"`',
        lr=LR,
    )
    Config = ClassifierSettings
    Data = ClassifierData
    Prediction = ClassifierOptions
    Measurement = ClassifierColumns

    if TYPE_CHECKING:

        def __init__(self, **settings: Unpack[Chosen]) -> None: ...
        def fit(  # type: ignore[override]  # noqa: D102
            self,
            data: Any,
            *,
            valid: Any = None,
            out: "str | Path | None" = None,
            fresh: bool = False,
            callbacks: "Sequence[Callback]" = (),
            progress: bool = True,
            **settings: Unpack[Trained],
        ) -> FitResult: ...

    @overload
    def predict(self, inputs: str, **options: Any) -> Any: ...
    @overload
    def predict(self, inputs: Iterable[Any], **options: Any) -> Any: ...
    def predict(self, inputs: str | Iterable[Any], **options: Any) -> Any:
        """The most probable label of each input; of a single text its label.

        Labels come back as they were given to `fit`: from a file as texts; from a list as its
        texts, numbers or truth values, in a list; from an array, a tensor or a Series of numpy's
        kinds in an array of its dtype.

        Args:
            inputs: texts, or arrays (T, F): a list, generator, Series, array, or DataFrame with
                their column.

        Raises:
            InputError: inputs of another kind than in training.
        """
        self._options(Settings, options)
        if isinstance(inputs, str):
            (best,) = self.predict_proba([inputs]).argmax(1)
            return self._kinds.one(self._texts[best])
        return self._kinds.given([self._texts[k] for k in self.predict_proba(inputs).argmax(1)])

    def predict_proba(self, inputs: Any) -> np.ndarray:
        """The probability of every label for each input, (N, C) float32, C as `labels`."""
        return self._classify(self._columns({}).read(inputs, self.config, labelled=False))

    def predict_file(
        self, source: str | Path, options: ClassifierOptions
    ) -> Iterator[LabelPrediction | Unanswered]:
        """What it says of each example of a file; `options` tell how to read it.

        Columns that `options` do not name are those of the training data; no labels are read. The
        source may also be "-" for standard input, and of texts a .txt file: each line is a text, or
        a sequence of numbers parted by commas or white space, those of a step together.
        A row that cannot be read, where such are left out, is answered by an `Unanswered`.

        Raises:
            InputError: a file that cannot be read.
        """
        given = {n: v for n, v in options.to_json().items() if n in ClassifierColumns.names()}
        usual = ClassifierColumns().to_json()
        chosen = {name: value for name, value in given.items() if value != usual[name]}
        columns = self._columns(chosen)
        read: Any = path_of(source, "predict", "a file, or -")
        if self.config.reads_text and (str(read) == "-" or read.suffix == ".txt"):
            with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
                read = list(Corpus.open(read, spool=Path(folder) / "stdin.txt").lines())
        elif str(read) == "-":
            assert isinstance(self._reader, NumberInputs)
            read = numbers_in_lines(sys.stdin, self._reader.features)
        examples = columns.read(read, self.config, labelled=False)
        labels = self.labels
        rows = self._classify(examples)

        def made() -> Iterator[LabelPrediction]:
            for row in rows:
                best = int(row.argmax())
                every = dict(zip(labels, row.tolist(), strict=True))
                told = every if options.probabilities else None
                yield LabelPrediction(labels[best], float(row[best]), told)

        return answered(made(), examples.places, examples.skipped)

    def evaluate(self, data: Source, **options: "Unpack[Measured]") -> ClassifierScores:
        """Measure it on examples with labels: accuracy, macro-F1, confusion matrix, loss.

        Args:
            data: as for `fit`.
            **options: by name, where columns are named otherwise than in the training data:
                `columns="label,text"`, `skip_bad=True`.

        Raises:
            InputError: examples that cannot be read, or with a label that training did not have.
        """
        self._options(ClassifierColumns, options)
        examples = self._columns(options).read(data, self.config, labelled=True)
        true = classes_of(examples, self._texts)
        found = self._classify(examples)
        return ClassifierScores.measure(true, found, self.labels, skipped=examples.skipped)

    def open_stream(self, *, state: StreamState | None = None) -> ClassifierStream:
        """A sequence that the model reads as it comes: `push` takes a piece of a text, or a step
        (F,) or some (T, F) of numbers, and returns the `LabelPrediction` of all so far.

        With `pooling="attention"` the state grows with the sequence.

        Args:
            state: where to begin: the `state` of such a stream.

        Raises:
            InputError: a model that reads in both directions, or a state of another.
            FormatError: a damaged one.
        """
        reader = self._streaming
        return ClassifierStream(reader, reader.begin()).at(state)

    @cached_property
    def _streaming(self) -> ClassifierReader:
        return ClassifierReader(self.runtime, self._reader, self.labels, self._identity)

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """The labels it tells apart, as they were given, in the order of the columns of
        `predict_proba`."""
        return self._kinds.labels(self._texts)

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        return labels_of(self.files)[0]

    @cached_property
    def _kinds(self) -> LabelKinds:
        return labels_of(self.files)[1]

    @cached_property
    def runtime(self) -> RuntimeClassifier | RuntimeCommittee:
        """The network without torch."""
        reader, members = self._reader, self.config.members
        architecture = Architecture.from_json(self.files.config.get("architecture"))
        how: dict[str, Any] = {
            "pool": self.config.pooling,
            "features": reader.features if isinstance(reader, NumberInputs) else None,
            "precision": self._precision,
        }
        made: RuntimeClassifier | RuntimeCommittee
        if members == 1:
            made = RuntimeClassifier(architecture, self.files.tensors, **how)
        else:
            made = RuntimeCommittee(members, architecture, self.files.tensors, **how)
        wanted = (0, 0)
        if isinstance(reader, TextInputs):
            wanted = (len(reader.tokenizer), len(reader.subwords or ()))
        if made.vocabulary != wanted or made.classes != len(self.labels):
            raise FormatError(
                f"{self.files.path}: the weights are of {made.vocabulary[0]} tokens, "
                f"{made.vocabulary[1]} n-grams and {made.classes} labels, the other files have "
                f"{wanted[0]}, {wanted[1]} and {len(self.labels)}: restore the files "
                "from a copy"
            )
        return made

    @cached_property
    def _reader(self) -> Inputs:
        return reader_of(self.files, self.config)

    def _columns(self, chosen: Mapping[str, object]) -> ClassifierColumns:
        """The columns of the training data, but for those that are chosen otherwise."""
        known = self.files.config.get("columns", {})
        if not isinstance(known, dict):
            raise FormatError(
                f"{self.files.path}: config.json: columns: expected an object: restore the file "
                "from a copy"
            )
        return ClassifierColumns.from_json({**known, **chosen})

    def _classify(self, examples: Examples) -> np.ndarray:
        encoded = encode(examples, self._reader)
        if encoded.lexicon is None:
            return self.runtime.numbers(encoded.inputs)
        return self.runtime.texts(encoded.inputs, encoded.lexicon)
