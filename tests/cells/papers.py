"""A layer's parameters as the files of `published` take them."""

from types import ModuleType, SimpleNamespace

from recurra.cells import Cell
from recurra.nn import Recurrent


def weights_of(module: ModuleType, cell: Cell, layer: Recurrent) -> SimpleNamespace:
    """Matrices, biases and learnt parameters by gates, as the file's `step` takes them."""
    program, given = layer.program, dict(layer.named_parameters())

    def parts(kind: str, product: str) -> dict:
        tensor, gates = given.get(f"{kind}_{product}_l0"), program.span(product)
        return {} if tensor is None else dict(zip(gates, tensor.chunk(len(gates)), strict=True))

    def biases_of(product: str) -> dict:
        tensor, gates = given.get(f"bias_{product}_l0"), program.biased_gates(product)
        return {} if tensor is None else dict(zip(gates, tensor.chunk(len(gates)), strict=True))

    others = {}  # of further inputs and of other forms, by the parameters' names
    for name, tensor in given.items():
        product = name.removesuffix("_l0").removeprefix("weight_")
        if name.startswith("weight_") and len(product) > 2 and product != "hr":
            form = f"{product[:2]}/{product[3:].partition('_')[0]}"
            gates = [g for n in program.nodes if n.name == form for g in n.gates]
            blocks = dict(zip(gates, tensor.chunk(len(gates)), strict=True))
            others[f"weight_{product}"] = SimpleNamespace(**blocks)
    inputs, recurrent = biases_of("ih"), biases_of("hh")
    biases = recurrent | inputs
    if getattr(module, "BIASES", 1) == 1:  # they add up, and a paper has one
        biases |= {g: inputs[g] + recurrent[g] for g in inputs.keys() & recurrent.keys()}
    return SimpleNamespace(
        W=SimpleNamespace(**parts("weight", "ih")),
        U=SimpleNamespace(**parts("weight", "hh")),
        b=SimpleNamespace(**biases),
        c=SimpleNamespace(**recurrent),
        **others,
        p=SimpleNamespace(**{n: given[f"learnt_{n}_l0"] for n in cell.learnt}),
    )
