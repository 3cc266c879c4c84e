"""Whether equations use all that a definition declares."""

from collections.abc import Sequence
from typing import Any, Protocol

from recurra.cells.called import Equations
from recurra.cells.graph import parameters
from recurra.errors import InputError


class Declares(Protocol):
    """What a cell declares: see `Cell`."""

    gates: tuple[str, ...]
    inputs: dict[str, int]
    learnt: dict[str, int]
    drawn: dict[str, Any]
    options: dict[str, Any]


def check_use(cell: Declares, traced: Sequence[Equations], asked: set[str]) -> None:
    """Refuse gates and options that nothing in the equations uses, and draws of nothing.

    Args:
        cell: what declares them.
        traced: its equations, for all its options.
        asked: the options and parameters that it asked for.

    Raises:
        InputError: what is not used, without the cell's name.
    """
    read = {node.name for equations in traced for node in equations.nodes if node.op == "gate"}
    if unread := [g for g in cell.gates if g not in read]:
        raise InputError(
            f"nothing reads the gate{'s' * (len(unread) > 1)} {' '.join(unread)}: expected "
            f"x.{unread[0]} or u(v).{unread[0]} in what it returns; use it, or take it out of "
            "gates="
        )
    nodes = [node for found in traced for node in found.nodes]
    own = {n.name.removeprefix("ih/") for n in nodes if n.op in ("input", "affine")}
    if unread := [name for name in cell.inputs if name not in own]:
        one = unread[0]
        form = f"x.{one}" if cell.inputs[one] == 1 else f"x.{one}.{cell.gates[0]}"
        raise InputError(
            f"nothing reads the further input {one}: expected {form} in what it returns; use "
            "it, or take it out of inputs="
        )
    each = (parameters(e.nodes, cell.gates, bias=True) for e in traced)
    known = list(dict.fromkeys(p.name for found in each for p in found))
    if odd := [name for name in cell.drawn if name not in known or name.startswith("bias_")]:
        raise InputError(
            f"init: a function for {odd[0]!r}, which is no parameter that one draws: expected "
            f"one of {', '.join(n for n in known if not n.startswith('bias_'))}; biases of "
            "gates start from numbers"
        )
    learnt = {name: size for name, size in cell.learnt.items() if size >= 0}
    fixed = [name for name in cell.learnt if name not in learnt]
    for what, names in (("options", cell.options), ("learnt", learnt), ("fixed", fixed)):
        if unasked := [name for name in names if name not in asked]:
            raise InputError(
                f"nothing asks for the {'option' if what == 'options' else 'parameter'} "
                f"{unasked[0]}: expected opt.{unasked[0]} in the definition; use it, or take "
                f"it out of {what}="
            )
