"""A figure over nothing: never 0, never perfect; NaN as a float, null in JSON, or refused."""

import json
import math

import numpy as np
import pytest

from recurra.errors import InputError
from recurra.tasks import figures
from recurra.tasks.classifier import scores as classification
from recurra.tasks.forecaster import figures as forecasting
from recurra.tasks.forecaster.scores import ForecastScores, backtest
from recurra.tasks.language_model.scores import Evaluation
from recurra.tasks.tagger import scores as tagging
from recurra.tasks.transcriber import scores as transcription
from recurra.tasks.transcriber.transcript import Judgement
from recurra.tasks.translator import scores as translation
from recurra.tasks.translator.task import score

NOTHING = np.zeros(0)
MISSING = np.full(3, np.nan)
ZEROS = np.zeros((2, 2), int)

#: Every figure of the package over no item, and over items that are all missing.
FIGURES = {
    "mae": lambda: forecasting.mae(NOTHING, NOTHING),
    "mae of missing truths": lambda: forecasting.mae(np.ones(3), MISSING),
    "mse": lambda: forecasting.mse(np.ones(3), MISSING),
    "smape": lambda: forecasting.smape(np.ones(3), MISSING),
    "mase": lambda: forecasting.mase(np.ones(3), MISSING, np.arange(9.0)),
    "mase without a season": lambda: forecasting.mase(np.ones(3), np.ones(3), np.ones(9)),
    "seasonal error": lambda: forecasting.seasonal_error(NOTHING, 1),
    "pinball": lambda: forecasting.pinball(np.ones((3, 1)), MISSING, [0.5]),
    "crps of quantiles": lambda: forecasting.crps_from_quantiles(np.ones((3, 1)), MISSING, [0.5]),
    "crps of samples": lambda: forecasting.crps_from_samples(np.ones((2, 3)), MISSING),
    "coverage": lambda: forecasting.coverage(np.ones(3), np.ones(3), MISSING),
    "accuracy": lambda: classification.accuracy(ZEROS),
    "macro-F1": lambda: classification.macro_f1(ZEROS),
    "accuracy of tags": lambda: tagging.tag_accuracy([], []),
    "accuracy of tags of no words": lambda: tagging.tag_accuracy([[]], [[]]),
    "macro-F1 of entities": lambda: tagging.entity_scores([["O"]], [["O"]]).macro_f1,
    "word errors": lambda: transcription.word_errors([""], [""]).rate,
    "word errors of no texts": lambda: transcription.word_errors([], []).rate,
    "character errors": lambda: transcription.character_errors([""], [" "]).rate,
    "BLEU": lambda: translation.bleu([], []),
    "chrF": lambda: translation.chrf([], []),
    "error rate": lambda: translation.error_rate([""], [[""]]).tokens,
    "error rate of no texts": lambda: translation.error_rate([], []).tokens,
    "wrong": lambda: translation.error_rate([], []).whole,
    "nats a token": lambda: Evaluation(0.0, 0, 0, 0).nats_per_token,
    "perplexity": lambda: Evaluation(0.0, 0, 0, 0).perplexity,
    "bits a character": lambda: Evaluation(0.0, 0, 0, 0).bits_per_character,
    "a mean": lambda: figures.mean(0.0, 0),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_over_nothing_is_absent_or_refused(name):
    if name.startswith("accuracy of tags"):
        with pytest.raises(InputError, match="received none"):
            FIGURES[name]()
    else:
        assert math.isnan(FIGURES[name]())


#: What `evaluate` gives back where there was nothing; keys that are null, the others are counts.
RESULTS = {
    "classifier": (
        classification.Classified.measure(NOTHING.astype(int), np.zeros((0, 2)), ("a", "b")),
        {"accuracy", "macro_f1", "loss"},
    ),
    "tagger": (
        tagging.entity_scores([["O"]], [["O"]]), {"precision", "recall", "f1", "macro_f1"},
    ),
    "transcriber": (
        Judgement.of([""], [""], seconds=1.0), {"word_error_rate", "character_error_rate"},
    ),
    "translator": (
        score([""], [[""]], nats_per_token=math.nan),
        {"bleu", "chrf", "error_rate", "nats_per_token"},
    ),
    "language model": (
        Evaluation(0.0, 0, 0, 0),
        {"nats_per_token", "perplexity", "bits_per_character", "word_perplexity"},
    ),
    "forecaster": (
        ForecastScores(*[math.nan] * 7, coverage={0.8: math.nan}, by_step=(math.nan,)),
        {"mae", "mse", "scaled_mae", "scaled_mse", "smape", "mase", "crps"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_absent_figures_are_null_in_json_and_never_shown_as_numbers(name):
    result, absent = RESULTS[name]
    found = result.to_dict()
    text = json.dumps(found, allow_nan=False)
    assert {key for key, value in found.items() if value is None} == absent
    assert "nan" not in str(result).lower()
    if name == "forecaster":
        assert '"coverage": {"0.8": null}' in text
        assert found["by_step"] == [None]


def test_a_backtest_without_a_value_is_refused():
    from recurra.tasks.forecaster.panel import Panel

    values = np.r_[np.arange(20.0), [np.nan] * 4]
    with pytest.raises(InputError, match=r"values among the last 4 steps.*--steps"):
        backtest(
            Panel.of(values), lambda rows: None,
            horizon=4, steps=4, stride=1, season=1, deviations=[np.ones(1)],
        )  # fmt: skip
