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
        rivals: "module:Class" by name (see `recurra.baselines.protocol.Contender`), or
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
            "ngram": "recurra.baselines.ngram:NGramModel",
            "transformer": (
                "recurra.baselines.transformer_language_model:TransformerLanguageModel"
            ),
        },
        models=("lstm", "ngram", "transformer"),
        inputs="recurra.baselines.ngram.model:single_prompts",
    ),
    "classify": Contest(
        metric="accuracy",
        higher=True,
        figures=("macro_f1",),
        rivals={
            "bag-of-words": "recurra.baselines.bag_of_words:BagOfWords weighting=counts ngrams=1",
            "tfidf": "recurra.baselines.bag_of_words:BagOfWords weighting=tfidf ngrams=2",
            "transformer": "recurra.baselines.transformer_classifier:TransformerClassifier",
        },
        models=("lstm", "bag-of-words", "tfidf", "transformer"),
        inputs="recurra.baselines.classifying:single_inputs",
    ),
    "tag": Contest(
        metric="f1",
        higher=True,
        figures=("accuracy", "unknown_accuracy"),
        rivals={
            "hmm": "recurra.baselines.hmm:HMMTagger",
            "crf": "recurra.baselines.crfsuite:CRFTagger",
            "transformer": "recurra.baselines.transformer_tagger:TransformerTagger",
        },
        models=("gru", "hmm", "crf", "transformer"),
        inputs="recurra.baselines.tagging:single_inputs",
    ),
    "forecast": Contest(
        metric="mase",
        higher=False,
        figures=("smape", "crps"),
        rivals={
            "seasonal-naive": "recurra.baselines.forecasting:SeasonalNaive",
            "ets": "recurra.baselines.forecasting:ExponentialSmoothing",
        },
        models=("gru", "seasonal-naive", "ets"),
        inputs="recurra.baselines.forecasting:single_inputs",
    ),
    "transcribe": Contest(
        metric="word_error_rate",
        higher=False,
        figures=("character_error_rate",),
        rivals={
            "transformer": "recurra.baselines.transformer_transcriber:TransformerTranscriber",
        },
        models=("lstm", "transformer"),
        inputs="recurra.baselines.transcribing:single_inputs",
    ),
    "translate": Contest(
        metric="bleu",
        higher=True,
        figures=("chrf", "error_rate", "wrong"),
        rivals={"transformer": "recurra.baselines.transformer_translator:TransformerTranslator"},
        models=("lstm", "transformer"),
        inputs="recurra.baselines.translating:single_inputs",
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
    return getattr(import_module(module), name), given
