"""The model that a verb is given."""

from typing import Any


def open_model(path: str, *, precision: str) -> Any:
    """Load a run or a model directory; an ONNX file, which has no task, is refused.

    Raises:
        InputError: there is no model, or it is an ONNX file.
        FormatError: it is damaged, foreign, or from a newer version.
    """
    import recurra
    from recurra.errors import InputError

    model = recurra.load(path, precision=precision)
    if not hasattr(model, "task"):
        raise InputError(
            f"{path}: expected a run or a model directory, received an ONNX file, which runs from "
            "Python: recurra.load(path).run(inputs)"
        )
    return model
