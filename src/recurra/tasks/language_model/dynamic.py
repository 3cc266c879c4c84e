"""Dynamic evaluation (Krause et al. 2018): a language model learns from what it has predicted.

A text repeats its own words and names. After each segment the weights take a step down the gradient
of its loss, and a share of the way back to where training left them. No token is learnt from before
its loss is known.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from recurra.tasks.language_model.dynamic_settings import DynamicConfig
from recurra.tasks.language_model.network import RecurrentLM
from recurra.text import Batch
from recurra.train.step import map_state


def dynamic_losses(
    module: RecurrentLM,
    texts: Iterable[np.ndarray],
    config: DynamicConfig,
    *,
    sizes: Sequence[Tensor] | None = None,
) -> Iterator[np.ndarray]:
    """Measure texts one after the other; the module's weights are changed on the way.

    Args:
        module: the trained model; it is used without dropout.
        texts: ids (N,), N ≥ 2, each; a text's first token is context alone, and its state is new.
            The weights go on from text to text.
        config: how it learns.
        sizes: for the rule rms, what `gradient_sizes` found.

    Yields:
        -ln P (at most `config.segment`,) of the tokens of each segment, in nats, before the weights
        have learnt from them.
    """
    module.eval()
    learn = _Learning(module, config, sizes)
    for tokens in texts:
        ids = torch.from_numpy(tokens.astype(np.int64))[None]
        state = None
        for first in range(0, len(tokens) - 1, config.segment):
            last = min(first + config.segment, len(tokens) - 1)
            with torch.enable_grad():
                inputs, targets = ids[:, first:last], ids[:, first + 1 : last + 1]
                losses, state = module.losses(inputs, targets, state=state)
                gradients = torch.autograd.grad(losses.mean(), learn.parameters)
            state = map_state(Tensor.detach, state)
            yield losses[0].detach().double().numpy()
            learn(gradients)


def gradient_sizes(module: RecurrentLM, batches: Iterable[Batch]) -> list[Tensor]:
    """The root mean square, over batches of the training text, of each parameter's gradient."""
    module.eval()
    parameters = list(module.parameters())
    squares = [torch.zeros_like(p) for p in parameters]
    count = 0
    for batch in batches:
        inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
        with torch.enable_grad():
            losses, _ = module.losses(inputs, targets)
            gradients = torch.autograd.grad(losses.mean(), parameters)
        for square, gradient in zip(squares, gradients, strict=True):
            square.addcmul_(gradient, gradient)
        count += 1
    return [square.div_(max(count, 1)).sqrt_() for square in squares]


class _Learning:
    """One step of the weights from gradients."""

    def __init__(
        self, module: RecurrentLM, config: DynamicConfig, sizes: Sequence[Tensor] | None
    ) -> None:
        self.parameters = list(module.parameters())
        self._trained = [p.detach().clone() for p in self.parameters]
        self._lr, self._decay = config.step, config.decay
        self._steps: list[Tensor] | None = None
        self._backs: list[Tensor] | None = None
        if config.rule == "rms":
            assert sizes is not None
            mean = sum(float(s.sum()) for s in sizes) / sum(s.numel() for s in sizes)
            self._steps = [self._lr / (size + config.epsilon) for size in sizes]
            # Weights that matter more are drawn back more, and none beyond where it came from.
            scale = config.decay / mean if mean else 0.0
            self._backs = [(scale * size).clamp_(max=1) for size in sizes]

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor]) -> None:
        for n, (parameter, gradient) in enumerate(zip(self.parameters, gradients, strict=True)):
            away = self._trained[n] - parameter
            if self._steps is None or self._backs is None:
                parameter.add_(gradient, alpha=-self._lr).add_(away, alpha=self._decay)
            else:
                parameter.addcmul_(gradient, self._steps[n], value=-1)
                parameter.addcmul_(away, self._backs[n])
