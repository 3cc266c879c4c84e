"""N-gram language models with interpolated modified Kneser–Ney smoothing."""

from recurra.baselines.ngram.counts import Grams, count_grams
from recurra.baselines.ngram.discounts import discounts
from recurra.baselines.ngram.kneser_ney import KneserNey
from recurra.baselines.ngram.model import NGramConfig, NGramModel

__all__ = ["Grams", "KneserNey", "NGramConfig", "NGramModel", "count_grams", "discounts"]
