"""BLEU, chrF and error rates of texts against one or several references each.

BLEU and chrF are sacrebleu's at its defaults (Post 2018), to the last digit: that package is the
judge in the tests and is not needed here.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from recurra.checked import checked
from recurra.errors import InputError
from recurra.given import NOTHING, LeftOut, shown
from recurra.tasks import figures
from recurra.tasks.answers import Figures
from recurra.tasks.figures import mean

if TYPE_CHECKING:
    from recurra.tasks.translator.decoding import Translation
    from recurra.tasks.translator.pairs import Pairs

BLEU_ORDER, CHRF_ORDER, CHRF_BETA = 4, 6, 2

#: The rules of the NIST's mteval-v13a, which parts words from punctuation.
_13A = [
    (re.compile(r"([{-~\[-` -&(-+:-@/])"), r" \1 "),
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
]
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))

Symbol = TypeVar("Symbol", bound=Hashable)


@dataclass(frozen=True)
class ErrorRate:
    """How many texts differ from their references, and by how many edits.

    edits, length: summed over the nearest references, in tokens. wrong: texts that equal none of
    their references. texts: how many there are.
    """

    edits: int
    length: int
    wrong: int
    texts: int

    @property
    def tokens(self) -> float:
        """Edits per token of the references: the phoneme or word error rate; without any reference
        infinite where there is an edit, else NaN."""
        return self.edits / self.length if self.length else math.inf if self.edits else math.nan

    @property
    def whole(self) -> float:
        """Share of texts that equal none of their references: the word error rate of spellings;
        NaN without any."""
        return mean(self.wrong, self.texts)


@checked
def bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU of words (Papineni et al. 2002), 0 to 100.

    Words as mteval-v13a cuts them, case counts, up to four words in a row; the reference nearest in
    length counts for brevity; where no four words in a row are right, their number is smoothed
    exponentially.

    Args:
        hypotheses: texts.
        references: for each text one or more.

    Returns:
        The figure; NaN without any text.

    Raises:
        InputError: not as many lists of references as texts, or an empty one.
    """
    _check(hypotheses, references)
    right, total = [0] * BLEU_ORDER, [0] * BLEU_ORDER
    written = wanted = 0
    for text, others in zip(hypotheses, references, strict=True):
        words, targets = _words(text), [_words(other) for other in others]
        written += len(words)
        wanted += min((abs(len(t) - len(words)), len(t)) for t in targets)[1]
        for n in range(1, BLEU_ORDER + 1):
            found, most = _grams(words, n), Counter[tuple[str, ...]]()
            for target in targets:
                most |= _grams(target, n)
            right[n - 1] += (found & most).total()
            total[n - 1] += found.total()
    if not hypotheses:
        return math.nan
    return _bleu(right, total, written, wanted)


