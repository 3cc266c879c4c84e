"""Many processes under torchrun as one: sums, decisions and gathered state, without pickle."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from recurra.errors import InputError, RecurraError

# Rank 0 validates while the others wait for its verdict.
_TIMEOUT = timedelta(hours=1)


class RankError(RecurraError):
    """Another process of this run failed; its own error says why."""


class World:
    """The processes that train together; alone, every method is the identity."""

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | None = None) -> None:
        self.rank, self.size = rank, size
        self.device = device or torch.device("cpu")
        self._wrapped: DistributedDataParallel | None = None

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with its gradients averaged over the ranks."""
        if self.size == 1:
            return module
        # A parameter may take no part in some steps (a learned initial state, where the state is
        # carried). That mode also keeps the buckets as they are first laid out, so that sums have
        # the same order before and after a resume. Where nothing is ever unused it warns, on
        # standard error and past Python; one parameter that never is used keeps it quiet.
        module.register_parameter("unused", nn.Parameter(torch.zeros(1, device=self.device)))
        wrapped = DistributedDataParallel(
            module, find_unused_parameters=True, gradient_as_bucket_view=True
        )
        wrapped.require_forward_param_sync = False  # of buffers: each rank keeps its own
        self._wrapped = wrapped
        return wrapped

    def close(self) -> None:
        """Let go of the process group.

        An error's frames keep the wrapped module alive. Freed after the group, its reducer would
        be what ends the group's threads, holding the lock of the interpreter that they wait for.
        """
        if self._wrapped is not None:
            del self._wrapped.logger, self._wrapped.reducer
            self._wrapped = None

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all ranks of a tensor on the device, added in place."""
        if self.size > 1:
            dist.all_reduce(value)
        return value

    def total(self, values: Sequence[float]) -> list[float]:
        """The sums over all ranks of some numbers of the host."""
        if self.size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(summed)
        return summed.tolist()

    def tell(self, value: Any) -> Any:
        """Rank 0's JSON value, on every rank."""
        if self.size == 1:
            return value
        return json.loads(self.tell_bytes(json.dumps(value).encode()))

    def tell_bytes(self, data: bytes) -> bytes:
        """Rank 0's bytes, on every rank."""
        if self.size == 1:
            return data
        length = torch.tensor([len(data)])
        dist.broadcast(length, 0)
        text = torch.zeros(int(length), dtype=torch.uint8)
        if self.first and data:
            text = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        dist.broadcast(text, 0)
        return text.numpy().tobytes()

    def on_first(self, work: Callable[[], Any]) -> Any:
        """What `work` returns (a JSON value) on rank 0, on every rank.

        If it raises there, it raises everywhere: on the other ranks as RankError.
        """
        if self.size == 1:
            return work()
        result: Any = None
        problem: BaseException | None = None
        if self.first:
            try:
                result = work()
            except BaseException as error:
                problem = error
        message = self.tell(None if problem is None else f"{type(problem).__name__}: {problem}")
        if problem is not None:
            raise problem
        if message is not None:
            raise RankError(f"rank 0 could not go on: {message}")
        return self.tell(result)

    def gather(self, data: bytes) -> list[bytes]:
        """The bytes of every rank, in the order of ranks, on rank 0; nothing elsewhere."""
        if self.size == 1:
            return [data]
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(sizes, torch.tensor([len(data)]))
        longest = int(max(sizes))
        mine = torch.zeros(longest, dtype=torch.uint8)
        mine[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        room = [torch.empty_like(mine) for _ in range(self.size)] if self.first else None
        dist.gather(mine, room)
        if room is None:
            return []
        return [t[: int(n)].numpy().tobytes() for t, n in zip(room, sizes, strict=True)]


def declared() -> int:
    """How many processes the environment says a run has. InputError for what is no number."""
    return _number("WORLD_SIZE", 1, least=1)


def _number(variable: str, otherwise: int, *, least: int = 0) -> int:
    """A whole number of the environment."""
    given = os.environ.get(variable)
    if given is None:
        return otherwise
    if not (given.isascii() and given.isdigit() and len(given) < 10 and int(given) >= least):
        raise InputError(
            f"{variable}: expected a whole number from {least} on, received {given[:40]!r}: "
            "torchrun sets it; unset it for one process"
        )
    return int(given)


@contextmanager
def join(device: torch.device) -> Iterator[World]:
    """The world of this process: of torchrun's environment, or of this process alone.

    A group that the caller has made is used and left as it is.
    """
    if dist.is_initialized():
        with closing(_member(device)) as world:
            yield world
        return
    if declared() == 1:
        yield World(device=device)
        return
    missing = [n for n in ("RANK", "MASTER_ADDR", "MASTER_PORT") if n not in os.environ]
    if missing:
        raise InputError(
            f"WORLD_SIZE is {declared()}, but {', '.join(missing)} not set: "
            "start many processes with torchrun"
        )
    # gloo carries what the host decides, also where NCCL carries the gradients.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=_TIMEOUT)
    try:
        with closing(_member(device)) as world:
            yield world
    finally:
        dist.destroy_process_group()


@contextmanager
def lost_ranks_named() -> Iterator[None]:
    """Turn the network's error about a rank that is gone into a RankError."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise RankError(
                "another process of this run has ended, and said itself why: run the same again "
                "to go on from the last checkpoint"
            ) from error
        raise


def choose_device(name: str) -> torch.device:
    """The device called auto, cpu or cuda; under torchrun each process takes its own GPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise InputError(
                "device cuda: torch finds no CUDA device here: use device cpu, or a torch build "
                "with CUDA"
            )
        local = _number("LOCAL_RANK", 0)
        if local >= torch.cuda.device_count():
            raise InputError(
                f"device cuda: process {local} of this machine has no GPU of its own, there are "
                f"{torch.cuda.device_count()}: start at most that many processes"
            )
        torch.cuda.set_device(local)
        return torch.device("cuda", local)
    return torch.device(name)


def _member(device: torch.device) -> World:
    return World(dist.get_rank(), dist.get_world_size(), device)
