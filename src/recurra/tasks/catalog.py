"""The tasks there are, by name: what `recurra.load` and the command line read. Imports none."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from recurra.errors import FormatError

if TYPE_CHECKING:
    from recurra.storage import ModelFiles
    from recurra.tasks.base import TrainedModel


@dataclass(frozen=True)
class Entry:
    """One task.

    Attributes:
        word: what the command line calls it.
        task: what model directories call it.
        folder: its module in `recurra.tasks`.
        model: its class, in that module and in `recurra`.
        about: one line for help.
        data: help for the data that `train` takes.
        example: a command that trains it.
        many: whether several DATA make one.
        then: what to do with a trained one, a command with {run} for its directory, {data} for what
            it was trained on, and {suffix} for how the name of that ends.
    """

    word: str
    task: str
    folder: str
    model: str
    about: str
    data: str
    example: str
    then: str
    many: bool = False

    @property
    def module(self) -> str:
        """The module to import the class from."""
        return f"recurra.tasks.{self.folder}"

    def load(self) -> "type[TrainedModel]":
        """Import the class."""
        found: Any = getattr(import_module(self.module), self.model)
        return found


ENTRIES = (
    Entry(
        "lm",
        "language_model",
        "language_model",
        "LanguageModel",
        "a language model, of a text",
        "files, folders (*.txt, *.txt.gz, *.md), or -",
        "recurra train lm corpus.txt --minutes 3 --out runs/corpus",
        'recurra generate {run} "…"',
        many=True,
    ),
    Entry(
        "classify",
        "sequence_classifier",
        "classifier",
        "SequenceClassifier",
        "a classifier of texts, or of sequences of numbers",
        "a file with labels (.csv .tsv .jsonl .parquet; of numbers also .npz)",
        "recurra train classify reviews.csv --epochs 6 --out runs/reviews",
        "recurra predict {run} new{suffix}",
    ),
    Entry(
        "tag",
        "sequence_tagger",
        "tagger",
        "SequenceTagger",
        "a tagger of words: parts of speech, named entities",
        "tagged sentences: CoNLL columns, CoNLL-U, JSON lines",
        "recurra train tag train.conllu --valid dev.conllu --epochs 10 --out runs/tags",
        "recurra predict {run} FILE",
    ),
    Entry(
        "forecast",
        "forecaster",
        "forecaster",
        "Forecaster",
        "a forecaster, of time series",
        "a table of one series or many: .csv, .tsv, .parquet",
        "recurra train forecast series.csv --horizon 24 --minutes 3 --out runs/series",
        "recurra predict {run} {data}",
    ),
    Entry(
        "translate",
        "translator",
        "translator",
        "Translator",
        "a translator, of pairs of texts",
        "files of pairs (*.tsv, *.jsonl), or two files side by side",
        "recurra train translate pairs.tsv --minutes 3 --out runs/pairs",
        "recurra predict {run} sources.txt",
        many=True,
    ),
    Entry(
        "transcribe",
        "transcriber",
        "transcriber",
        "Transcriber",
        "a transcriber, of recorded speech and its text",
        "a manifest (.tsv of path TAB text, .jsonl), a folder or archive of .wav with .txt beside",
        "recurra train transcribe speech/train.tsv --minutes 20 --out runs/speech",
        "recurra predict {run} FILE.wav",
    ),
)


#: What further model directories hold, and where the class that reads them is.
_OTHERS = {
    "ngram_language_model": ("recurra.baselines.language_model.ngram", "NGramModel"),
    "transformer_language_model": (
        "recurra.baselines.language_model.transformer",
        "TransformerLanguageModel",
    ),
    "language_model_mixture": ("recurra.baselines.language_model.mixture", "MixtureModel"),
}


def from_files(files: "ModelFiles", *, precision: str = "float32") -> Any:
    """The model of files that were read, whatever its task; `precision` as in `recurra.load`.

    Raises:
        FormatError: of a task that is not known here, or damaged.
    """
    name = files.config.get("task")
    if not isinstance(name, str):
        raise FormatError(f'{files.path}: config.json, "task": expected a name, received {name!r}')
    entry = by_task(name)
    if entry is None and name not in _OTHERS:
        known = ", ".join([*(entry.task for entry in ENTRIES), *_OTHERS])
        raise FormatError(
            f"{files.path}: a model of the task {name!r}, which this version does not know "
            f"(it knows {known}): upgrade"
        )
    if entry is not None:
        return entry.load().from_files(files, precision=precision)
    module, cls = _OTHERS[name]
    return getattr(import_module(module), cls).from_files(files, precision=precision)


def by_task(name: str) -> Entry | None:
    """The entry of a model directory's task, if there is one."""
    return next((entry for entry in ENTRIES if entry.task == name), None)


def by_model(name: str) -> Entry | None:
    """The entry of a class's name, if there is one."""
    return next((entry for entry in ENTRIES if entry.model == name), None)
