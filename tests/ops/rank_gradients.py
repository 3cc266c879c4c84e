"""Gradients of layers under DDP, on two processes forked from one; prints the rows that agree."""

import os
import sys
from pathlib import Path

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from nn.variants import I, P, Variant, draw, on
from recurra.nn import GRU, LSTM, RNN
from tolerances import assert_close

T, B, WORLD = 5, 6, 2
ROWS = [
    Variant(RNN, {"num_layers": 2, "bidirectional": True}),
    Variant(GRU, {"reset": "before", "zoneout": 0.3}),
    Variant(LSTM, {"layer_norm": True, "peephole": True, "proj_size": P}),
    Variant(LSTM, {"learn_initial_state": True, "residual": True, "num_layers": 2}),
]


def check(rank: int) -> None:
    """Half of the batch here, half on the other process: the gradients of the whole batch."""
    for variant in ROWS:
        x, mask = draw(T, B, I), draw(T, B, seed=1) > -0.5
        weights = draw(T, B, variant.make().output_size, seed=2)
        whole = on("native", variant.make()).eval()
        (whole(x, mask=mask)[0] * weights).sum().backward()
        ours = on("native", variant.make()).eval()
        half = slice(rank * B // WORLD, (rank + 1) * B // WORLD)
        parallel = DistributedDataParallel(ours)  # lives until the backward pass is over
        outputs, _ = parallel(x[:, half], mask=mask[:, half])
        # DDP takes the mean over processes, and the loss of the whole batch is a sum.
        (outputs * weights[:, half]).sum().mul(WORLD).backward()
        for (name, one), other in zip(ours.named_parameters(), whole.parameters(), strict=True):
            assert one.grad.any(), f"{variant} {name}"
            assert_close(one.grad, other.grad, f"{variant} {name}")
        if rank == 0:
            print(variant, flush=True)


def run(rank: int, folder: Path) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=WORLD
    )
    try:
        check(rank)
    finally:
        distributed.destroy_process_group()


def main(folder: Path) -> int:
    torch.set_num_threads(1)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            run(1, folder)
            code = 0
        finally:
            os._exit(code)
    run(0, folder)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
