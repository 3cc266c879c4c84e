"""ONNX graphs inside graphs: the nearest definition of a name counts."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from interop.small_graphs import FLOAT, START, H, body, constant, floats, model, node, scan, whole
from recurra import load

STEP = [node("Add", ["h", "a"], ["k"]), node("Mul", ["k", "c"], ["b"])]
R = np.random.default_rng(5)
WEIGHTS = {
    name: R.normal(0, 1, shape).astype(np.float32)
    for name, shape in {"w": (1, H, 1), "r": (1, H, H), "w2": (1, H, 1)}.items()
}


def cell(w="w"):
    return [
        node("Unsqueeze", ["a", "axis"], ["a3"]),
        node("RNN", ["a3", w, "r"], ["", "yh"], hidden_size=H),
        node("Identity", ["h"], ["k"]),
        node("Squeeze", ["yh", "first"], ["b"]),
    ]


CELL = [constant(n, WEIGHTS[n]) for n in ("r",)]
CELL += [constant("axis", whole(0)), constant("first", whole(0)), START]

#: Models in which a body names a value as the graph outside does, and x.
SCOPES = {
    "a constant hides a constant": (
        model(
            [scan(body(STEP, [constant("c", floats(10))]))],
            [START, constant("c", floats(2))],
            inputs=[("x", FLOAT)],
        ),
        floats(1, 2, 3)[:, None],
    ),
    "a constant hides what a node made": (
        model(
            [node("Add", ["s", "s"], ["c"]), scan(body(STEP, [constant("c", floats(10))]))],
            [START],
            inputs=[("x", FLOAT)],
        ),
        floats(1, 2, 3)[:, None],
    ),
    "a constant hides an input": (
        model(
            [scan(body(STEP, [constant("c", floats(10))]))],
            [START],
            inputs=[("x", FLOAT), ("c", FLOAT)],
        ),
        floats(1, 2, 3)[:, None],
    ),
    "an input hides a constant": (
        model(
            [scan(body(STEP, inputs=("c", "a")))],
            [START, constant("c", floats(2)), constant("h", floats(7))],
            inputs=[("x", FLOAT)],
        ),
        floats(1, 2, 3)[:, None],
    ),
    "a constant hides one, two graphs deep": (
        model(
            [
                scan(
                    body(
                        [
                            scan(
                                body(STEP, [constant("c", floats(10))]),
                                inputs=("h", "a"),
                                outputs=("k", "b"),
                            )
                        ],
                        [constant("c", floats(3))],
                        shapes=((1,), (3, 1)),
                    )
                )
            ],
            [START, constant("c", floats(2))],
            inputs=[("x", FLOAT)],
        ),
        np.arange(6, dtype=np.float32).reshape(2, 3, 1),
    ),
    "an outer value is read": (
        model(
            [scan(body(STEP))],
            [START, constant("c", floats(2))],
            inputs=[("x", FLOAT)],
        ),
        floats(1, 2, 3)[:, None],
    ),
    "a body's weights hide the outer ones": (
        model(
            [scan(body(cell(), [constant("w", WEIGHTS["w2"])], shapes=((1,), (2, H))))],
            [*CELL, constant("w", WEIGHTS["w"])],
            inputs=[("x", FLOAT)],
        ),
        R.normal(0, 1, (3, 2, 1)).astype(np.float32),
    ),
    "a body's state hides the outer weights": (
        model(
            [
                node("Add", ["w2", "w2"], ["start"]),
                scan(
                    body(
                        [cell()[0], cell()[1], node("Neg", ["w"], ["k"]), cell()[3]],
                        inputs=("w", "a"),
                        shapes=((1, H, 1), (2, H)),
                    ),
                    inputs=("start", "x"),
                ),
            ],
            [*CELL, constant("w", WEIGHTS["w"]), constant("w2", WEIGHTS["w2"])],
            inputs=[("x", FLOAT)],
        ),
        R.normal(0, 1, (3, 2, 1)).astype(np.float32),
    ),
}


def renamed(graph, names, depth=0):
    """The same graph with every name its own, which leaves nothing to hide."""
    names = dict(names)

    def own(name):
        names[name] = f"{name}_{depth}" if name else ""
        return names[name]

    for tensor in graph.initializer:
        tensor.name = own(tensor.name)
    for one in graph.input:
        one.name = own(one.name)
    for one in graph.node:
        one.input[:] = [names[n] for n in one.input] if one.input else []
        for attribute in one.attribute:
            if attribute.HasField("g"):
                renamed(attribute.g, names, depth + 1)
        one.output[:] = [own(n) for n in one.output]
    for one in graph.output:
        one.name = names[one.name]


@pytest.mark.parametrize("name", SCOPES)
def test_the_nearest_definition_of_a_name_counts(name, tmp_path):
    made, x = SCOPES[name]
    given = {v.name: floats(2) for v in made.graph.input} | {"x": x}
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    found = load(path).run(given)["y"]
    # The judges are given the same graph without two values of one name, which they refuse or
    # understand each in its own way.
    plain = onnx.ModelProto.FromString(made.SerializeToString())
    renamed(plain.graph, {"": ""})
    feeds = {f"{n}_0": a for n, a in given.items()}
    (expected,) = onnxruntime.InferenceSession(plain.SerializeToString()).run(None, feeds)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if "weights" not in name:  # its RNN knows no states of this shape
        (expected,) = ReferenceEvaluator(plain).run(None, feeds)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
