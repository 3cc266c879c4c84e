"""The sequence tagger as a torch module: words and their characters, layers, a score a tag."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from recurra import ops
from recurra.errors import InputError
from recurra.nn.recurrent import Recurrent
from recurra.tasks.tagger.crf import CRF

#: Things of each of some words, all in a row, and how many each has.
Bags = tuple[Tensor, Tensor]


class CharacterEncoder(nn.Module):
    """A vector for a word, read from its characters in both directions (Ling et al. 2015).

    Args:
        characters: C, how many there are.
        rnn: one bidirectional layer, time-major; its input size is the width of their vectors.
    """

    def __init__(self, characters: int, rnn: Recurrent) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, rnn.input_size)
        nn.init.uniform_(self.embedding.weight, -0.5, 0.5)
        self.rnn = rnn

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """Read words (L, N), of each the first `lengths` (N,): the last states (N, 2 R)."""
        rows = self.embedding.weight
        x: Tensor | ops.Lookup
        if 2 * len(rows) <= characters.numel():
            x = ops.Lookup(rows, characters)
        else:
            x = functional.embedding(characters, rows)
        _, states = self.rnn(x, lengths=lengths)
        last = states if isinstance(states, Tensor) else states[0]
        return last.transpose(0, 1).flatten(1)


class FeatureScores(nn.Module):
    """Scores of tags from features of a word and of those beside it, as a linear CRF has them.

    Args:
        features: F, how many there are.
        tags: K.
        window: words on either side whose features count.
        dropout: of features, each word's by themselves.
    """

    def __init__(self, features: int, tags: int, *, window: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(features, (2 * window + 1) * tags))
        self.tags, self.window, self.dropout = tags, window, dropout

    def forward(self, places: Tensor, features: Bags, lengths: Tensor) -> Tensor:
        """Scores (T, B, K); the arguments are `Tagger`'s."""
        items, counts = features
        weights = functional.dropout(
            torch.ones_like(items, dtype=self.weight.dtype), self.dropout, self.training
        )
        summed = functional.embedding_bag(
            items, self.weight, counts.cumsum(0) - counts, mode="sum", per_sample_weights=weights
        )
        steps, batch = places.shape
        scores = functional.embedding(places, summed).view(steps, batch, -1, self.tags)
        inside = torch.arange(steps, device=places.device)[:, None] < lengths
        scores = scores.masked_fill(~inside[:, :, None, None], 0)
        beside = functional.pad(scores, (0, 0, 0, 0, 0, 0, self.window, self.window))
        return torch.stack([beside[k : k + steps, :, k] for k in range(scores.shape[2])]).sum(0)


