"""The settings of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..core.errors import BudgetError, TrainError
from .budgets import Costs
from .methods import usual_density

_CHOICES = {
    "optimizer": ("sgd", "adamw"),
    "schedule": ("cosine", "constant"),
    "precision": ("fp32", "bf16"),
}


@dataclass(frozen=True)
class Settings:
    """What is trained, on what, how, for how long.

    Args:
        model: its address.
        data: their address.
        method: a name from `niwaki.app.methods.METHODS`.
        units: what is pruned: ``weights``, blocks such as ``4x4``, patterns such as ``2:4``, ``channels``, ``heads``.
        ignore: names and patterns of what stays whole, such as ``fc`` or ``layer4.*``.
        density: the share that stays; if nothing is asked 0.1, or what an N:M pattern has.
        latency: in place of it, the share of the dense model's latency that may stay.
        macs: likewise of its multiplications; several costs may be given together.
        parameters: likewise of its parameters.
        min_share: the least share of every group that stays; 0 if None; see `niwaki.at_least`.
        backend: what runs the models when they are timed; eager if None.
        table: a file with a table of latencies, in place of measuring one.
        latency_batch: inputs at a time when models are timed.
        steps: optimizer steps; give either these or epochs.
        epochs: passes over the training part.
        batch: samples in a step.
        lr: learning rate at the start.
        momentum: of SGD.
        weight_decay: on all parameters.
        optimizer: ``sgd`` or ``adamw``.
        schedule: of the learning rate: ``cosine`` to zero, or ``constant``.
        seed: of initial values, order, variation and structure.
        threads: CPU threads; torch's choice if None.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``.
        precision: ``fp32``, or ``bf16`` for autocast.
        channels_last: memory layout of pictures and convolutions.
        checkpoint_every: steps between checkpoints; a twentieth of the run if None.
        switches: keywords for the method.
    """

    model: str
    data: str
    method: str = "iee"
    units: str = "weights"
    ignore: Sequence[str] = ()
    density: float | None = None
    latency: float | None = None
    macs: float | None = None
    parameters: float | None = None
    min_share: float | None = None
    backend: str | None = None
    table: str | None = None
    latency_batch: int = 1
    steps: int | None = None
    epochs: float | None = None
    batch: int = 128
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    optimizer: str = "sgd"
    schedule: str = "cosine"
    seed: int = 0
    threads: int | None = None
    device: str = "auto"
    precision: str = "fp32"
    channels_last: bool = False
    checkpoint_every: int | None = None
    switches: Mapping[str, Any] = field(default_factory=dict)

    @property
    def costs(self) -> Costs:
        """What the network may cost."""
        shares = (self.latency, self.macs, self.parameters)
        return Costs(*shares, self.backend or "eager", self.table, batch=self.latency_batch)

    @property
    def asked_density(self) -> float | None:
        """The density asked for, unless it is a budget of costs."""
        if self.costs.shares:
            return None
        return usual_density(self.units) if self.density is None else self.density

    def __post_init__(self) -> None:
        if self.costs.shares and self.density is not None:
            named = " and ".join(f"--{name}" for name in self.costs.shares)
            raise BudgetError(f"--density counts what stays and {named} what it costs: give one of the two")
        if self.density is not None and not 0 < self.density <= 1:
            raise BudgetError(f"density {self.density!r} is outside (0, 1]; it is the share of the units that stays")
        if (self.steps is None) == (self.epochs is None):
            raise TrainError("give the length of the run either in steps or in epochs")
        for name in ("steps", "epochs", "batch", "lr", "threads", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise TrainError(f"{name} = {value!r} is not a positive number")
        if self.seed < 0:
            raise TrainError(f"seed = {self.seed} is negative; take 0 or more")
        if not 0 <= self.momentum < 1 or not 0 <= self.weight_decay < float("inf"):
            raise TrainError(
                f"momentum {self.momentum!r} must be in [0, 1) and weight decay {self.weight_decay!r} not negative"
            )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise TrainError(f"{name} {getattr(self, name)!r} is unknown; choose from {', '.join(choices)}")


FIELDS = tuple(f.name for f in fields(Settings))


def as_config(settings: Settings, *, steps: int, per_epoch: int, command: str) -> dict[str, Any]:
    """The settings as written into a run folder, with the length worked out both ways."""
    density = settings.asked_density
    return {
        **asdict(settings),
        "density": density,
        "steps": steps,
        "epochs": settings.epochs or steps / per_epoch,
        "command": command,
    }


def from_config(config: Mapping[str, Any], given: Mapping[str, Any], where: str) -> Settings:
    """The settings of a run that is to go on.

    Args:
        config: as the run folder has it.
        given: settings asked for now; they must be the same, but for those that do not touch the result.
        where: the run folder, for the message.

    Returns:
        The settings.

    Raises:
        TrainError: a setting differs.
    """
    free = {"device", "threads", "checkpoint_every"}
    if config.get("method") == "dense":
        given = {name: value for name, value in given.items() if name != "density"}  # whatever is asked, it is 1
    for name, value in given.items():
        if name not in free and _plain(value) != config.get(name):
            raise TrainError(
                f"the run in {where} was begun with {name} = {config.get(name)!r}, not {value!r}; "
                "leave the option out to go on with it, or start another run in another folder"
            )
    kept = {name: config[name] for name in FIELDS if name in config}
    changed = {name: given[name] for name in free & set(given)}
    return Settings(**{**kept, "epochs": None, **changed})


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
