"""Modified Kneser–Ney as one would write it down: dictionaries of tuples, one formula after the
other. The twin of `recurra.baselines.language_model.ngram`, and a judge for it."""

import itertools
from collections import Counter, defaultdict


class SlowKneserNey:
    def __init__(self, tokens, *, order, vocabulary, end=None, fallback=(0.5, 1.0, 1.5)):
        self.order, self.vocabulary = order, vocabulary
        self.counts = [adjusted(texts(tokens, end), n, order) for n in range(1, order + 1)]
        self.discounts = [chen_goodman(counts, fallback) for counts in self.counts]

    def p(self, word, history):
        """P(word | history), history a tuple of tokens."""
        return self._p(word, tuple(history)[max(len(history) - self.order + 1, 0) :])

    def _p(self, word, history):
        counts, taken = self.counts[len(history)], self.discounts[len(history)]
        lower = self._p(word, history[1:]) if history else 1 / self.vocabulary
        after = [counts[(*history, w)] for w in range(self.vocabulary)]
        total = sum(after)
        if total == 0:
            return lower
        own = counts[(*history, word)]
        gamma = sum(taken[min(c, 3)] for c in after) / total
        return (own - taken[min(own, 3)]) / total + gamma * lower


def texts(tokens, end):
    """Each text with the token before its first one."""
    tokens = list(map(int, tokens))
    if end is None:
        return [tokens]
    marks = [0, *(i for i in range(1, len(tokens)) if tokens[i] == end), len(tokens) - 1]
    return [tokens[a : b + 1] for a, b in itertools.pairwise(marks) if b > a]


def adjusted(texts, n, order):
    if n == order:
        return Counter(gram for text in texts for _, gram in predicted(text, n))
    left = defaultdict(set)
    begins = Counter()
    for text in texts:
        for place, gram in predicted(text, n):
            if place == 0:
                begins[gram] += 1
            else:
                left[gram].add(text[place - 1])
    return begins + Counter({gram: len(tokens) for gram, tokens in left.items()})


def predicted(text, n):
    """The n-grams of a text and where they begin; its first token is only ever read."""
    for place in range(len(text) - n + 1):
        if place + n > 1:
            yield place, tuple(text[place : place + n])


def chen_goodman(counts, fallback):
    n = Counter(counts.values())
    if not (n[1] and n[2] and n[3]):
        return (0.0, *fallback)
    y = n[1] / (n[1] + 2 * n[2])
    found = [j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3)]
    if any(not 0 <= d <= j for j, d in enumerate(found, 1)):
        return (0.0, *fallback)
    return (0.0, *found)