class Tagger(nn.Module):
    """A score for each tag of each word, and what is between tags.

    Args:
        rnn: the layers, time-major: a `Recurrent`, or what reads and writes alike.
        tags: K.
        words: V, words of the vocabulary, of which 0 is the unknown word.
        embedding: E, width of the words' vectors; 0 for none.
        grams: how many character n-grams there are, with vectors of width `subwords`, of which a
            word has the sum over the root of their number.
        spelling: reads the characters; None where they are not read.
        features: adds to the scores; None for nothing.
        crf: the tags' chain; None where each word is tagged for itself.
        rarity: by word (V,), the probability that it is read as unknown in training.
        dropout: of the features of words, and of the layers' outputs.

    Raises:
        InputError: sizes that do not fit together, or neither words nor characters.
    """

    def __init__(
        self,
        rnn: nn.Module,
        tags: int,
        *,
        words: int,
        embedding: int,
        spelling: CharacterEncoder | None,
        grams: int = 0,
        subwords: int = 0,
        features: FeatureScores | None = None,
        crf: CRF | None = None,
        rarity: Tensor | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, embedding) if embedding else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=0.1)
        self.grams = nn.Embedding(grams, subwords) if subwords and grams else None
        if self.grams is not None:
            nn.init.normal_(self.grams.weight, std=0.1)
        self.spelling, self.rnn, self.crf, self.features = spelling, rnn, crf, features
        width = embedding + (spelling.rnn.output_size if spelling else 0)
        width += subwords if grams else 0
        reads, writes = int(rnn.input_size), int(rnn.output_size)
        if not width or width != reads:
            raise InputError(
                f"Tagger: expected layers that read vectors of {width}, received {reads}"
            )
        self.head = nn.Linear(writes, tags)
        nn.init.zeros_(self.head.bias)
        self.dropout = dropout
        self.register_buffer("rarity", rarity, persistent=False)

    def forward(
        self,
        words: Tensor,
        places: Tensor,
        groups: Sequence[tuple[Tensor, Tensor]],
        grams: Bags,
        features: Bags,
        lengths: Tensor,
    ) -> Tensor:
        """Score tags.

        Args:
            words: (T, B), numbers of the vocabulary.
            places: (T, B), rows among the distinct words of the batch.
            groups: their characters (L, N) and lengths (N,).
            grams, features: those of all of these words in a row, and how many each has (N,).
            lengths: of the sentences (B,).

        Returns:
            (T, B, K)
        """
        parts = []
        if self.embedding is not None:
            if self.training and self.rarity is not None:
                hidden = torch.rand(words.shape, device=words.device) < self.rarity[words]
                words = words.masked_fill(hidden, 0)
            parts.append(ops.embedding(words, self.embedding.weight)[0])
        if self.grams is not None:
            items, counts = grams
            starts = counts.cumsum(0) - counts
            summed = functional.embedding_bag(items, self.grams.weight, starts, mode="sum")
            scaled = summed / counts.clamp(min=1).to(summed.dtype).sqrt()[:, None]
            parts.append(functional.embedding(places, scaled))
        if self.spelling is not None:
            spelled = torch.cat([self.spelling(*group) for group in groups])
            parts.append(functional.embedding(places, spelled))
        x = functional.dropout(torch.cat(parts, -1), self.dropout, self.training)
        outputs, _ = self.rnn(x, lengths=lengths)
        scores: Tensor = self.head(functional.dropout(outputs, self.dropout, self.training))
        return scores + self.features(places, features, lengths) if self.features else scores

    def steps(self) -> Tensor | None:
        """The scores of steps between tags, as `CRF.steps` has them; None without a chain."""
        return None if self.crf is None else self.crf.steps()

    def loss(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """-ln P of tags (T, B) where `mask` (T, B), in nats: (B,), by sentence."""
        if self.crf is not None:
            by_sentence = (t.transpose(0, 1) for t in (emissions, tags, mask))
            scores, wanted, counts = by_sentence
            return -self.crf(scores, wanted, mask=counts)
        losses = functional.cross_entropy(
            emissions.flatten(0, 1), tags.flatten(), reduction="none"
        ).view(tags.shape)
        return losses.masked_fill(~mask, 0).sum(0)


class TaggerCommittee(nn.Module):
    """Several taggers side by side, each with weights of its own; what they say is averaged."""

    def __init__(self, members: Sequence[Tagger]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(
        self,
        words: Tensor,
        places: Tensor,
        groups: Sequence[tuple[Tensor, Tensor]],
        grams: Bags,
        features: Bags,
        lengths: Tensor,
    ) -> Tensor:
        """The scores of each, (M, T, B, K); arguments as for `Tagger`."""
        read = (words, places, groups, grams, features, lengths)
        return torch.stack([member(*read) for member in self.members])

    def steps(self) -> Tensor | None:
        """The mean of the members' scores between tags; None without a chain."""
        steps = [member.steps() for member in self.members]
        return None if steps[0] is None else torch.stack(steps).mean(0)

    def loss(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """The mean of the members' losses, each of its own scores (T, B, K): (B,)."""
        pairs = zip(self.members, emissions, strict=True)
        return torch.stack([member.loss(scores, tags, mask) for member, scores in pairs]).mean(0)
