"""N-gram language models with interpolated modified Kneser–Ney smoothing."""

from recurra.baselines.language_model.ngram.counts import Grams, count_grams
from recurra.baselines.language_model.ngram.discounts import discounts
from recurra.baselines.language_model.ngram.kneser_ney import KneserNey
from recurra.baselines.language_model.ngram.model import NGramConfig, NGramModel

__all__ = ["Grams", "KneserNey", "NGramConfig", "NGramModel", "count_grams", "discounts"]
