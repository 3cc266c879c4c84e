"""The interpreter over numpy and over torch: the same numbers for every program and every loop."""

import itertools

import numpy as np
import pytest
import torch

from recurra.cells import BUILT_IN, FUNCTIONS, Program, gru, lstm, rnn
from recurra.cells import programs as variants
from recurra.errors import InputError
from recurra.reference import Interpreter
from tolerances import assert_all_close, assert_close

B, T, I, H, P = 3, 4, 2, 5, 3
ON = (False, True)


def programs() -> list[Program]:
    found = [
        rnn.program(bias=bias, norm=norm, activation=f)
        for bias, norm, f in itertools.product(ON, ON, FUNCTIONS)
        if f != "exp"  # fed back into itself, it overflows within a few steps
    ]
    found += [
        gru.program(bias=bias, norm=norm, reset=reset, activation=f, recurrent_activation=g)
        for bias, norm, reset in itertools.product(ON, ON, ("after", "before"))
        for f, g in (("tanh", "sigmoid"), ("softsign", "hard_sigmoid"))
    ]
    found += [
        lstm.program(bias=bias, norm=norm, peephole=hole, projection=project, activation=f)
        for bias, norm, hole, project in itertools.product(ON, ON, ON, ON)
        for f in ("tanh", "softplus")
    ]
    found += [program for cell in BUILT_IN.values() for program in variants(cell)]
    return list(dict.fromkeys(found))


PROGRAMS = programs()


def name(program: Program) -> str:
    return f"{program.cell} {dict(program.options)}"


def inputs(program: Program, dtype: type) -> tuple[dict, np.ndarray, tuple, dict]:
    rng = np.random.default_rng(1)

    def drawn(*shape):
        return (rng.normal(size=shape) * 0.5).astype(dtype)

    projects = program.option("projection")
    sizes = [P if projects else H] + [H] * (len(program.states) - 1)
    parameters = {
        p.name: drawn(
            *p.shape(gates=len(program.gates), inputs=I, hidden=H, projection=P if projects else 0)
        )
        for p in program.parameters
    }
    loop = {
        "valid": rng.random((T, B)) < 0.6,
        "recurrent_mask": (rng.random((B, sizes[0])) < 0.5).astype(dtype) * 2,
        "keep": tuple((rng.random((T, B, n)) < 0.5).astype(dtype) for n in sizes),
    }
    return parameters, drawn(T, B, I), tuple(drawn(B, n) for n in sizes), loop


def to_torch(value):
    if isinstance(value, dict):
        return {k: to_torch(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(to_torch(v) for v in value)
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_same_numbers(cell, dtype):
    for program in (p for p in PROGRAMS if p.cell == cell):
        parameters, x, states, loop = inputs(program, dtype)
        both = [Interpreter(program, p) for p in (parameters, to_torch(parameters))]
        loops = [{}, *({k: v} for k, v in loop.items()), {"keep": (0.25, None)[: len(states)]}]
        loops += [loop]
        for more, reverse in itertools.product(loops, ON):
            case = f"{name(program)} {sorted(more)} reverse={reverse}"
            by_numpy = both[0].run(x, states, reverse=reverse, record=True, **more)
            by_torch = both[1].run(
                to_torch(x), to_torch(states), reverse=reverse, record=True, **to_torch(more)
            )
            assert by_numpy.outputs.dtype == dtype, case
            assert_close(by_numpy.outputs, by_torch.outputs, f"{case}: outputs")
            assert_all_close(by_numpy.states, by_torch.states, f"{case}: states")
            assert_all_close(by_numpy.visible, by_torch.visible, f"{case}: visible")


def test_recording_changes_nothing_and_the_record_is_what_was_computed():
    for program in PROGRAMS:
        parameters, x, states, _ = inputs(program, np.float64)
        interpreter = Interpreter(program, parameters)
        plain = interpreter.run(x, states)
        recorded = interpreter.run(x, states, record=True)
        assert plain.visible == {}
        assert np.array_equal(plain.outputs, recorded.outputs)
        assert list(recorded.visible) == [n for n, _ in program.visible]
        assert np.array_equal(recorded.visible["h"], recorded.outputs), name(program)


def test_reverse_is_forward_on_the_turned_sequence():
    for program in PROGRAMS:
        parameters, x, states, loop = inputs(program, np.float64)
        keep = loop.pop("keep")
        interpreter = Interpreter(program, parameters)
        one = interpreter.run(x, states, reverse=True, keep=keep, **loop)
        turned = loop | {"valid": loop["valid"][::-1], "keep": tuple(k[::-1] for k in keep)}
        other = interpreter.run(x[::-1], states, **turned)
        assert_close(one.outputs, other.outputs[::-1], f"{name(program)}: outputs")
        assert_all_close(one.states, other.states, f"{name(program)}: states")


def test_step_by_step_is_the_run():
    for program in PROGRAMS:
        parameters, x, states, _ = inputs(program, np.float64)
        interpreter = Interpreter(program, parameters)
        whole = interpreter.run(x, states)
        for t in range(T):
            hoisted = {i: v[0] for i, v in interpreter.hoist(x[t : t + 1]).items()}
            values = interpreter.step(hoisted, states, None)
            states = tuple(values[i] for i in program.next)
            assert_close(states[0], whole.outputs[t], f"{name(program)} at {t}")


def test_functions_over_their_range():
    """Where torch is accurate, numpy agrees, from -100 to 100, without a warning."""
    v = np.linspace(-100, 100, 2001)
    for dtype, function in itertools.product((np.float32, np.float64), FUNCTIONS):
        x = v.astype(dtype)[None, :, None] / (2 if function == "exp" else 1)
        program = rnn.program(activation=function, bias=False)
        weights = {"weight_ih": np.ones((1, 1), dtype), "weight_hh": np.zeros((1, 1), dtype)}
        state = (np.zeros((v.size, 1), dtype),)
        by_numpy = Interpreter(program, weights).run(x, state)
        by_torch = Interpreter(program, to_torch(weights)).run(to_torch(x), to_torch(state))
        assert_close(by_numpy.outputs, by_torch.outputs, f"{function} {dtype.__name__}")


def test_padding_is_never_read():
    """NaN and infinity at steps that do not count leave no trace, over numpy too."""
    for program in PROGRAMS:
        parameters, x, states, loop = inputs(program, np.float64)
        interpreter = Interpreter(program, parameters)
        clean = interpreter.run(x, states, valid=loop["valid"], record=True)
        spoiled = np.where(loop["valid"][..., None], x, np.nan)
        found = interpreter.run(spoiled, states, valid=loop["valid"], record=True)
        assert np.array_equal(found.outputs, clean.outputs), name(program)
        assert not found.outputs[~loop["valid"]].any(), name(program)
        for one, other in zip(found.states, clean.states, strict=True):
            assert np.array_equal(one, other), name(program)
        for key in clean.visible:
            assert not found.visible[key][~loop["valid"]].any(), f"{name(program)} {key}"


def test_no_steps():
    for program in PROGRAMS:
        parameters, x, states, _ = inputs(program, np.float64)
        run = Interpreter(program, parameters).run(x[:0], states)
        assert run.outputs.shape == (0, *states[0].shape)
        assert all(a is b for a, b in zip(run.states, states, strict=True))


def test_other_arrays_are_refused():
    with pytest.raises(InputError, match="arrays of numpy or torch, received list"):
        Interpreter(rnn.program(), {"weight_ih": [[1.0]], "weight_hh": [[1.0]]})
