"""Which Keras there is: these layers need Keras 3 on its torch backend."""

import os
import sys
from importlib import import_module

OLDEST = (3, 13)


def problem() -> str | None:
    """Return why these layers cannot be used here, in a line that says what to do; None: they can.

    Keras reads its backend once, when it is first imported. Where that is still to come, and the
    environment names none, it is set to torch.
    """
    imported = "keras" in sys.modules
    if not imported and os.environ.setdefault("KERAS_BACKEND", "torch") != "torch":
        return (
            f"expected KERAS_BACKEND=torch in the environment, received "
            f"{os.environ['KERAS_BACKEND']!r}: unset it, or set it to torch"
        )
    try:
        keras = import_module("keras")
    except ModuleNotFoundError as error:
        return f"needs Keras and torch ({error}): pip install 'recurra[keras]'"
    version = tuple(int(part) for part in keras.__version__.split(".")[:2])
    if version < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        return f"expected Keras {wanted} or newer, found {keras.__version__}: upgrade it"
    backend = keras.backend.backend()
    if backend != "torch":
        return (
            f"expected Keras on its torch backend, found it on {backend}: import recurra.keras "
            "before keras, or set KERAS_BACKEND=torch in the environment"
        )
    return None
