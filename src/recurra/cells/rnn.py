"""The vanilla recurrent cell (Elman 1990)."""

from recurra.cells.definition import cell
from recurra.cells.functions import tanh


@cell(states="h", gates="h", options="norm")
def rnn(x, u, h, opt):
    a = opt.norm(x) + opt.norm(u(h))
    h = tanh(a.h)
    return dict(h=h)
