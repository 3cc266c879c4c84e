"""Every option against loops written by hand from its paper, with torch's own building blocks."""

import pytest
import torch
from torch.nn.functional import layer_norm, linear

from recurra.cells import gru, lstm, rnn
from recurra.reference import NORM_EPSILON, Interpreter
from tolerances import assert_close

B, T, I, H, P = 2, 5, 4, 6, 3
D = torch.float64


def drawn(*shape, seed=[0]):  # noqa: B006 - a counter
    seed[0] += 1
    return torch.randn(*shape, dtype=D, generator=torch.Generator().manual_seed(seed[0]))


def parameters_of(program, projection=0):
    gates = len(program.gates)
    return {
        p.name: drawn(*p.shape(gates=gates, inputs=I, hidden=H, projection=projection))
        for p in program.parameters
    }


def check(program, parameters, states, step, **run):
    """`step(t, x_t, *states)` by hand gives the new states; outputs are the first of them."""
    x = drawn(T, B, I)
    ours = Interpreter(program, parameters).run(x, states, **run)
    for t in range(T):
        states = step(t, x[t], *states)
        assert_close(ours.outputs[t], states[0], f"output at {t}")
    for name, mine, by_hand in zip(program.states, ours.states, states, strict=True):
        assert_close(mine, by_hand, f"final {name}")


def test_peephole_lstm():
    """Gers et al. 2002: i and f look at the old cell, o at the new one."""
    program = lstm.program(peephole=True)
    p = parameters_of(program)

    def step(t, x, h, c):
        a_i, a_f, a_g, a_o = (
            linear(x, p["weight_ih"], p["bias_ih"]) + linear(h, p["weight_hh"], p["bias_hh"])
        ).chunk(4, -1)
        new = torch.empty_like(c)
        out = torch.empty_like(h)
        for b in range(B):
            for k in range(H):
                i = torch.sigmoid(a_i[b, k] + p["peephole_i"][k] * c[b, k])
                f = torch.sigmoid(a_f[b, k] + p["peephole_f"][k] * c[b, k])
                new[b, k] = f * c[b, k] + i * torch.tanh(a_g[b, k])
                o = torch.sigmoid(a_o[b, k] + p["peephole_o"][k] * new[b, k])
                out[b, k] = o * torch.tanh(new[b, k])
        return out, new

    check(program, p, (drawn(B, H), drawn(B, H)), step)


@pytest.mark.parametrize("projection", [0, P])
def test_layer_norm_lstm(projection):
    """Ba et al. 2016, eq. 20-22, their alpha the gains and their beta the biases."""
    program = lstm.program(norm=True, projection=projection > 0)
    p = parameters_of(program, projection)

    def step(t, x, h, c):
        into = layer_norm(
            linear(x, p["weight_ih"]), (4 * H,), p["norm_ih"], p["bias_ih"], NORM_EPSILON
        )
        back = layer_norm(
            linear(h, p["weight_hh"]), (4 * H,), p["norm_hh"], p["bias_hh"], NORM_EPSILON
        )
        i, f, g, o = (into + back).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        normed = layer_norm(c, (H,), p["norm_c"], p["norm_c_bias"], NORM_EPSILON)
        h = torch.sigmoid(o) * torch.tanh(normed)
        return (linear(h, p["weight_hr"]) if projection else h), c

    check(program, p, (drawn(B, projection or H), drawn(B, H)), step)


def test_layer_norm_without_biases():
    program = lstm.program(norm=True, bias=False)
    p = parameters_of(program)
    assert sorted(p) == ["norm_c", "norm_hh", "norm_ih", "weight_hh", "weight_ih"]

    def step(t, x, h, c):
        into = layer_norm(linear(x, p["weight_ih"]), (4 * H,), p["norm_ih"], None, NORM_EPSILON)
        back = layer_norm(linear(h, p["weight_hh"]), (4 * H,), p["norm_hh"], None, NORM_EPSILON)
        i, f, g, o = (into + back).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(layer_norm(c, (H,), p["norm_c"])), c

    check(program, p, (drawn(B, H), drawn(B, H)), step)


def test_layer_norm_rnn():
    program = rnn.program(norm=True)
    p = parameters_of(program)

    def step(t, x, h):
        into = layer_norm(linear(x, p["weight_ih"]), (H,), p["norm_ih"], p["bias_ih"])
        back = layer_norm(linear(h, p["weight_hh"]), (H,), p["norm_hh"], p["bias_hh"])
        return (torch.tanh(into + back),)

    check(program, p, (drawn(B, H),), step)


