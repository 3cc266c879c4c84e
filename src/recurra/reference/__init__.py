"""The reference: a slow, obvious interpreter of a cell's program over numpy or torch arrays.

Lies here: the loop over time as its definition says it, and what array libraries call things.
Lies elsewhere: every fast path, which is tested against it.
"""

from recurra.reference.interpreter import Interpreter, Run, Tap, alike_in_rows
from recurra.reference.library import NORM_EPSILON

__all__ = ["NORM_EPSILON", "Interpreter", "Run", "Tap", "alike_in_rows"]
