"""The pointwise functions equations are written with."""

from recurra.cells.trace import function

tanh = function("tanh")
sigmoid = function("sigmoid")
relu = function("relu")
softsign = function("softsign")
softplus = function("softplus")
exp = function("exp")
hard_sigmoid = function("hard_sigmoid")
