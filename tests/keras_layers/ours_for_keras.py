"""A plugin for pytest: Keras' tests find our layers where they look for Keras' own.

At the end it says how many calls each of ours had.
"""

from collections import Counter

import recurra.keras  # before keras: chooses its backend

import keras  # isort: skip
from keras.src import layers

from recurra.keras import recurrent

CALLS: Counter[str] = Counter()
_plan_of = recurrent._plan_of


def plan_of(cell, kind, inputs):
    """Count what asks for a plan: every call of a layer or cell of ours."""
    CALLS[kind] += 1
    return _plan_of(cell, kind, inputs)


recurrent._plan_of = plan_of
for name in recurra.keras.__all__:
    setattr(layers, name, getattr(recurra.keras, name))
    setattr(keras.layers, name, getattr(recurra.keras, name))


def pytest_terminal_summary(terminalreporter):
    """Print the calls by cell."""
    counted = ", ".join(f"{kind} {count}" for kind, count in sorted(CALLS.items()))
    terminalreporter.write_line(f"calls of ours: {counted}")
