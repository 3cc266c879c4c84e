"""Cells that do not come with the package, for the tables of tests: none of them is registered."""

from collections.abc import Mapping
from typing import Any

from recurra.cells import (
    Program,
    cos,
    exp,
    find,
    hard_sigmoid,
    log,
    maximum,
    minimum,
    relu,
    sigmoid,
    sin,
    softplus,
    softsign,
    sqrt,
    tanh,
    where,
)
from recurra.cells.definition import Cell


def minimal_gated(x, u, h, opt):
    """Zhou et al. 2016: a product of what depends on a product."""
    a = opt.norm(x)
    f = sigmoid(a.f + opt.norm(u(h)).f)
    n = tanh(a.n + opt.norm(u(f * h)).n)
    return dict(f=f, n=n, h=(1 - f) * h + f * n)


def independent(x, u, h, opt):
    """IndRNN (Li et al. 2018): no product with a state, a weight a unit."""
    return dict(h=relu(x.h + opt.peephole("h", h)))


def coupled(x, u, h, c, opt):
    """LSTM with input and forget gate in one, peepholes and a projection."""
    a = x + u(h)
    f = sigmoid(a.f + opt.peephole("f", c))
    c = f * c + (1 - f) * tanh(a.g)
    h = opt.project(sigmoid(a.o + opt.peephole("o", c)) * tanh(c))
    return dict(f=f, c=c, h=h)


def chain(x, u, h, opt):
    """Three products in a row, with functions that no built-in cell has."""
    a = softsign(x.a + u(h).a)
    b = softplus(x.b + u(a).b) * 0.5
    return dict(h=hard_sigmoid(x.c + u(b).c) - exp(-softplus(a)))


def normed(x, u, h, c, opt):
    """Norms of products, of a value, and of a part of the input's product."""
    a = opt.norm(u(h))
    g = opt.norm(x.g, "g") + a.g
    c = sigmoid(x.f + a.f) * c + tanh(g)
    return dict(c=c, h=tanh(opt.norm(c)))


def three(x, u, h, m, v, opt):
    """Products of two states and of a new one, an input gate of its own, a state that lags."""
    c = sigmoid(x.c)
    m = c * m + tanh(x.a + u(v).a)
    return dict(h=tanh(u(m).b - x.b + u(h).b) * 0.5, m=m, v=h)


def exchange(x, u, a, b, opt):
    """States that change places, one of them as it was."""
    return dict(a=b, b=tanh(x.g + u(a).g) * 0.5 + a * 0.25)


def of_the_input(x, u, h, opt):
    """Products of the input's product, and nothing before them."""
    return dict(h=tanh(u(tanh(u(x.g).g + x.g)).g))


def late(x, u, a, b, c, opt):
    """A gradient that is wanted after its place has been written."""
    g = opt.norm(u(c)).g
    c = tanh(tanh(g))
    return dict(a=tanh(opt.norm(c)), b=tanh(c * sigmoid(g) + 0.25 * b), c=c + 0.0 * opt.norm(x).g)


def forgetful(x, u, h, c, opt):
    """States that are the input itself, or start anew."""
    return dict(h=x.g, c=0.0 * c)


def crowded(x, u, a, b, c, d, opt):
    """As many states and gates as there may be."""
    left, right = x + u(a), u(d)
    g = [getattr(left, f"g{n}") + (getattr(right, f"g{n}") if n % 2 else 0) for n in range(8)]
    a = sigmoid(g[0]) * a + sigmoid(g[1]) * tanh(g[2])
    b = sigmoid(g[3]) * b - a
    c = tanh(g[4]) * c + tanh(g[5]) * b
    return dict(a=tanh(a), b=tanh(b), c=tanh(c), d=sigmoid(g[6]) * d + sigmoid(g[7]) * a)


def words(x, u, h, c, opt):
    """Every word, and learnt vectors and numbers."""
    a = sigmoid(x.a + u(h).a) / (1 + abs(h)) + opt.w * h * opt.alpha
    b = where(a > c, maximum(x.b, 0.1), minimum(c, a)) + sqrt(1 + h**2) - opt.dt * log(2 + sin(a))
    c = where(c < 0.25, 0.5 * c, 1 / (2 + c**3 * c) - cos(x.b))
    return dict(a=a, h=tanh(b), c=c)


