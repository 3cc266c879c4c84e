"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000)."""

from recurra.cells.definition import cell
from recurra.cells.functions import sigmoid, tanh


@cell(states="h c", gates="i f g o", init={"f": 1.0}, options="norm peephole projection")
def lstm(x, u, h, c, opt):
    a = opt.norm(x) + opt.norm(u(h))
    i = sigmoid(a.i + opt.peephole("i", c))
    f = sigmoid(a.f + opt.peephole("f", c))
    g = tanh(a.g)
    c = f * c + i * g
    o = sigmoid(a.o + opt.peephole("o", c))
    h = opt.project(o * tanh(opt.norm(c)))
    return dict(i=i, f=f, g=g, o=o, c=c, h=h)
