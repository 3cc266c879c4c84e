"""ONNX Runtime: the operators RNN, GRU, LSTM. It only infers."""

from functools import partial

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from bench.peers import Forms, Job, threads
from bench.work import TAKEN, Numbers, Work, reorder

#: ONNX's gates from torch's.
ORDER = {"rnn": (0,), "gru": (1, 0, 2), "lstm": (0, 3, 1, 2)}
OPSET, IR = 21, 10


def forms(spec: dict) -> Forms:
    """Return a session that is run, and one whose arrays are bound; a step on one thread, too."""
    work = Work(**spec)
    if work.kind == "training":
        return {}
    counts = sorted({1, threads()}) if work.kind == "step" else [threads()]
    found: Forms = {}
    for count in counts:
        label = f", {count} thread{'s' if count > 1 else ''}" if len(counts) > 1 else ""
        found["run" + label] = partial(_run, work, count)
        found["run, bound arrays" + label] = partial(_bound, work, count)
    return found


def _session(work: Work, numbers: Numbers, count: int) -> onnxruntime.InferenceSession:
    order, states = ORDER[work.cell], ["h", "c"][: 2 if work.cell == "lstm" else 1]
    parts = [reorder(numbers[n], order) for n in ("bias_ih", "bias_hh")]
    weights = {
        n: reorder(numbers[f"weight_{k}"], order)[None] for n, k in (("W", "ih"), ("R", "hh"))
    }
    weights["B"] = np.concatenate(parts)[None]
    extra = {"linear_before_reset": 1} if work.cell == "gru" else {}
    node = helper.make_node(
        work.cell.upper(),
        ["x", "W", "R", "B", "", *states],
        ["y", *(f"new_{s}" for s in states)],
        hidden_size=work.hidden,
        **extra,
    )
    b, t, h = work.batch, work.steps, work.hidden
    state = (1, b, h)

    def info(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        [node],
        "layer",
        [info("x", (t, b, h)), *(info(s, state) for s in states)],
        [info("y", (t, 1, b, h)), *(info(f"new_{s}", state) for s in states)],
        [numpy_helper.from_array(np.ascontiguousarray(w), n) for n, w in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = count, 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _zeros(work: Work) -> dict[str, np.ndarray]:
    states = ("h", "c") if work.cell == "lstm" else ("h",)
    return {s: np.zeros((1, work.batch, work.hidden), np.float32) for s in states}


def _run(work: Work, count: int) -> Job:
    numbers, zeros = work.numbers(), _zeros(work)
    session, x = _session(work, numbers, count), numbers["x"]
    if work.kind == "inference":
        run = partial(session.run, ["y"], {"x": x, **zeros})
        return Job(run, lambda: {"y": run()[0][:, 0]})
    wanted, state = [f"new_{s}" for s in zeros], dict(zeros)

    def step() -> None:
        nonlocal state
        state = dict(zip(zeros, session.run(wanted, {"x": x, **state}), strict=True))

    def result() -> Numbers:
        nonlocal state
        state = dict(zeros)
        for _ in range(TAKEN):
            step()
        return {"h": state["h"][0]}

    return Job(step, result)


def _bound(work: Work, count: int) -> Job:
    """Arrays that stay in place; a stream's states go back and forth between two sets."""
    numbers, zeros = work.numbers(), _zeros(work)
    session = _session(work, numbers, count)
    make = onnxruntime.OrtValue.ortvalue_from_numpy
    sets = [{s: make(z.copy()) for s, z in zeros.items()} for _ in range(2)]
    x, y = make(numbers["x"]), make(np.empty((work.steps, 1, *numbers["x"].shape[1:]), np.float32))
    bindings = []
    for old, new in (sets, sets[::-1]):
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", x)
        for name in zeros:
            binding.bind_ortvalue_input(name, old[name])
            if work.kind == "step":
                binding.bind_ortvalue_output(f"new_{name}", new[name])
        if work.kind == "inference":
            binding.bind_ortvalue_output("y", y)
        bindings.append(binding)
    turn = 0

    def run() -> None:
        nonlocal turn
        session.run_with_iobinding(bindings[turn])
        turn = 1 - turn if work.kind == "step" else 0

    def result() -> Numbers:
        nonlocal turn
        if work.kind == "inference":
            run()
            return {"y": y.numpy()[:, 0].copy()}
        turn = 0
        for name, value in sets[0].items():
            value.update_inplace(zeros[name])
        for _ in range(TAKEN):
            run()
        return {"h": sets[TAKEN % 2]["h"].numpy()[0].copy()}

    return Job(run, result)
