"""`recurra.export.onnx`: models as ONNX files."""

from pathlib import Path
from typing import Any

from recurra.checked import checked
from recurra.errors import InputError
from recurra.interop.network import describe
from recurra.interop.onnx.write import sequence_model, step_model
from recurra.storage import write_file


@checked
def onnx(
    model: Any,
    path: str | Path,
    *,
    step: str | Path | None = None,
    lengths: bool = False,
    states: bool = False,
    reset: bool = False,
    inputs: Any = None,
) -> list[Path]:
    """Write a model as an ONNX file that reads whole sequences, and one that goes step by step.

    Batch and time are free. What an operator of ONNX (RNN, LSTM, GRU) computes is one; the rest
    (layer norm, projection, zoneout, cells of one's own) is a `Scan` over the cell's equations.
    Dropout does nothing in evaluation and is not there. Needs the package `onnx`, no torch.
    With `inputs` any torch module that holds our layers is written, by torch's own exporter.

    Args:
        model: a recurrent layer of `recurra.nn`, a language model (trained, or a module), or the
            path of a model directory or a run.
        path: of the file for sequences. It takes `input` in the layer's layout, or `ids` (B, T),
            int64; it gives `output`, or `logits` (B, T, V), and the last states `h_n`, for an LSTM
            `c_n`, or whatever the cell calls them, (L * D, B, ·).
        step: of the file for streams: `input` (B, I) or `ids` (B,), and states `h_0`, to `output`
            or `logits` (B, ·) and states `h_n`, which are the next step's `h_0`.
        lengths: the first file also takes `lengths` (B,), int64: how many steps of each row count.
        states: the first file also takes the states to start from, `h_0` and so on; else it starts
            from zeros, or from the learnt state.
        reset: both files also take `reset`, booleans in the layout of the input's first axes, (B,)
            for a step: where it is set, a row begins anew before that step, from zeros or the
            learnt state. All layers are then a `Scan`.
        inputs: an example of what a module's `forward` takes, a tensor or a tuple of them, where
            the model is a module of your own: its layers are then those that `torch.nn` has, and
            the first two axes of each input are free.

    Returns:
        The paths written.

    Raises:
        InputError: the model cannot be exported, `onnx` is not installed, or a path not written.
        FormatError: the model directory is damaged.
    """
    if inputs is not None:
        if step is not None or lengths or states or reset:
            raise InputError(
                "inputs: expected no step, lengths, states or reset beside them: a module of your "
                "own is written as its forward computes it"
            )
        from recurra.interop.onnx.write_module import module_bytes

        write_file(Path(path), [module_bytes(model, inputs)])
        return [Path(path)]
    network = describe(model)
    files = {Path(path): sequence_model(network, lengths=lengths, states=states, reset=reset)}
    if step is not None:
        if network.directions > 1 or network.reverse:
            raise InputError(
                "a step model needs layers that run forward: "
                "what runs from the end cannot run in a stream; export without step"
            )
        files[Path(step)] = step_model(network, reset=reset)
    if len(files) < 1 + (step is not None):
        raise InputError(f"{path}: expected two paths, received the same twice")
    for target, data in files.items():
        write_file(target, [data])
    return list(files)
