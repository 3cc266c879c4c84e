"""One training step: loss, gradient, update, and the state that is carried on."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from recurra.train.config import TrainConfig
from recurra.train.distributed import World
from recurra.train.layers import layers_of
from recurra.train.optim import Updater
from recurra.train.task import Batch, State, Task


class _Loss(nn.Module):
    """`Task.loss` as a module, so that DistributedDataParallel sees its forward pass."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.module = task.module
        self._loss = task.loss

    def forward(self, batch: Batch, state: State) -> tuple[Tensor, int, State]:
        """See `Task.loss`."""
        return self._loss(batch, state)


class Step:
    """Runs steps of a task. Nothing in it waits for the device."""

    def __init__(self, task: Task, config: TrainConfig, world: World) -> None:
        self.world = world
        self.forward = world.wrap(_Loss(task)) if world.size > 1 else task.loss
        self.layers = layers_of(task, config)
        self.updater = Updater(task.module, config, layers=self.layers)

    def __call__(
        self, batch: Batch, state: State, lr: float, *, shares: Sequence[float] = ()
    ) -> tuple[Tensor, float, State]:
        """One step with the state of the batch before; `shares` as in `Updater.step`.

        Returns on the device, in float64, the summed loss, the norm of the gradient before
        clipping, and whether the update was made (1 or 0); the count the loss sums over; and the
        new state, detached, which starts again at zero where the update was not made.
        """
        total, count, state = self.forward(batch, state if batch.carry else None)
        # DistributedDataParallel averages over ranks, which may have counted differently.
        (counted,) = self.world.total([count])
        (total * (self.world.size / max(counted, 1.0))).backward()
        total = self.world.sum(total.detach().clone())
        norm, good = self.updater.step(total, lr, shares=shares)
        bad = ~good
        state = map_state(lambda t: t.detach().masked_fill(bad, 0), state)
        return torch.stack((total.double(), norm.double(), good.double())), counted, state


def map_state(change: Callable[[Tensor], Tensor], state: State) -> State:
    """The state with every tensor in it changed. TypeError for what a state cannot hold."""
    if state is None:
        return None
    if isinstance(state, Tensor):
        return change(state)
    if type(state) in (tuple, list):
        return type(state)(map_state(change, item) for item in state)
    if type(state) is dict:
        return {key: map_state(change, item) for key, item in state.items()}
    raise TypeError(
        f"a carried state is tensors in tuples, lists and dicts, got {type(state).__name__}"
    )
