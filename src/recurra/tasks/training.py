"""What the training of every task shares: the torch side of `recurra.tasks.protocol`."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from recurra.errors import FormatError, InputError
from recurra.given import LeftOut, shown
from recurra.settings import Settings
from recurra.storage import ModelFiles, save_model
from recurra.tasks.answers import notes_of
from recurra.tasks.card import Card, write_card
from recurra.tasks.job import Job
from recurra.tasks.network import NetworkConfig
from recurra.tasks.pretrained import carried_over
from recurra.train import FitResult
from recurra.train.distributed import World
from recurra.train.layers import by_depth
from recurra.train.run import run
from recurra.train.transfer import carry_over


class Prepared(Protocol):
    """What a task makes of its data before training."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """As JSON, what of the data a run shares with the one it continues."""

    @property
    def left_out(self) -> LeftOut:
        """What of the data could not be used."""

    @property
    def about(self) -> Mapping[str, Any]:
        """As JSON, what the model directory says of the data: their name, hashes and sizes."""


Config = TypeVar("Config", bound=NetworkConfig)
Data = TypeVar("Data", bound=Settings)
Made = TypeVar("Made", bound=Prepared)


class Training(Generic[Config, Data, Made]):
    """Base of what the training loop needs of a task (see `recurra.train.Task`).

    A task's own class, `Training` in its module `training`, adds the hooks: `prepare` reads the
    data, `build` makes the module, `batches`, `loss` and `validate` are the loop's, `describe` says
    what the model directory holds beside settings and weights, `card` what it says to a person.

    Args:
        job: what this call of `fit` decides.
        prepared: what `prepare` made of its data.
        module: another than `build` makes, with the same methods.
    """

    task: ClassVar[str]
    unit: str = "tokens"
    goal: str = "loss"
    goal_higher: bool = False
    notes: tuple[str, ...] = ()
    #: What the data have otherwise, where weights of before do not fit them.
    other: ClassVar[str] = "the data have other sizes"

    def __init__(self, job: Job[Config, Data], prepared: Made, module: Any = None) -> None:
        self.job, self.prepared = job, prepared
        self.model, self.data = job.model, job.data
        self.left_out, self.begun = prepared.left_out, job.begun is not None
        self.metrics: dict[str, float] = {}
        self.planned = ""  # see `recurra.train.Planned`
        self.module = self.build(self.model, prepared, job.train.seed) if module is None else module
        if job.pretrained is not None:
            where = str(job.pretrained.path)
            carry_over(self.module, self._of_members(carried_over(job.pretrained)), where=where)
        if job.files is not None:
            self._go_on(job.files.tensors)

    @classmethod
    def prepare(cls, job: Job[Config, Data], out: Path, world: World) -> Any:
        """Read the data of a job, and part them: a `Prepared`.

        Args:
            job: its data and settings.
            out: directory of the run, for what is too large for memory.
            world: the processes, each of which calls this.

        Raises:
            InputError: data that cannot be used; nothing was written.
        """
        raise NotImplementedError

    def build(self, config: Config, prepared: Made, seed: int) -> Any:
        """The module with freshly drawn weights."""
        raise NotImplementedError

    @classmethod
    def rebuild(cls, config: Config, files: ModelFiles) -> Any:
        """The module of a model directory, with whatever weights."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Entries of the task's own in `config.json`."""
        raise NotImplementedError

    def card(self, written: Mapping[str, Any]) -> Card:
        """What the model card says, given `config.json`."""
        raise NotImplementedError

    def batches(self, epoch: int, *, rank: int, world: int) -> Any:
        """See `recurra.train.Task`."""
        raise NotImplementedError

    def validate(self) -> dict[str, float]:
        """See `recurra.train.Task`."""
        raise NotImplementedError

    def architecture(self) -> dict[str, Any]:
        """What running the weights needs to know."""
        found: dict[str, Any] = self.model.architecture().to_json()
        return found

    def tokenizer(self) -> Any:
        """`tokenizer.json` of the model; None where there is none."""
        return None

    def twice(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """What is another name for a weight, which a model holds once; by that name."""
        return {}

    def layers(self) -> list[list[str]]:
        """See `recurra.train.Layered`."""
        return by_depth(name for name, _ in self.module.named_parameters())

    def tensors(self) -> dict[str, np.ndarray]:
        """The weights, each once."""
        state = self.module.state_dict()
        both = self.twice(state)
        return {n: value.cpu().numpy() for n, value in state.items() if n not in both}

    def config(self) -> dict[str, Any]:
        """`config.json` of the model."""
        return {
            "task": self.task,
            "architecture": self.architecture(),
            "model": self.model.to_json(),
            **self.describe(),
            "training": {
                **self.prepared.about,
                **notes_of(self),
                "data": self.data.to_json(),
                "train": self.job.train.lasting(self.planned),
            },
        }

    def save(self, directory: Path) -> None:
        """See `recurra.train.Task`."""
        config = self.config()
        card = write_card(self.card(config), self.model, config["training"], self.metrics)
        save_model(
            directory,
            config=config,
            tensors=self.tensors(),
            tokenizer=self.tokenizer(),
            card=card,
        )

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.module.parameters()).device

    def moved(self, arrays: Iterable[np.ndarray]) -> list[Tensor]:
        """Arrays as tensors where the weights are."""
        return [torch.from_numpy(array).to(self.device) for array in arrays]

    def _of_members(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Weights for each of several networks that vote, where there are."""
        members = getattr(self.model, "members", 1)
        if members == 1:
            return dict(tensors)
        return {f"members.{k}.{n}": t for k in range(members) for n, t in tensors.items()}

    def _go_on(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Take the weights of a model that is trained further."""
        state = {name: torch.from_numpy(np.array(value)) for name, value in tensors.items()}
        state |= self.twice(state)
        mine = self.module.state_dict()
        if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in mine.items()}:
            raise InputError(
                f"fit: {self.other} than those this model was trained on: make a new model"
            )
        self.module.load_state_dict(state)


