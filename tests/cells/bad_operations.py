"""Definitions that ask signals for their values, or have other libraries compute with them."""

import math

import numpy as np
import torch

from recurra.cells import before, maximum, softmax, sqrt, tanh, where

CELLS = []


def bad(message, states="h", gates="n f", **more):
    """Put a definition into the table; the line marked `# !` is the one to be named."""

    def remember(define):
        CELLS.append((define, message, dict(states=states, gates=gates, **more)))
        return define

    return remember


TRUTH = r"the truth of h \(if, while, and, or, not\): a signal has no value .* blend the two"


@bad(TRUTH)
def by_if(x, u, h, opt):
    if h:  # !
        return dict(h=tanh(x.n + u(h).f))
    return dict(h=tanh(x.f))


@bad(r"a comparison \(==, in\) with h: .* blend")
def by_conditional(x, u, h, opt):
    return dict(h=tanh(x.n if h == 0 else x.f))  # !


@bad(r"the truth of the gate n")
def by_or(x, u, h, opt):
    return dict(h=tanh(x.n or x.f))  # !


@bad("the truth of a signal")
def by_and(x, u, h, opt):
    return dict(h=tanh(x.n + u(h).f and x.f))  # !


@bad(TRUTH)
def by_not(x, u, h, opt):
    return dict(h=x.n * (not h) + x.f)  # !


@bad(TRUTH)
def by_while(x, u, h, opt):
    while h:  # !
        h = h - x.n
    return dict(h=h + x.f)


@bad(TRUTH)
def by_assert(x, u, h, opt):
    assert h  # !
    return dict(h=tanh(x.n + x.f))


@bad(TRUTH)
def by_any(x, u, h, opt):
    return dict(h=x.n * any([h]) + x.f)  # !


@bad(r"a comparison \(<, min, max\) with h")
def by_max(x, u, h, opt):
    return dict(h=max(h, 0) + x.n + x.f)  # !


@bad(r"a comparison \(<, min, max\)")
def by_min(x, u, h, opt):
    return dict(h=min(x.n, x.f))  # !


@bad(r"a comparison \(<=\) with h")
def by_chain(x, u, h, opt):
    return dict(h=(h <= 1) * x.n + x.f)  # !


@bad(r"a comparison \(==, in\) with")
def by_in(x, u, h, opt):
    return dict(h=x.n if h in (0, 1) else x.f)  # !


@bad("`in` of h")
def by_in_it(x, u, h, opt):
    return dict(h=x.n if 0 in h else x.f)  # !


@bad("the truth of all gates at once")
def by_bundle(x, u, h, opt):
    return dict(h=tanh(x.n) if x else x.f)  # !


@bad("the truth of u itself")
def by_product(x, u, h, opt):
    return dict(h=tanh(x.n) if u else x.f)  # !


@bad("the truth of opt itself.*name an option, like opt.norm")
def by_opt(x, u, h, opt):
    return dict(h=tanh(x.n) if opt else x.f)  # !


@bad(r"len\(\) of h: H is a layer's, not a cell's")
def by_len(x, u, h, opt):
    return dict(h=(x.n + x.f) * len(h))  # !


@bad(r"float\(\) of h: it has no value while")
def by_float(x, u, h, opt):
    return dict(h=x.n * float(h) + x.f)  # !


@bad(r"int\(\) of h")
def by_int(x, u, h, opt):
    return dict(h=x.n * int(h) + x.f)  # !


@bad(r"index\(\) of h")
def by_range(x, u, h, opt):
    for _ in range(h):  # !
        h = h + x.n
    return dict(h=h + x.f)


@bad(r"abs\(\) of all gates at once")
def by_abs(x, u, h, opt):
    return dict(h=abs(x) + x.n + x.f)  # !


@bad("a loop over h: equations hold for all units at once")
def by_loop(x, u, h, opt):
    return dict(h=sum(v for v in h) + x.n + x.f)  # !


@bad("an index into h")
def by_index(x, u, h, opt):
    return dict(h=h[0] * x.n + x.f)  # !


@bad("an index into all gates at once: .*name the gate, like x.n")
def by_gate_index(x, u, h, opt):
    return dict(h=x[0] + x.f)  # !


@bad("a division of h by 0")
def by_division(x, u, h, opt):
    return dict(h=h / 0 + x.n + x.f)  # !


@bad(r"a division \(/\) with all gates at once")
def by_reciprocal(x, u, h, opt):
    return dict(h=1 / x + x.f)  # !


@bad("a power of h: expected a whole number from 1 to 8, received 0.5")
def by_power(x, u, h, opt):
    return dict(h=h**0.5 + x.n + x.f)  # !


@bad(r"where\(\) takes a comparison of signals, as h > 0, received h")
def by_where(x, u, h, opt):
    return dict(h=where(h, x.n, x.f))  # !


@bad(r"maximum\(\) takes 2 values, of which one is a vector of units, received 1, 2")
def by_maximum(x, u, h, opt):
    return dict(h=maximum(1, 2) + x.n + x.f)  # !


@bad(r"maximum\(\) takes a vector of units, received all gates at once; name the gate")
def by_maximum_of_all(x, u, h, opt):
    return dict(h=maximum(x, 0) + x.n + x.f)  # !


@bad(r"sqrt\(\) takes 1 value, .* received h, the gate n")
def by_sqrt(x, u, h, opt):
    return dict(h=sqrt(h, x.n) + x.f)  # !


@bad(r"a comparison \(>, min, max\) with h: a signal has no value .* write where\(a > b, yes, no\)")
def by_branch(x, u, h, opt):
    return dict(h=x.n if h > 0 else x.f)  # !


