"""Random RNN, LSTM and GRU nodes over every attribute, as ONNX models of one node."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
FUNCTIONS = ("Relu", "Tanh", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh")
FUNCTIONS += ("HardSigmoid", "Elu", "Softsign", "Softplus")
PARAMETERS = {"Affine": 2, "LeakyRelu": 1, "ThresholdedRelu": 1, "ScaledTanh": 2}
PARAMETERS |= {"HardSigmoid": 2, "Elu": 1}
#: What ONNX Runtime takes for a parameter that is not given, where the standard has no value for it
#: or another (ThresholdedRelu: 1, ONNX Runtime takes 0).
DOUBTFUL = {"Affine", "ScaledTanh", "ThresholdedRelu"}


@dataclass(frozen=True)
class Case:
    """A node with its attributes and inputs, time first, and what distinguishes it."""

    op: str
    attributes: dict[str, Any]
    inputs: dict[str, np.ndarray]

    @property
    def names(self) -> list[str]:
        order = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
        return [n if n in self.inputs else "" for n in order]

    def model(self, *, opset: int = 22, constants: bool = False) -> bytes:
        """As a model; with `constants` the weights are in it and not inputs."""
        outputs = ["Y", "Y_h", "Y_c"][: 3 if self.op == "LSTM" else 2]
        names = self.names
        while not names[-1]:
            names.pop()
        node = helper.make_node(self.op, names, outputs, **self.attributes)
        fixed = [n for n in self.inputs if constants and n in ("W", "R", "B", "P")]
        values = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in self.inputs.items()
            if n not in fixed
        ]
        kind = helper.np_dtype_to_tensor_dtype(self.inputs["X"].dtype)
        graph = helper.make_graph(
            [node],
            "one",
            values,
            [helper.make_tensor_value_info(n, kind, None) for n in outputs],
            [onnx.numpy_helper.from_array(self.inputs[n], n) for n in fixed],
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10
        )
        return model.SerializeToString()

    def batch_first(self) -> "Case":
        """The same with layout 1, which ONNX Runtime does not have."""
        turned = ("X", "initial_h", "initial_c")
        inputs = {n: a.swapaxes(0, 1) if n in turned else a for n, a in self.inputs.items()}
        return Case(self.op, {**self.attributes, "layout": 1}, inputs)


def draw(random: np.random.Generator) -> Case:
    """A node with any attributes, small in every way."""
    op = str(random.choice(list(GATES)))
    direction = str(random.choice(["forward", "reverse", "bidirectional"]))
    wide, gates = 1 + (direction == "bidirectional"), GATES[op]
    steps, batch, inputs, hidden = (int(n) for n in random.integers(1, [6, 4, 4, 5]))

    def array(*shape: int) -> np.ndarray:
        return random.normal(0, 0.8, shape).astype(np.float32)

    def maybe() -> bool:
        return bool(random.random() < 0.5)

    attributes: dict[str, Any] = {"hidden_size": hidden}
    if direction != "forward" or maybe():
        attributes["direction"] = direction
    given = {"X": array(steps, batch, inputs), "W": array(wide, gates * hidden, inputs)}
    given["R"] = array(wide, gates * hidden, hidden)
    if maybe():
        given["B"] = array(wide, 2 * gates * hidden)
    starts = maybe()
    if maybe():
        given["sequence_lens"] = random.integers(1, steps + 1, batch).astype(np.int32)
    if starts:
        given["initial_h"] = array(wide, batch, hidden)
    if op == "LSTM":
        if starts or maybe():
            given["initial_c"] = array(wide, batch, hidden)
        if maybe():
            given["P"] = array(wide, 3 * hidden)
        if random.random() < 0.3:
            attributes["input_forget"] = 1
    if op == "GRU" and maybe():
        attributes["linear_before_reset"] = 1
    if random.random() < 0.3:
        attributes["clip"] = float(random.uniform(0.1, 1.5))
    if random.random() < 0.6:
        count = {"RNN": 1, "LSTM": 3, "GRU": 2}[op] * wide
        names = [str(n) for n in random.choice(FUNCTIONS, count)]
        attributes["activations"] = names
        sizes = [PARAMETERS.get(n, 0) for n in names]
        if any(sizes) and (DOUBTFUL & set(names) or random.random() < 0.8):
            attributes["activation_alpha"] = [float(random.uniform(0.1, 1)) for n in sizes if n]
            betas = [float(random.uniform(0.1, 1)) for n in sizes if n > 1]
            if betas:
                attributes["activation_beta"] = betas
    return Case(op, attributes, given)
