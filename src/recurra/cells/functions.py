"""The pointwise functions equations are written with."""

from recurra.cells.trace import function, where, word

__all__ = [
    "cos",
    "exp",
    "hard_sigmoid",
    "log",
    "maximum",
    "minimum",
    "relu",
    "sigmoid",
    "sin",
    "softplus",
    "softsign",
    "sqrt",
    "tanh",
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
maximum = word("maximum")
minimum = word("minimum")
