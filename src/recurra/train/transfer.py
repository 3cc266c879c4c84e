"""Weights of one model as the beginning of another."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from recurra.errors import FormatError


def carry_over(module: nn.Module, tensors: Mapping[str, np.ndarray], *, where: str) -> None:
    """Copy tensors into the parameters of the same names; all others stay as they were drawn.

    Raises:
        FormatError: the module has no parameter of that name and shape; `where` is what it names.
    """
    own = module.state_dict()  # data of layers among them, as masks are
    wrong = [n for n, t in tensors.items() if n not in own or own[n].shape != t.shape]
    if wrong:
        raise FormatError(
            f"{where}: expected weights of the layers it describes, found others: "
            f"{', '.join(sorted(wrong)[:3])}: "
            "restore the files from a copy"
        )
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(torch.from_numpy(np.array(tensor)))
