"""`RNN`, `LSTM`, `GRU`: drop-in for `torch.nn`'s, and what those lack.

Positional arguments, defaults, parameter names and results are `torch.nn`'s; what comes after the
`*` is described in `Recurrent`.
"""

import torch

from recurra.cells import gru, lstm, rnn
from recurra.nn.recurrent import Recurrent


class RNN(Recurrent):
    """Vanilla recurrent layers: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh) (Elman 1990).

    `nonlinearity` is `tanh` or `relu` as in `torch.nn.RNN`, or any other function of
    `recurra.cells.FUNCTIONS`; `activation` is another name for it. The rest is `Recurrent`'s.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        activation: str | None = None,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0,
        weight_drop: float = 0.0,
        residual: bool = False,
        reverse: bool = False,
        merge: str = "concat",
        learn_initial_state: bool = False,
        init: str = "uniform",
        precision: str = "float32",
    ) -> None:
        super().__init__(
            rnn,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
            activation=activation or nonlinearity,
            layer_norm=layer_norm,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            weight_drop=weight_drop,
            residual=residual,
            reverse=reverse,
            merge=merge,
            learn_initial_state=learn_initial_state,
            init=init,
            precision=precision,
        )
        self.nonlinearity = activation or nonlinearity

    @property
    def mode(self) -> str:
        """`RNN_TANH`, `RNN_RELU` and so on, as in `torch.nn`."""
        return f"RNN_{self.nonlinearity.upper()}"


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997), gates stacked i f g o.

    The equations are `recurra.cells.lstm`'s; the arguments `Recurrent`'s.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        layer_norm: bool = False,
        peephole: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0,
        weight_drop: float = 0.0,
        residual: bool = False,
        reverse: bool = False,
        merge: str = "concat",
        learn_initial_state: bool = False,
        init: str = "uniform",
        precision: str = "float32",
    ) -> None:
        super().__init__(
            lstm,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
            activation=activation,
            recurrent_activation=recurrent_activation,
            layer_norm=layer_norm,
            peephole=peephole,
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            weight_drop=weight_drop,
            residual=residual,
            reverse=reverse,
            merge=merge,
            learn_initial_state=learn_initial_state,
            init=init,
            precision=precision,
        )


class GRU(Recurrent):
    """Gated recurrent units (Cho et al. 2014), gates stacked r z n; z keeps the old state.

    `reset="after"` applies the reset gate after the recurrent product (`torch.nn`, cuDNN),
    `"before"` before it, as in the paper. The rest is `Recurrent`'s.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        reset: str = "after",
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0,
        weight_drop: float = 0.0,
        residual: bool = False,
        reverse: bool = False,
        merge: str = "concat",
        learn_initial_state: bool = False,
        init: str = "uniform",
        precision: str = "float32",
    ) -> None:
        super().__init__(
            gru,
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
            activation=activation,
            recurrent_activation=recurrent_activation,
            layer_norm=layer_norm,
            options={"reset": reset},
            recurrent_dropout=recurrent_dropout,
            zoneout=zoneout,
            weight_drop=weight_drop,
            residual=residual,
            reverse=reverse,
            merge=merge,
            learn_initial_state=learn_initial_state,
            init=init,
            precision=precision,
        )
