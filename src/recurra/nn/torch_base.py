"""What code written for `torch.nn`'s recurrent layers looks for in a layer, beyond calling it.

`Recurrent` is a `torch.nn.RNNBase`, so that `isinstance` finds it where people initialise, count or
freeze recurrent layers. It is not an `nn.LSTM`, `nn.GRU` or `nn.RNN`: what converts or quantises
torch's own layers reads their class, and must leave ours alone.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from recurra.errors import InputError


class LikeTorchs(nn.Module):
    """The attributes and checks of `torch.nn.RNNBase`, read from a layer's own parameters."""

    @property
    def mode(self) -> str:
        """The cell's name in capitals, as in `torch.nn` ("LSTM", "GRU")."""
        return self.cell.name.upper()

    @property
    def _flat_weights_names(self) -> list[str]:
        names = self.__dict__.get("_names", ())  # none yet while a layer is being made
        return [full for layer in names for full in layer.values()]

    @property
    def _flat_weights(self) -> list[Tensor | None]:
        return [getattr(self, name, None) for name in self._flat_weights_names]

    @_flat_weights.setter
    def _flat_weights(self, weights: Sequence[Tensor]) -> None:
        names = self._flat_weights_names
        if len(weights) != len(names):
            raise InputError(
                f"{type(self).__name__}._flat_weights: expected {len(names)} weights "
                f"({', '.join(names)}), received {len(weights)}"
            )
        for name, weight in zip(names, weights, strict=True):
            if weight is getattr(self, name, None):
                continue
            if not isinstance(weight, nn.Parameter):
                self._parameters.pop(name, None)  # a computed weight takes the parameter's place
            setattr(self, name, weight)

    @property
    def _all_weights(self) -> list[list[str]]:
        return [list(layer.values()) for layer in self.__dict__.get("_names", ())]

    def _init_flat_weights(self) -> None:
        """Do nothing: the list is read from the parameters each time."""

    def flatten_parameters(self) -> None:
        """Forget what is kept of the weights for calls of few steps.

        Only needed after a change that neither autograd's version counter nor a comparison of some
        values can notice: of single elements of a large matrix through `.data` or a view of numpy.
        """
        self._forget_weights()

    def _replicate_for_data_parallel(self) -> nn.Module:
        return nn.Module._replicate_for_data_parallel(self)

    def get_expected_cell_size(
        self, input: Tensor, batch_sizes: Tensor | None
    ) -> tuple[int, int, int]:
        """The shape (L * D, B, H) of states that are not projected; arguments as torch's."""
        rows, batch, _ = self.get_expected_hidden_size(input, batch_sizes)
        return rows, batch, self.hidden_size

    def check_forward_args(
        self,
        input: Tensor,
        hidden: Tensor | tuple[Tensor, ...],
        batch_sizes: Tensor | None,
    ) -> None:
        """Check an input and states as `torch.nn`'s layers do.

        Raises:
            RuntimeError: a shape does not fit.
            ValueError: the input has another dtype than the weights.
        """
        self.check_input(input, batch_sizes)
        states = (hidden,) if isinstance(hidden, Tensor) else hidden
        first = self.get_expected_hidden_size(input, batch_sizes)
        rest = self.get_expected_cell_size(input, batch_sizes)
        for k, state in enumerate(states):
            what = f"Expected hidden[{k}] size {{}}, got {{}}"
            self.check_hidden_size(state, rest if k else first, what)

    def permute_hidden(
        self, hx: Tensor | tuple[Tensor, ...], permutation: Tensor | None
    ) -> Tensor | tuple[Tensor, ...]:
        """Return states (·, B, ·) with their batch in the order of `permutation` (B,)."""
        if permutation is None:
            return hx
        if isinstance(hx, Tensor):
            return hx.index_select(1, permutation)
        return tuple(s.index_select(1, permutation) for s in hx)
