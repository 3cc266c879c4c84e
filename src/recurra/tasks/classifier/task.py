"""`SequenceClassifier`: train it, measure it, ask it. Only training needs torch."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from recurra.data.arriving import STANDARD_INPUT, arriving_lines
from recurra.data.cells import not_utf8
from recurra.data.labels import Label, LabelKinds
from recurra.errors import FormatError, InputError
from recurra.given import path_of
from recurra.runtime import Architecture
from recurra.runtime.stream_state import StreamState
from recurra.tasks.answers import Answers, Unanswered, answered
from recurra.tasks.classifier.data import (
    Inputs,
    classes_of,
    encode,
    labels_of,
    reader_of,
)
from recurra.tasks.classifier.examples import Examples, in_memory, numbers_in_lines
from recurra.tasks.classifier.inputs import NumberInputs, TextInputs
from recurra.tasks.classifier.prediction import LabelPrediction
from recurra.tasks.classifier.runtime import RuntimeClassifier, RuntimeCommittee
from recurra.tasks.classifier.scores import ClassifierScores
from recurra.tasks.classifier.settings import (
    ClassifierColumns,
    ClassifierData,
    ClassifierOptions,
    ClassifierSettings,
    ClassifierTellings,
    Source,
)
from recurra.tasks.classifier.stream import ClassifierReader, ClassifierStream
from recurra.tasks.copies import derived
from recurra.tasks.protocol import Fitting, Task
from recurra.text import Corpus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self, Unpack

    from recurra.tasks.classifier.options import Chosen, Measured, Trained

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
        answers="the label of each input, where `data` are the inputs alone.",
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
    figure, kind, weighted = ("accuracy", 1.0), "classifier", True

    if TYPE_CHECKING:

        def __init__(self, **settings: Unpack[Chosen]) -> None: ...
        def fit(  # type: ignore[override]  # noqa: D102
            self,
            data: Any,
            y: Any = None,
            *,
            valid: Any = None,
            out: "str | Path | None" = None,
            fresh: bool = False,
            callbacks: "Sequence[object]" = (),
            progress: bool | None = None,
            warm_start: "bool | str | Path | None" = None,
            sample_weight: Any = None,
            **settings: Unpack[Trained],
        ) -> Self: ...

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
            **options: `probabilities=True`: then what comes back are `LabelPrediction`s with the
                probability of every label, in a list that is also a table (`to_frame`).

        Raises:
            InputError: inputs of another kind than in training.
        """
        wanted = self._options(ClassifierTellings, options)
        _ = self.files
        if wanted.probabilities:
            several = [inputs] if isinstance(inputs, str) else inputs
            answers = Answers(self._told(self.predict_proba(several), wanted))
            return answers[0] if isinstance(inputs, str) else answers
        if isinstance(inputs, str):
            (best,) = self.predict_proba([inputs]).argmax(1)
            return self._kinds.one(self._texts[best])
        return self._kinds.given([self._texts[k] for k in self.predict_proba(inputs).argmax(1)])

    def predict_proba(self, inputs: Any) -> np.ndarray:
        """The probability of every label for each input, (N, C) float32, C as `labels`."""
        _ = self.files
        if self._table is not None:
            self._table.check(inputs, type(self).__name__)
        return self._classify(self._columns({}).read(inputs, self.config, labelled=False))

    def predict_log_proba(self, inputs: Any) -> np.ndarray:
        """The logarithm of `predict_proba`; minus infinity where that is zero."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(inputs))

    def score(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> float:
        """The share that is classified right; labels that training did not have never are.

        Args:
            X, y: inputs and their labels; or without `y` data as for `evaluate`.
            sample_weight: weights of the examples, (N,).

        Raises:
            InputError: examples that cannot be read.
        """
        _ = self.files
        if y is not None and self._table is not None:
            self._table.check(X, type(self).__name__)
        source = X if y is None else self._joined(X, y)
        examples = self._columns({}).read(source, self.config, labelled=True)
        examples = examples.weighted(sample_weight)
        best = self._classify(examples).argmax(1)
        right = [
            self._texts[k] == label for k, label in zip(best, examples.labels or (), strict=True)
        ]
        return float(np.average(right, weights=examples.weights))

    @classmethod
    def _joined(cls, X: Any, y: Any) -> Any:
        return X, y

    @property
    def classes_(self) -> np.ndarray:
        """The labels it tells apart, as `predict` gives them, in the order of `predict_proba`."""
        found = None if self._files is None else np.asarray(self._kinds.given(self._texts))
        return self._after_fit("classes_", found)

    @property
    def _features(self) -> int | None:
        reader = None if self._files is None else self._reader
        return reader.features if isinstance(reader, NumberInputs) else None

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
        if str(read) == "-":
            return self._answer_arriving(options)
        if self.config.reads_text and read.suffix == ".txt":
            with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
                read = list(Corpus.open(read, spool=Path(folder) / "stdin.txt").lines())
        return self._answer(columns.read(read, self.config, labelled=False), options)

    def _answer_arriving(
        self, options: ClassifierOptions
    ) -> "Iterator[LabelPrediction | Unanswered]":
        """Classify the lines of standard input as they come."""
        first, read = 1, 0
        for lines in arriving_lines():
            examples = self._lines(lines, first)
            yield from self._answer(examples, options)
            first, read = first + len(lines), read + len(examples)
        if not read:
            what = "texts" if self.config.reads_text else "sequences of numbers"
            raise InputError(f"{STANDARD_INPUT}: expected {what}, a line each, received none")

    def _lines(self, lines: list[bytes], first: int) -> Examples:
        """Lines as examples, of which the first has the number `first`."""
        texts = []
        for number, line in enumerate(lines, first):
            place = f"{STANDARD_INPUT}, line {number}"
            try:
                texts.append(line.decode())
            except UnicodeDecodeError as error:
                raise InputError(f"{place}: {not_utf8(line, error)}") from None
            if "\0" in texts[-1]:
                raise InputError(f"{place}: a zero byte: this is binary data; expected text")
        if self.config.reads_text:
            return in_memory(texts, None, numbers=False)
        assert isinstance(self._reader, NumberInputs)
        return numbers_in_lines(texts, self._reader.features, first=first)

    def _answer(
        self, examples: Examples, options: ClassifierOptions
    ) -> "Iterator[LabelPrediction | Unanswered]":
        rows = self._classify(examples) if len(examples) else ()
        return answered(self._told(rows, options), examples.places, examples.skipped)

    def _told(
        self, rows: Iterable[np.ndarray], options: ClassifierTellings
    ) -> Iterator[LabelPrediction]:
        """Probabilities of labels as predictions."""
        labels = self.labels
        for row in rows:
            best = int(row.argmax())
            every = dict(zip(labels, row.tolist(), strict=True))
            told = every if options.probabilities else None
            yield LabelPrediction(labels[best], float(row[best]), told)

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

    @derived
    def labels(self) -> tuple[Label, ...]:
        """The labels it tells apart, as they were given, in the order of the columns of
        `predict_proba`."""
        return self._kinds.labels(self._texts)

    @derived
    def _texts(self) -> tuple[str, ...]:
        return labels_of(self.files)[0]

    @derived
    def _kinds(self) -> LabelKinds:
        return labels_of(self.files)[1]

    @derived
    def runtime(self) -> RuntimeClassifier | RuntimeCommittee:
        """The network without torch."""
        reader, members = self._reader, self.config.members
        architecture = Architecture.from_json(self.files.config.get("architecture"))
        how: dict[str, Any] = {
            "pool": self.config.pooling,
            "features": reader.width if isinstance(reader, NumberInputs) else None,
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

    @derived
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