@pytest.mark.parametrize("reset", ["after", "before"])
def test_layer_norm_gru(reset):
    """One norm over all that a product feeds: r z n together, or r z and then n on its own."""
    program = gru.program(norm=True, reset=reset)
    p = parameters_of(program)

    def product(v, rows):
        return layer_norm(
            linear(v, p["weight_hh"][rows]),
            (p["norm_hh"][rows].numel(),),
            p["norm_hh"][rows],
            p["bias_hh"][rows],
        )

    def step(t, x, h):
        into = layer_norm(linear(x, p["weight_ih"]), (3 * H,), p["norm_ih"], p["bias_ih"])
        if reset == "after":
            back = product(h, slice(0, 3 * H))
            r = torch.sigmoid(into[:, :H] + back[:, :H])
            last = r * back[:, 2 * H :]
        else:
            back = product(h, slice(0, 2 * H))
            r = torch.sigmoid(into[:, :H] + back[:, :H])
            last = product(r * h, slice(2 * H, 3 * H))
        z = torch.sigmoid(into[:, H : 2 * H] + back[:, H : 2 * H])
        return ((1 - z) * torch.tanh(into[:, 2 * H :] + last) + z * h,)

    check(program, p, (drawn(B, H),), step)


def test_projection():
    """Sak et al. 2014: the recurrence and the output see the projected state."""
    program = lstm.program(projection=True)
    p = parameters_of(program, P)
    assert p["weight_hh"].shape == (4 * H, P)
    assert p["weight_hr"].shape == (P, H)

    def step(t, x, r, c):
        a = linear(x, p["weight_ih"], p["bias_ih"]) + linear(r, p["weight_hh"], p["bias_hh"])
        i, f, g, o = a.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return linear(torch.sigmoid(o) * torch.tanh(c), p["weight_hr"]), c

    check(program, p, (drawn(B, P), drawn(B, H)), step)


@pytest.mark.parametrize("reverse", [False, True])
def test_zoneout(reverse):
    """Krueger et al. 2017, eq. 2: d * old + (1 - d) * new for each state with its own mask."""
    program = lstm.program()
    p = parameters_of(program)
    keep_h = (drawn(T, B, H) > 0).to(D)
    keep_c = (drawn(T, B, H) > 0).to(D)
    x, states = drawn(T, B, I), (drawn(B, H), drawn(B, H))
    ours = Interpreter(program, p).run(x, states, keep=(keep_h, keep_c), reverse=reverse)
    h, c = states
    for t in reversed(range(T)) if reverse else range(T):
        a = linear(x[t], p["weight_ih"], p["bias_ih"]) + linear(h, p["weight_hh"], p["bias_hh"])
        i, f, g, o = a.chunk(4, -1)
        new_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        new_h = torch.sigmoid(o) * torch.tanh(new_c)  # of the new cell before its zoneout
        h, c = torch.where(keep_h[t] > 0, h, new_h), torch.where(keep_c[t] > 0, c, new_c)
        assert_close(ours.outputs[t], h, f"output at {t}")
    assert_close(ours.states[1], c, "final c")


def test_zoneout_in_evaluation_takes_the_expected_value():
    program = rnn.program()
    p = parameters_of(program)

    def step(t, x, h):
        a = linear(x, p["weight_ih"], p["bias_ih"]) + linear(h, p["weight_hh"], p["bias_hh"])
        return (0.3 * h + 0.7 * torch.tanh(a),)

    check(program, p, (drawn(B, H),), step, keep=(0.3,))


@pytest.mark.parametrize("reset", ["after", "before"])
def test_recurrent_dropout(reset):
    """Gal & Ghahramani 2016: one mask a sequence on what enters a product, and no other."""
    program = gru.program(reset=reset)
    p = parameters_of(program)
    mask = torch.where(drawn(B, H) > 0, 2.0, 0.0).to(D)
    W, U, d = p["weight_ih"], p["weight_hh"], p["bias_hh"]

    def step(t, x, h):
        into, back = linear(x, W, p["bias_ih"]), linear(h * mask, U, d)
        r = torch.sigmoid(into[:, :H] + back[:, :H])
        z = torch.sigmoid(into[:, H : 2 * H] + back[:, H : 2 * H])
        after = r * back[:, 2 * H :]
        before = linear(r * h * mask, U[2 * H :], d[2 * H :])
        n = torch.tanh(into[:, 2 * H :] + (after if reset == "after" else before))
        return ((1 - z) * n + z * h,)

    check(program, p, (drawn(B, H),), step, recurrent_mask=mask)
