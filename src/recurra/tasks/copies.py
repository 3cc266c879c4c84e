"""Copies of models in memory: by `copy`, `pickle`, `joblib`, and to other processes."""

from functools import cached_property
from typing import Any


class Copied:
    """Base of models that are copied without what they derive from their files.

    Cached properties hold what is bound to this process, such as weights in the kernels' order. A
    copy makes them anew when they are first used, and gives the same results.
    """

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of."""
        cls = type(self)
        derived = {n for n in vars(self) if isinstance(getattr(cls, n, None), cached_property)}
        return {name: value for name, value in vars(self).items() if name not in derived}