@checked
def chrf(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus chrF: F-score (β = 2) of up to six characters in a row (Popović 2015), 0 to 100.

    White space does not count. Of several references each text is held to its best. NaN
    without any text.

    Args:
        hypotheses, references: as for `bleu`.

    Raises:
        InputError: as for `bleu`.
    """
    _check(hypotheses, references)
    sums = [[0, 0, 0] for _ in range(CHRF_ORDER)]
    for text, others in zip(hypotheses, references, strict=True):
        # Of references that are equally good the first.
        best = max((_character_counts(text, other) for other in others), key=_chrf)
        for sum_, counts in zip(sums, best, strict=True):
            for i, count in enumerate(counts):
                sum_[i] += count
    return _chrf(sums) if hypotheses else math.nan


@checked
def error_rate(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    cut: Callable[[str], Sequence[Hashable]] = str.split,
) -> ErrorRate:
    """Edits from each text to its nearest reference, token by token.

    Args:
        hypotheses, references: as for `bleu`.
        cut: makes tokens of a text; by default what white space parts. `list` for characters.

    Returns:
        The sums. Of references with equally few edits the longest counts, and of a text's tokens
        the fewest possible edits (Levenshtein 1966).

    Raises:
        InputError: as for `bleu`.
    """
    _check(hypotheses, references)
    edits = length = wrong = 0
    for text, others in zip(hypotheses, references, strict=True):
        tokens = cut(text)
        found = ((distance(tokens, target), -len(target)) for target in map(cut, others))
        fewest, size = min(found)
        edits, length, wrong = edits + fewest, length - size, wrong + (fewest > 0)
    return ErrorRate(edits, length, wrong, len(hypotheses))


def distance(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """The fewest insertions, deletions and substitutions that make `b` of `a`."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def _words(text: str) -> list[str]:
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, character in _ENTITIES if "&" in text else ():
        text = text.replace(entity, character)
    text = f" {text} "
    for pattern, replacement in _13A:
        text = pattern.sub(replacement, text)
    return text.split()


def _grams(symbols: Sequence[Symbol], n: int) -> Counter[tuple[Symbol, ...]]:
    return Counter(zip(*(symbols[i:] for i in range(n)), strict=False))


def _bleu(right: Sequence[int], total: Sequence[int], written: int, wanted: int) -> float:
    if not any(right) or not all(total):
        return 0.0
    smooth, logs = 1.0, 0.0
    for correct, count in zip(right, total, strict=True):
        if correct == 0:
            smooth *= 2
        logs += math.log(100 * correct / count if correct else 100 / (smooth * count))
    brevity = 1.0 if written >= wanted else math.exp(1 - wanted / written)
    return brevity * math.exp(logs / BLEU_ORDER)


def _character_counts(text: str, other: str) -> list[tuple[int, int, int]]:
    """Of n characters in a row, for each n: what `text` has, what `other` has, and what both."""
    a, b = "".join(text.split()), "".join(other.split())
    made = []
    for n in range(1, CHRF_ORDER + 1):
        found, wanted = (Counter(s[i : i + n] for i in range(len(s) - n + 1)) for s in (a, b))
        made.append((found.total() if wanted else 0, wanted.total(), (found & wanted).total()))
    return made


def _chrf(counts: Sequence[Sequence[int]]) -> float:
    both = [(found, wanted, right) for found, wanted, right in counts if found and wanted]
    if not both:
        return 0.0
    precision = sum(right / found for found, _, right in both) / len(both)
    recall = sum(right / wanted for _, wanted, right in both) / len(both)
    if not precision + recall:
        return 0.0
    factor = CHRF_BETA**2
    return 100 * ((1 + factor) * precision * recall / (factor * precision + recall))


def _check(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if len(hypotheses) != len(references):
        raise InputError(
            f"references: expected a list for each of {len(hypotheses)} texts, received "
            f"{len(references)}"
        )
    for number, others in enumerate(references):
        if isinstance(others, str) or not others:
            raise InputError(
                f"references of text {number}: expected a list of at least one, received "
                f"{shown(others)}"
            )


@dataclass(frozen=True)
class TranslatorScores(Figures):
    """How good translations are, each against all references of its source.

    bleu, chrf: of the corpus, 0 to 100 (sacrebleu's at its defaults). error_rate: edits per token
    of the nearest reference, tokens being what white space parts: the phoneme error rate of sounds,
    the word error rate of sentences. wrong: share of sources whose translation is none of their
    references: the word error rate of spellings. nats_per_token: mean negative log-likelihood of
    the references' tokens, in the model's own vocabulary. sources, references: how many. left_out:
    pairs that could not be read.
    """

    bleu: float
    chrf: float
    error_rate: float
    wrong: float
    nats_per_token: float
    sources: int
    references: int
    left_out: LeftOut = NOTHING

    def to_dict(self) -> dict[str, Any]:
        """All figures, as JSON values."""
        return dict(figures.plain(asdict(self)))

    def __str__(self) -> str:
        return (
            f"BLEU {figures.shown(self.bleu, '.2f')}, chrF {figures.shown(self.chrf, '.2f')}, "
            f"error rate {figures.shown(100 * self.error_rate, '.2f')} %, "
            f"wrong {figures.shown(100 * self.wrong, '.2f')} %, "
            f"{figures.shown(self.nats_per_token, '.4f')} nats per token "
            f"({self.sources:,} sources, {self.references:,} references)"
        )


def score(
    texts: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    nats_per_token: float,
    left_out: LeftOut = NOTHING,
) -> TranslatorScores:
    """All figures of some translations."""
    edits = error_rate(texts, references)
    words = any(text.strip() for some in (texts, *references) for text in some)
    return TranslatorScores(
        bleu=bleu(texts, references) if words else math.nan,
        chrf=chrf(texts, references) if words else math.nan,
        error_rate=edits.tokens,
        wrong=edits.whole,
        nats_per_token=nats_per_token,
        sources=len(texts),
        references=sum(map(len, references)),
        left_out=left_out,
    )


def score_pairs(
    pairs: "Pairs",
    translate: "Callable[[Sequence[str]], Sequence[Translation]]",
    *,
    nats_per_token: float,
) -> TranslatorScores:
    """All figures of the translations of some sources, each held to all targets it has."""
    sources, references = pairs.references()
    texts = [translation.text for translation in translate(sources)]
    return score(texts, references, nats_per_token=nats_per_token, left_out=pairs.left_out)
