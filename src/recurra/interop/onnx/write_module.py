"""Any torch module with our layers in it as an ONNX file, by torch's own exporter."""

import inspect
import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from recurra.errors import InputError

#: Of ONNX: new enough for what torch's exporter writes of our layers, and read everywhere.
OPSET = 17


def module_bytes(module: Any, inputs: Any) -> bytes:
    """Return an ONNX file of a module in evaluation, whose first two axes of each input are free.

    Args:
        module: holds recurrent layers of `recurra.nn`, or none.
        inputs: an example of its input, a tensor, or a tuple of them; only their sizes and dtypes
            count. Inputs are called as the arguments of its `forward`, outputs `output`, `output_1`
            and so on.

    Raises:
        InputError: it is no module, inputs are no tensors, or torch's exporter cannot write it.
    """
    given = inputs if isinstance(inputs, tuple) else (inputs,)
    if not isinstance(module, nn.Module):
        raise InputError(
            f"inputs: expected a torch module to export, received {type(module).__name__}"
        )
    if not given or not all(isinstance(value, Tensor) for value in given):
        kinds = ", ".join(type(value).__name__ for value in given) or "none"
        raise InputError(f"inputs: expected a tensor or a tuple of tensors, received {kinds}")
    names = _names(module, len(given))
    axes = {
        name: {axis: f"{name}_{axis}" for axis in range(min(2, value.dim()))}
        for name, value in zip(names, given, strict=True)
    }
    training, file = module.training, io.BytesIO()
    module.eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of sizes that are looked at, and of the exporter itself
            count = len(_flat(module(*given)))
            outputs = ["output", *(f"output_{k}" for k in range(1, count))]
            torch.onnx.export(
                module,
                given,
                file,
                dynamo=False,
                opset_version=OPSET,
                input_names=names,
                output_names=outputs,
                dynamic_axes=axes,
            )
    except InputError:
        raise
    except Exception as error:  # of whatever the module and the exporter do
        line = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(
            f"{type(module).__name__}: torch's exporter cannot write it with these inputs: {line}"
        ) from error
    finally:
        module.train(training)
    return file.getvalue()


def _names(module: nn.Module, count: int) -> list[str]:
    parameters = inspect.signature(module.forward).parameters.values()
    named = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD][:count]
    return named + [f"input_{k}" for k in range(len(named), count)]


def _flat(value: Any) -> list[Any]:
    if isinstance(value, tuple | list):
        return [one for part in value for one in _flat(part)]
    return [value]
