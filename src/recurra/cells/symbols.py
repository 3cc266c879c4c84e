"""What Python may do to the symbols of a definition: arithmetic, and nothing that asks for a value.

A definition is called once, with symbols in place of vectors. `if h:` or `max(h, c)` would take
one way for ever, so that every such operation is refused, with what to write in its place.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from recurra.errors import InputError

#: What to write instead of a branch.
BRANCH = (
    "a signal has no value while the cell is defined: write where(a > b, yes, no), blend the two "
    "as z * a + (1 - z) * b, or decide by an option, as `if opt.NAME == 'value'`"
)
_USE = "use + - * / and the functions of recurra.cells"

#: Python's operations by name: how messages name them, and what to write instead.
_REFUSED: dict[str, tuple[str, str]] = {
    "__bool__": ("the truth of {} (if, while, and, or, not)", BRANCH),
    **{
        f"__{name}__": ("a comparison (" + sign + ") with {}", BRANCH)
        for name, sign in {
            **{"eq": "==, in", "ne": "!=", "lt": "<, min, max"},
            **{"le": "<=", "gt": ">, min, max", "ge": ">="},
        }.items()
    },
    "__contains__": ("`in` of {}", BRANCH),
    "__len__": ("len() of {}", "H is a layer's, not a cell's"),
    "__iter__": ("a loop over {}", "equations hold for all units at once"),
    "__reversed__": ("a loop over {}", "equations hold for all units at once"),
    "__getitem__": ("an index into {}", "equations hold for all units at once"),
    "__setitem__": ("an index into {}", "equations hold for all units at once"),
    **{
        f"__{name}__": (f"{name}() of {{}}", f"it has no value while the cell is defined: {_USE}")
        for name in ("float", "int", "complex", "index", "round", "trunc", "floor", "ceil")
    },
    "__abs__": ("abs() of {}", _USE),
    "__pos__": ("a plus sign before {}", "leave it out"),
    **{
        f"__{r}{name}__": ("a division (" + sign + ") with {}", _USE)
        for r in ("", "r")
        for name, sign in {
            **{"truediv": "/", "floordiv": "//", "mod": "%", "divmod": "divmod"},
        }.items()
    },
    **{f"__{r}pow__": ("a power (**) of {}", _USE) for r in ("", "r")},
    **{
        f"__{r}{name}__": (
            "the operator " + sign + " on {}",
            f"{_USE}; matrix products are x.GATE and u(v).GATE",
        )
        for r in ("", "r")
        for name, sign in {
            **{"matmul": "@", "and": "&", "or": "|"},
            **{"xor": "^", "lshift": "<<", "rshift": ">>"},
        }.items()
    },
    "__invert__": ("the operator ~ on {}", "write 1 - v"),
    "__array__": ("an array of {}", _USE),
    "__array_function__": ("a function of numpy on {}", _USE),
}


class Refusals:
    """The first mistake of a definition, which counts although the definition may catch it."""

    def __init__(self) -> None:
        self.first: InputError | None = None

    def refuse(self, text: str) -> NoReturn:
        """Raise an error, and keep it."""
        error = InputError(text)
        self.first = self.first or error
        raise error


class Symbol:
    """What stands for numbers: none of Python's operations that ask for their values."""

    __slots__ = ()
    __hash__ = object.__hash__

    def _refuse(self, text: str) -> NoReturn:
        """Raise an error of the definition."""
        raise InputError(text)

    def _called(self) -> str:
        """What messages call it."""
        return "a symbol"

    def __array_ufunc__(self, ufunc: Any, method: str, *given: Any, **more: Any) -> Any:
        # numpy's numbers may stand on the left of a sum or a product.
        plain = {"add": "__add__", "subtract": "__sub__", "multiply": "__mul__"}
        plain["divide"] = "__truediv__"
        name = plain.get(ufunc.__name__)
        if name and method == "__call__" and len(given) == 2 and not more:
            left, right = given
            if isinstance(left, Symbol):
                return getattr(left, name)(right)
            return getattr(right, f"__r{name[2:]}")(left)
        self._refuse(f"numpy's {ufunc.__name__} on {self._called()}: {_USE}")


def _refusing(what: str, cure: str) -> Callable[..., NoReturn]:
    def operation(self: Symbol, *_: Any, **__: Any) -> NoReturn:
        self._refuse(f"{what.format(self._called())}: {cure}")

    return operation


for _name, (_what, _cure) in _REFUSED.items():
    setattr(Symbol, _name, _refusing(_what, _cure))
