"""Copies of models in memory: by `copy`, `pickle`, `joblib`, and to other processes."""

from functools import cached_property
from typing import Any, TypeVar

T = TypeVar("T")

#: What names of attributes begin with that hold what a model derives from its files.
_MADE = "_made_"


class derived(cached_property[T]):  # noqa: N801
    """A cached property whose value is a private attribute: estimators have few public ones."""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        super().__set_name__(owner, _MADE + name)


class Copied:
    """Base of models that are copied without what they derive from their files.

    Cached properties hold what is bound to this process, such as weights in the kernels' order. A
    copy makes them anew when they are first used, and gives the same results.
    """

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of."""
        cls = type(self)
        made = {n for n in vars(self) if isinstance(getattr(cls, n, None), cached_property)}
        kept = [n for n in vars(self) if n not in made and not n.startswith(_MADE)]
        return {name: vars(self)[name] for name in kept}

    def _forget(self) -> None:
        """Drop what is derived from the files."""
        cls = type(self)
        made = [n for n in vars(self) if isinstance(getattr(cls, n, None), cached_property)]
        for name in [*made, *(name for name in vars(self) if name.startswith(_MADE))]:
            del self.__dict__[name]
