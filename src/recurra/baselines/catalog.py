"""Who competes in which task. Imports none of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from recurra.errors import InputError


@dataclass(frozen=True)
class Contest:
    """What a task's models are compared by, and their rivals.

    Attributes:
        metric: the figure of `evaluate` that counts, where the data have none of it the first of
            `figures`; `higher` says whether more of it is better.
        figures: further ones that the table shows.
        rivals: "module:Class" by name, the module in `recurra.baselines` (see
            `recurra.baselines.protocol.Contender`), or
            "module:Class name=value …" with arguments of its own.
        models: who competes where nobody is named: cells, which stand for the task's own class with
            that cell, and rivals.
        inputs: "module:function" that makes of (data, settings of the task's class, settings of
            its data) a list of inputs, each for one call of `predict`.
    """

    metric: str
    higher: bool
    figures: tuple[str, ...]
    rivals: Mapping[str, str]
    models: tuple[str, ...]
    inputs: str


CONTESTS: dict[str, Contest] = {
    "lm": Contest(
        metric="perplexity",
        higher=False,
        figures=("bits_per_character",),
        rivals={
            "ngram": "language_model.ngram:NGramModel",
            "transformer": "language_model.transformer:TransformerLanguageModel",
        },
        models=("lstm", "ngram", "transformer"),
        inputs="language_model.ngram.model:single_prompts",
    ),
    "classify": Contest(
        metric="accuracy",
        higher=True,
        figures=("macro_f1",),
        rivals={
            "bag-of-words": "classifier.bag_of_words:BagOfWords weighting=counts ngrams=1",
            "tfidf": "classifier.bag_of_words:BagOfWords weighting=tfidf ngrams=2",
            "transformer": "classifier.transformer:TransformerClassifier",
        },
        models=("lstm", "bag-of-words", "tfidf", "transformer"),
        inputs="classifier.rival:single_inputs",
    ),
    "tag": Contest(
        metric="f1",
        higher=True,
        figures=("accuracy", "unknown_accuracy"),
        rivals={
            "hmm": "tagger.hmm:HMMTagger",
            "crf": "tagger.crfsuite:CRFTagger",
            "transformer": "tagger.transformer:TransformerTagger",
        },
        models=("gru", "hmm", "crf", "transformer"),
        inputs="tagger.rival:single_inputs",
    ),
    "forecast": Contest(
        metric="mase",
        higher=False,
        figures=("smape", "crps"),
        rivals={
            "seasonal-naive": "forecaster.classical:SeasonalNaive",
            "ets": "forecaster.classical:ExponentialSmoothing",
        },
        models=("gru", "seasonal-naive", "ets"),
        inputs="forecaster.classical:single_inputs",
    ),
    "transcribe": Contest(
        metric="word_error_rate",
        higher=False,
        figures=("character_error_rate",),
        rivals={
            "transformer": "transcriber.transformer:TransformerTranscriber",
        },
        models=("lstm", "transformer"),
        inputs="transcriber.rival:single_inputs",
    ),
    "translate": Contest(
        metric="bleu",
        higher=True,
        figures=("chrf", "error_rate", "wrong"),
        rivals={"transformer": "translator.transformer:TransformerTranslator"},
        models=("lstm", "transformer"),
        inputs="translator.rival:single_inputs",
    ),
}


def contest_of(word: str) -> Contest:
    """The contest of a task, by the command line's word for it; InputError where there is none."""
    if word not in CONTESTS:
        raise InputError(f"compare: expected a task of {', '.join(CONTESTS)}, received {word!r}")
    return CONTESTS[word]


def find(reference: str) -> tuple[Any, dict[str, Any]]:
    """What "module:name key=value …" says: the object, and the arguments."""
    path, *arguments = reference.split()
    module, _, name = path.partition(":")
    pairs = (argument.partition("=") for argument in arguments)
    given = {key: int(text) if text.isdecimal() else text for key, _, text in pairs}
    return getattr(import_module(f"recurra.baselines.{module}"), name), given
