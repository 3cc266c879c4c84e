"""The gated recurrent unit (Cho et al. 2014).

`z` keeps the old state, as in `torch.nn`; where a text lets `1 - z` keep it, the two agree with the
sign of z's weights and biases turned round, since sigmoid(-a) = 1 - sigmoid(a).
"""

from recurra.cells.definition import cell
from recurra.cells.functions import sigmoid, tanh


@cell(states="h", gates="r z n", options="norm reset=after|before")
def gru(x, u, h, opt):
    a, b = opt.norm(x), opt.norm(u(h))
    r = sigmoid(a.r + b.r)
    z = sigmoid(a.z + b.z)
    n = tanh(a.n + (r * b.n if opt.reset == "after" else opt.norm(u(r * h)).n))
    h = (1 - z) * n + z * h
    return dict(r=r, z=z, n=n, h=h)
