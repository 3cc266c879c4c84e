"""What a recurrent model does inside: a function a measure, which returns arrays and a figure.

Lies here: measures over models, layers and modules, hooks that change values, the report. Lies
elsewhere: what computes the values (`runtime`, `native`), and the page that shows them (`serve`).
"""

from recurra.inspect.gates import Gates, gates

__all__ = ["Gates", "gates"]
