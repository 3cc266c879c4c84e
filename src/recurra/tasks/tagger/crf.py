"""The linear-chain conditional random field (Lafferty et al. 2001) as a torch module."""

import torch
from torch import Tensor, nn

from recurra.errors import InputError

#: What a step that is not allowed adds to a score. Its exp is 0 in any precision, and the loss of
#: a sentence that takes such a step stays a finite number.
FORBIDDEN = -1e4


class CRF(nn.Module):
    """P(tags y | words) ∝ exp(start[y_1] + Σ e[t, y_t] + Σ transitions[y_t-1, y_t] + end[y_T]).

    Args:
        tags: K, number of tags.
        allowed: booleans (K + 2, K + 2) of which tag (row) may be followed by which (column), with
            the beginning as the row K and the end as the column K + 1; None allows all.

    Raises:
        InputError: the shape of `allowed` is another.
    """

    def __init__(self, tags: int, *, allowed: Tensor | None = None) -> None:
        super().__init__()
        self.tags = tags
        self.start = nn.Parameter(torch.zeros(tags))
        self.transitions = nn.Parameter(torch.zeros(tags, tags))
        self.end = nn.Parameter(torch.zeros(tags))
        if allowed is None:
            allowed = torch.ones(tags + 2, tags + 2, dtype=torch.bool)
        if allowed.shape != (tags + 2, tags + 2):
            raise InputError(
                f"CRF: expected allowed steps of shape {(tags + 2, tags + 2)}, "
                f"received {tuple(allowed.shape)}"
            )
        # Made anew from the tags' names where a model is loaded.
        self.register_buffer("allowed", allowed, persistent=False)

    def forward(self, emissions: Tensor, tags: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """ln P of tags.

        Args:
            emissions: scores of each tag at each word, (B, T, K).
            tags: (B, T), integers.
            mask: booleans (B, T): which words count. Any pattern is right: what does not count is
                as if it were not there. None counts all.

        Returns:
            (B,), in nats; 0 for a sentence without words.

        Raises:
            InputError: a shape does not fit.
        """
        batch, steps, count = emissions.shape
        if count != self.tags or tags.shape != (batch, steps):
            raise InputError(
                f"CRF: expected emissions (B, T, {self.tags}) and tags (B, T), "
                f"received {tuple(emissions.shape)} and {tuple(tags.shape)}"
            )
        if mask is not None and mask.shape != tags.shape:
            raise InputError(
                f"CRF: expected a mask of shape {tuple(tags.shape)}, received {tuple(mask.shape)}"
            )
        if mask is None:
            mask = tags.new_ones(tags.shape, dtype=torch.bool)
        # Score and sum are large, and near each other where the model is sure.
        wide, steps_between = emissions.double(), self.steps().double()
        score = _score(wide, steps_between, tags, mask)
        return (score - log_partition(wide, steps_between, mask)).to(emissions.dtype)

    def steps(self) -> Tensor:
        """The scores of all steps, (K + 2, K + 2): the beginning as row K, the end as column K + 1.

        Those that are not allowed have `FORBIDDEN` in place of their own.
        """
        scores = self.transitions.new_zeros(self.tags + 2, self.tags + 2)
        scores[:-2, :-2] = self.transitions
        scores[-2, :-2] = self.start
        scores[:-2, -1] = self.end
        return scores.masked_fill(~self.allowed, FORBIDDEN)


def log_partition(emissions: Tensor, steps: Tensor, mask: Tensor) -> Tensor:
    """ln of the sum of exp(score) over all sequences of tags.

    Its gradient is their expectation, from one forward-backward pass: autograd keeps nothing of
    the single words. First gradients only.

    Args:
        emissions: (B, T, K), float64.
        steps: scores (K + 2, K + 2), as `CRF.steps` gives them, float64.
        mask: booleans (B, T): which words count.

    Returns:
        (B,)
    """
    found: Tensor = _LogPartition.apply(emissions, steps, mask)
    if bool(found.isfinite().all()):
        return found
    return log_partition_by_steps(emissions, steps, mask)


def log_partition_by_steps(emissions: Tensor, steps: Tensor, mask: Tensor) -> Tensor:
    """The slow twin of `log_partition`: a logsumexp for each word, and autograd through them.

    It takes over where the fast one runs out of numbers, which is where a word tells tags apart
    by scores of hundreds and the words beside it contradict.
    """
    alpha = steps[-2, :-2].expand(len(emissions), -1)
    begun = torch.zeros_like(mask[:, 0])
    for row, counts in zip(emissions.unbind(1), mask.unbind(1), strict=True):
        went_on = torch.logsumexp(alpha[:, :, None] + steps[:-2, :-2], 1)
        into = torch.where(begun[:, None], went_on, alpha) + row
        alpha = torch.where(counts[:, None], into, alpha)
        begun = begun | counts
    total = torch.logsumexp(alpha + steps[:-2, -1], 1)
    return torch.where(begun, total, steps[-2, -1])


def _score(emissions: Tensor, steps: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
    """The score of tags (B, T), (B,)."""
    begin = emissions.shape[-1]
    inside = emissions.gather(2, tags[:, :, None]).squeeze(2).masked_fill(~mask, 0)
    # Of each word the place of the one before it that counts, -1 where it is the first.
    places = torch.arange(tags.shape[1], device=tags.device).where(mask, -1).cummax(1).values
    places = torch.cat([torch.full_like(places[:, :1], -1), places], 1)
    before = tags.gather(1, places.clamp(min=0)).where(places >= 0, begin)
    between = steps[before[:, :-1], tags].masked_fill(~mask, 0)
    return inside.sum(1) + between.sum(1) + steps[before[:, -1], -1]


class _LogPartition(torch.autograd.Function):
    """`log_partition` in probabilities, scaled to sum 1 after each word (Rabiner 1989, V.A).

    Both directions run in one loop: the backward one is the forward one from the sentence's end,
    over the steps turned round. Each begins in a state beside the tags, the beginning or the end,
    to which no word leads. At a word that does not count the state waits.
    """

    @staticmethod
    def forward(ctx, emissions, steps, mask):  # type: ignore[no-untyped-def]
        """Return ln Z, (B,)."""
        batch, words, tags = emissions.shape
        counts = mask.T[:, :, None]
        scores = emissions.transpose(0, 1).masked_fill(~counts, 0)
        peaks, top = scores.amax(2, keepdim=True), steps.max()
        weights = nn.functional.pad((scores - peaks).exp(), (0, 1))  # (T, B, K + 1)
        factors = (steps - top).exp()
        forth = [*range(tags), tags]
        back = [*range(tags), tags + 1]
        turns = factors[forth][:, forth][None]
        state = weights.new_zeros(1, batch, tags + 1)
        state[:, :, -1] = 1
        read, waits = weights[:, None], ~counts[:, None]
        both = any(ctx.needs_input_grad[:2])
        if both:
            turns = torch.cat([turns, factors.T[back][:, back][None]])
            state = state.expand(2, -1, -1)
            read = torch.stack([weights, weights.flip(0)], 1)
            waits = torch.stack([waits[:, 0], waits[:, 0].flip(0)], 1)
        states, sums = [state], []
        some_wait = bool(waits.any())
        for t in range(words):
            into = torch.bmm(state, turns) * read[t]
            total = into.sum(2, keepdim=True)
            into = into / total
            state = torch.where(waits[t], state, into) if some_wait else into
            states.append(state)
            sums.append(total[0])
        ended = state[0] @ factors[:-1, -1]
        found = ended.log() + top
        if words:
            scales = torch.stack(sums).log() + peaks + top
            found = found + scales.masked_fill(~counts, 0).sum(0).squeeze(1)
        if both:
            history = torch.stack(states)
            alpha, gamma = history[:, 0], history[1:, 1].flip(0)
            # Where the two contradict each other, no number is left to divide by.
            meet = ((alpha[:-1] @ turns[0]) * gamma).sum(2, keepdim=True)
            found = found + ((meet > 0) | ~counts).all(0).squeeze(1).log()
            ctx.save_for_backward(alpha, gamma, meet, factors, counts, ended)
        return found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        """Return the expectations of tags and steps, weighted by `gradient` (B,)."""
        alpha, gamma, meet, factors, counts, ended = ctx.saved_tensors
        tags = factors.shape[0] - 2
        begun = alpha[:-1]
        weighted = (gamma / meet * gradient[:, None]).masked_fill(~counts, 0)[:, :, :tags]
        by_word = (begun @ factors[:-1, :tags]) * weighted
        by_step = torch.zeros_like(factors)
        by_step[:-1, :tags] = factors[:-1, :tags] * torch.einsum("tbi,tbj->ij", begun, weighted)
        by_step[:-1, -1] = factors[:-1, -1] * ((gradient / ended) @ alpha[-1])
        return by_word.transpose(0, 1), by_step, None