@bad("an operation expects a vector of units, received a comparison")
def by_truth_as_number(x, u, h, opt):
    return dict(h=(h > 0) * x.n + x.n * (h > 0) + x.f)  # !


@bad("the operator @ on h")
def by_matmul(x, u, h, opt):
    return dict(h=h @ x.n + x.f)  # !


@bad("the operator & on h")
def by_bit(x, u, h, opt):
    return dict(h=(h & x.n) + x.f)  # !


@bad(r"round\(\) of h")
def by_round(x, u, h, opt):
    return dict(h=round(h) + x.n + x.f)  # !


@bad(r"float\(\) of h: it has no value .* functions of recurra.cells")
def by_math(x, u, h, opt):
    return dict(h=x.n * math.tanh(h) + x.f)  # !


@bad("numpy's tanh on h: use .* the functions of recurra.cells")
def by_numpy(x, u, h, opt):
    return dict(h=np.tanh(h) + x.n + x.f)  # !


@bad("a function of numpy on h")
def by_numpy_where(x, u, h, opt):
    return dict(h=np.where(h, x.n, x.f))  # !


@bad("an array of h")
def by_numpy_array(x, u, h, opt):
    return dict(h=np.asarray(h) + x.n + x.f)  # !


@bad("TypeError: .*; expected equations with")
def by_torch(x, u, h, opt):
    return dict(h=torch.tanh(h) + x.n + x.f)  # !


@bad("an operation of h with Tensor: expected a signal or a number of Python")
def by_tensor(x, u, h, opt):
    return dict(h=h * torch.ones(3) + x.n + x.f)  # !


@bad("an operation of h with ndarray")
def by_array(x, u, h, opt):
    return dict(h=h * np.ones(3) + x.n + x.f)  # !


@bad("an operation of h with '2'")
def by_text(x, u, h, opt):
    return dict(h=h * "2" + x.n + x.f)  # !


@bad("an operation of h with None")
def by_none(x, u, h, opt):
    return dict(h=h + None + x.n + x.f)  # !


@bad(r"u\(\): expected one of heads, rank, form, received heads, rank")
def two_forms(x, u, h, opt):
    return dict(h=x.n + x.f + u(h, heads=2, rank=1).n)  # !


@bad(r"u\(\): heads: expected a whole number from 1, received 0")
def no_heads(x, u, h, opt):
    return dict(h=x.n + x.f + u(h, heads=0).n)  # !


@bad(r"u\(\): form: expected 'lower' .*received 'diagonal'")
def unknown_form(x, u, h, opt):
    return dict(h=x.n + x.f + u(h, form="diagonal").n)  # !


@bad(r"before\(\) takes a vector of units, received 2.0")
def before_a_number(x, u, h, opt):
    return dict(h=x.n + x.f + before(2.0))  # !


@bad(r"softmax\(\) takes a vector of units, received all gates at once")
def softmax_of_all(x, u, h, opt):
    return dict(h=softmax(x) + x.f)  # !


@bad(r"opt.norm\(x\) of a cell with further inputs", options="norm", inputs="x dt:1")
def norm_with_inputs(x, u, h, opt):
    return dict(h=opt.norm(x).n + x.f + x.dt)  # !


@bad(r"some of its options have other values of the step before", options="way=one|two")  # !
def before_by_option(x, u, h, opt):
    return dict(h=x.n + x.f + (before(h) if opt.way == "one" else 0.5 * h))


@bad(r"states: 'h=much': expected a name, or name=start", states="h=much")  # !
def start_of_a_word(x, u, h, opt):
    return dict(h=x.n + x.f)


@bad("the name 'before_1' is taken by the states of before", states="before_1")  # !
def taken_state(x, u, before_1, opt):
    return dict(before_1=x.n + x.f)


@bad("inputs: 'dt': expected name:size", inputs="x dt")  # !
def input_without_size(x, u, h, opt):
    return dict(h=x.n + x.f)


@bad("inputs: expected x first", inputs="dt:1")  # !
def inputs_without_x(x, u, h, opt):
    return dict(h=x.n + x.f)


@bad("inputs: the name 'n' is taken", inputs="x n:1")  # !
def input_of_a_gate(x, u, h, opt):
    return dict(h=x.n + x.f)


@bad("nothing reads the further input dt: expected x.dt", inputs="x dt:1")  # !
def unread_input(x, u, h, opt):
    return dict(h=x.n + x.f)


@bad(r"x\(\): expected form='masked' or form='fixed'.*, received 'lower'")
def triangle_of_the_input(x, u, h, opt):
    return dict(h=x(form="lower").n + x.f)  # !


@bad(r"x\(\): expected form='masked' or form='fixed'.*, received h")
def call_of_x(x, u, h, opt):
    return dict(h=x(h).n + x.f)  # !


@bad("fixed: 'a' is learnt too", fixed="a", learnt="a")  # !
def fixed_and_learnt(x, u, h, opt):
    return dict(h=x.n + x.f + opt.a)


@bad("fixed: 'a:1': expected a name", fixed="a:1")  # !
def fixed_scalar(x, u, h, opt):
    return dict(h=x.n + x.f + opt.a)


@bad("nothing asks for the parameter 'a': expected opt.a|nothing asks", fixed="a")  # !
def unread_fixed(x, u, h, opt):
    return dict(h=x.n + x.f)


@bad("inputs: the name 'masked' is taken", inputs="x masked:2")  # !
def input_of_a_form(x, u, h, opt):
    return dict(h=x.n + x.f)


@bad("init: a function for 'mask_hh', which is no parameter", init={"mask_hh": abs})  # !
def mask_of_nothing(x, u, h, opt):
    return dict(h=x.n + x.f)