def network_of(side: type[Training[Any, Any, Any]], config: Any, files: ModelFiles) -> Any:
    """The module of a model directory with its weights, in eval mode.

    Raises:
        FormatError: it has other weights than its configuration says.
    """
    module = side.rebuild(config, files)
    state = {name: torch.from_numpy(np.array(value)) for name, value in files.tensors.items()}
    own = _once(module)
    if {name: value.shape for name, value in state.items()} != {n: t.shape for n, t in own.items()}:
        raise FormatError(
            f"{files.path}: model.safetensors: expected the weights that config.json describes, "
            "found others: restore the files from a copy"
        )
    with torch.no_grad():
        for name, value in state.items():
            own[name].copy_(value)
    return module.eval()


def weights_of_network(network: Any, files: ModelFiles) -> dict[str, np.ndarray]:
    """The weights of a module that `network_of` made, under the names of the model directory.

    Raises:
        InputError: it is another module, or has weights that are not finite.
    """
    if not isinstance(network, torch.nn.Module):
        raise InputError(f"network: expected a torch.nn.Module, received {shown(network)}")
    own = {name: _array(value) for name, value in _once(network).items()}
    wanted = {name: value.shape for name, value in files.tensors.items()}
    shapes = {name: value.shape for name, value in own.items()}
    wrong = [n for n in sorted(wanted | shapes) if wanted.get(n) != shapes.get(n)]
    if wrong:
        there, now = (sizes.get(wrong[0], "none") for sizes in (wanted, shapes))
        raise InputError(
            f"network: expected the module that network() returns, with {wrong[0]} {there}, "
            f"received {now}: change its weights alone"
        )
    for name, value in own.items():
        if not np.isfinite(value).all():
            raise InputError(f"network: {name} has values that are not finite: correct them")
    return {name: own[name] for name in files.tensors}


def _array(value: Tensor) -> np.ndarray:
    """A copy of a tensor, of float32 where it has floating-point numbers."""
    value = value.detach().cpu()
    return (value.float() if value.is_floating_point() else value).numpy().copy()


def _once(module: Any) -> dict[str, Tensor]:
    """The entries of a module's state, each tensor under the first of its names."""
    state, names = module.state_dict(keep_vars=True), dict[int, str]()
    for name, value in state.items():
        names.setdefault(id(value), name)
    return {name: state[name] for name in names.values()}


def drawn(seed: int) -> Any:
    """A context in which weights are drawn from `seed`, which leaves torch's generator alone."""
    stack = ExitStack()
    stack.enter_context(torch.random.fork_rng(devices=()))
    torch.manual_seed(seed)
    return stack


def train(side: type[Training[Any, Any, Any]], job: Job) -> tuple[FitResult, Path, ExitStack]:
    """Train as `job` says.

    Returns:
        The result, the directory of the best model, and what removes that directory again where
        the job names none.
    """

    def make(out: Path, world: World) -> tuple[Any, Mapping[str, Any]]:
        job.model.check_precision(world.device.type)
        prepared = side.prepare(job, out, world)
        made = side(job, prepared)
        made.batches(0, rank=0, world=world.size)
        return made, prepared.identity

    return run(
        make,
        job.train,
        out=job.out,
        settings=job.settings,
        fresh=job.fresh,
        callbacks=job.callbacks,
        started=job.started,
    )


__all__ = ["Prepared", "Training", "drawn", "network_of", "train", "weights_of_network"]
