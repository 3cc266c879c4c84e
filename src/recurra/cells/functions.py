"""The pointwise functions equations are written with."""

from recurra.cells.words import before, function, mean, softmax, total, where, word

__all__ = [
    "before",
    "cos",
    "exp",
    "floor",
    "hard_sigmoid",
    "log",
    "maximum",
    "mean",
    "minimum",
    "relu",
    "sigmoid",
    "sin",
    "softmax",
    "softplus",
    "softsign",
    "sqrt",
    "tanh",
    "total",
    "where",
]

tanh = function("tanh")
sigmoid = function("sigmoid")
relu = function("relu")
softsign = function("softsign")
softplus = function("softplus")
exp = function("exp")
hard_sigmoid = function("hard_sigmoid")
sqrt = word("sqrt")
log = word("log")
sin = word("sin")
cos = word("cos")
floor = word("floor")
maximum = word("maximum")
minimum = word("minimum")
