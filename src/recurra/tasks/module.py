"""A fitted network as a module of torch, and its weights back into the model."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from recurra.storage import ModelFiles

#: What a model directory says of weights that no training of ours ended with.
_CHANGED = "weights were changed in torch after the training that the figures are of"


class WithModule:
    """Base of models whose network can be had as a `torch.nn.Module`."""

    _files: "ModelFiles | None"

    if TYPE_CHECKING:

        @property
        def config(self) -> Any: ...  # noqa: D102
        @property
        def files(self) -> ModelFiles: ...  # noqa: D102

        _training_side: Callable[[], Any]
        _derive: Callable[[], None]

    def network(self) -> Any:
        """A copy of the fitted network as a `torch.nn.Module`, in eval mode; needs torch.

        Its parameters are float32 on the CPU. What its `forward` takes stands with its class
        (`help(model.network())`). Changes to it leave the model alone until `set_network`.

        Raises:
            InputError: the model is not trained, or torch is not installed.
            FormatError: the model directory has other weights than its configuration says.
        """
        files, side = self.files, self._training_side().SIDE
        from recurra.tasks.training import network_of

        return network_of(side, self.config, files)

    def set_network(self, network: Any) -> Self:
        """Take the weights of a module that `network` returned; returns the model.

        The model answers, saves and trains further with them. Where they have changed, the model
        directory says that its figures are of those before.

        Args:
            network: the module, on any device, in any floating-point type: weights become float32.

        Raises:
            InputError: weights of other names or shapes, or that are not finite; the model stays
                as it is.
        """
        files = self.files
        self._training_side()
        from recurra.tasks.training import weights_of_network

        tensors = weights_of_network(network, files)
        if all(_same(value, files.tensors[name]) for name, value in tensors.items()):
            return self
        training = dict(files.config.get("training", {}))
        notes = [*training.get("notes", ())]
        card = files.card
        if _CHANGED not in notes:
            training["notes"] = [*notes, _CHANGED]
            head, figures, rest = card.partition("\n| ")
            note = f"\n- {_CHANGED[:1].upper()}{_CHANGED[1:]}.\n"
            card = head + note + figures + rest if figures else card + note
        config = {**files.config, "training": training}
        before = self._files
        self._files = replace(files, config=config, tensors=tensors, card=card)
        try:
            self._derive()
        except BaseException:
            self._files = before
            self._derive()
            raise
        return self


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays are the same bytes."""
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()