def quotients(x, u, h, opt):
    """What is no number in padding, where all that is read is 0."""
    q = (x.a + u(h).b) / opt.w + log(abs(opt.w)) * opt.v
    return dict(h=tanh(q / (opt.w + opt.v / opt.w)) + tanh(u(q / opt.w).a))


def quotients_normed(x, u, h, opt):
    """The same, under a norm."""
    q = opt.norm(x.a / opt.w + u(h).b, "q")
    return dict(h=tanh(q + h / opt.w))


def unconnected(x, u, h, opt):
    """No product with a state."""
    return dict(h=(1 - sigmoid(x.z)) * h + sigmoid(x.z) * x.n)


def some_of_each(x, u, h, opt):
    """Products that have rows for other gates each, and for one together."""
    return dict(h=tanh(x.d + u(h).b * sigmoid(x.a) + u(h).d) + 0.5 * u(tanh(x.a)).c)


def normed_in_part(x, u, h, opt):
    """Norms of products of which not all gates are read."""
    a, b = opt.norm(x), opt.norm(u(h))
    return dict(h=tanh(a.b + b.c) * sigmoid(a.c))


def _hostile() -> Cell:
    """Names that mean something else in C++, or end a name and begin an instruction."""
    gates = ('"};', "class", "d0", "/*", "\\", "V")

    def define(x, u, b, p, new, opt):
        a = x + u(p)
        first = tanh(getattr(a, gates[0]) * sigmoid(getattr(a, gates[1])))
        second = tanh(getattr(a, gates[2]) + getattr(a, gates[3]) * b)
        third = tanh(getattr(a, gates[4]) - getattr(a, gates[5]) * p)
        looked_at = {'d1; }\n#error "', "v7", "kept", "ünïcode"}
        return {"b": first, "p": second, "new": third} | dict.fromkeys(looked_at, first)

    define.__name__ = 'x {}\n#error "*/'
    return Cell(define, states="b p new", gates=" ".join(gates))


def made(define: Any, options: str = "", gates: str = "", **more: Any) -> Cell:
    """The cell of a definition, whose states are its arguments."""
    states = define.__code__.co_varnames[2 : define.__code__.co_argcount - 1]
    return Cell(define, states=" ".join(states), gates=gates, options=options, **more)


WORDS = made(words, "dt=0.5", "a b", learnt="w alpha:1", init={"w": 0.9})
MINIMAL_GATED = made(minimal_gated, "norm", "f n")
_COUPLED = made(coupled, "peephole projection", "f g o")
_CHAIN = made(chain, "", "a b c")
_NORMED = made(normed, "norm", "f g")
HOSTILE = _hostile()

PROGRAMS: Mapping[str, Program] = {
    "minimal gated": MINIMAL_GATED.program(),
    "minimal gated, norm": MINIMAL_GATED.program(norm=True),
    "independent": made(independent, "peephole", "h").program(peephole=True),
    "coupled": _COUPLED.program(peephole=True),
    "coupled, projection, no bias": _COUPLED.program(projection=True, bias=False),
    "chain": _CHAIN.program(),
    "normed": _NORMED.program(norm=True),
    "normed, no bias": _NORMED.program(norm=True, bias=False),
    "three": made(three, "", "a b c").program(),
    "exchange": made(exchange, "", "g").program(),
    "of the input": made(of_the_input, "", "g").program(),
    "late": made(late, "norm", "g").program(norm=True),
    "forgetful": made(forgetful, "", "g").program(),
    "crowded": made(crowded, "", " ".join(f"g{n}" for n in range(8))).program(),
    "hostile": HOSTILE.program(),
    "words": WORDS.program(dt=0.25),
    "words, no bias": WORDS.program(bias=False),
    "quotients": made(quotients, "", "a b", learnt="w v:1", init={"w": 1.5}).program(),
    "quotients, norm": made(quotients_normed, "norm", "a b", learnt="w").program(norm=True),
    "nothing recurrent": made(unconnected, "", "z n").program(),
    "some gates of each": made(some_of_each, "", "a b c d").program(),
    "some gates of each, norm": made(normed_in_part, "norm", "b c").program(norm=True),
    "lstm, softsign by hard_sigmoid": find("lstm").program(
        activation="softsign", recurrent_activation="hard_sigmoid"
    ),
    "gru, softplus, before": find("gru").program(activation="softplus", reset="before"),
}
