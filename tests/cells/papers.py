"""A layer's parameters as the files of `published` take them."""

from types import ModuleType, SimpleNamespace

from recurra.cells import Cell
from recurra.nn import Recurrent


def weights_of(module: ModuleType, cell: Cell, layer: Recurrent) -> SimpleNamespace:
    """Matrices, biases and learnt parameters by gates, as the file's `step` takes them."""
    program = layer.program
    given = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}

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
            gates = [g for g in program.gates if g in gates]
            blocks = dict(zip(gates, tensor.chunk(len(gates)), strict=True))
            others[f"weight_{product}"] = SimpleNamespace(**blocks)
        kind, _, side = name.removesuffix("_l0").partition("_")
        if kind in ("mask", "fixed") and side in ("ih", "hh"):
            form = f"{side}/{'masked' if kind == 'mask' else kind}"
            gates = [g for n in program.nodes if n.name == form for g in n.gates]
            gates = [g for g in program.gates if g in gates]
            blocks = dict(zip(gates, tensor.chunk(len(gates)), strict=True))
            others[f"{kind}_{side}"] = SimpleNamespace(**blocks)
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
        p=SimpleNamespace(
            **{
                n: given[f"{'fixed' if size < 0 else 'learnt'}_{n}_l0"]
                for n, size in cell.learnt.items()
            }
        ),
    )
