"""What training costs: FLOPs of a step from its gates, and the account of a whole run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ..core.errors import StoreError, said
from .flops import ModelFlops


def step_flops(
    flops: ModelFlops,
    forward: Mapping[str, float],
    train: Mapping[str, float],
    *,
    default_train: float = 1.0,
    dense_gradient: bool = False,
) -> float:
    r"""FLOPs of one optimizer step on the batch that ``flops`` was counted for.

    With :math:`c_l` the forward FLOPs of tensor :math:`l`, :math:`a_l` and :math:`t_l` the shares of it that act and
    learn, and :math:`o` the products without a parameter,

    .. math:: \Big(\sum_l a_l c_l + o\Big) + \Big(\sum_l a_l c_l + 2 o\Big) + \sum_l t_l c_l

    for the forward pass, the gradients of the activations and those of the weights. A static sparse network costs
    :math:`3 f_S`; one whose removed weights alone learn while all act, :math:`3 f_D - f_S`. The gradient of the input
    is counted although it can be skipped; the optimizer, norms and activations are not.

    Args:
        flops: the forward FLOPs of the dense model.
        forward: the acting share :math:`a_l` per tensor; tensors not named are dense.
        train: the learning share :math:`t_l` per tensor, 0 for a frozen one.
        default_train: the learning share of tensors not named in ``train``; 0 freezes them.
        dense_gradient: whether the gradients of all weights of the tensors named in ``train`` are wanted, as on a step
            that grows by gradient.

    Returns:
        The FLOPs.

    Source: Evci et al. 2020 (RigL), appendix on FLOPs; Sun et al. 2025 (IEE).

    >>> flops = ModelFlops({"a": 100.0}, other=0.0, batch=1)
    >>> step_flops(flops, {"a": 0.1}, {"a": 0.1}), step_flops(flops, {"a": 0.1}, {"a": 0.1}, dense_gradient=True)
    (30.0, 120.0)
    """
    acting = sum(cost * forward.get(name, 1.0) for name, cost in flops.per_tensor.items())
    learning = 0.0
    for name, cost in flops.per_tensor.items():
        share = train.get(name, default_train)
        learning += cost * (1.0 if dense_gradient and name in train else share)
    return 2 * acting + learning + 3 * flops.other


def peak_memory(device: torch.device | str) -> int:
    """The most memory used so far, in bytes; cheap enough to ask at every step.

    On Linux a process starts with the peak of the program that launched it: below that nothing is seen on the CPU.

    Args:
        device: a CUDA device, for what PyTorch had allocated there at most; else this process's largest resident size.

    Returns:
        Bytes; 0 where the system does not tell.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass(frozen=True)
class Entry:
    """One stage's account. FLOPs that nobody could count are ``None``, and stay so whatever is added."""

    steps: int = 0
    flops: float | None = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Ledger:
    """The account of a training run, by stage; adding to it gives a new one.

    Args:
        stages: the account of each stage.
        peak_memory: the most memory seen, in bytes; 0 if nobody looked.
        dense_step_flops: the FLOPs of one step of the dense network; ``None`` if unknown.

    >>> ledger = Ledger(dense_step_flops=300.0).add("train", steps=2, flops=60.0, seconds=0.5)
    >>> ledger.flops, ledger.dense_runs()  # of the 600 that two dense steps cost
    (60.0, 0.1)
    >>> print(ledger)
    stage         steps      FLOPs    seconds
    train             2         60       0.50
    all               2         60       0.50
    0.1 dense runs
    """

    stages: Mapping[str, Entry] = field(default_factory=dict)
    peak_memory: int = 0
    dense_step_flops: float | None = None

    def add(self, stage: str, *, steps: int = 1, flops: float | None, seconds: float) -> Ledger:
        """Book steps of one stage.

        Args:
            stage: the stage's name.
            steps: how many steps.
            flops: what they cost together, ``None`` if unknown.
            seconds: how long they took together.

        Returns:
            The new ledger.
        """
        old = self.stages.get(stage, Entry())
        both = None if flops is None or old.flops is None else old.flops + flops
        entry = Entry(old.steps + steps, both, old.seconds + seconds)
        return replace(self, stages={**self.stages, stage: entry})

    def seen_memory(self, peak: int) -> Ledger:
        """The ledger after a look at the memory: the larger peak stays."""
        return replace(self, peak_memory=max(self.peak_memory, peak))

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(entry.steps for entry in self.stages.values())

    @property
    def seconds(self) -> float:
        """Seconds of all stages."""
        return sum(entry.seconds for entry in self.stages.values())

    @property
    def flops(self) -> float | None:
        """FLOPs of all stages; ``None`` if those of one are unknown."""
        known = [entry.flops for entry in self.stages.values() if entry.flops is not None]
        return sum(known) if len(known) == len(self.stages) else None

    def dense_runs(self, steps: int | None = None) -> float | None:
        """The FLOPs spent, in dense training runs.

        Args:
            steps: the length of the dense run; as many steps as were made, if not given.

        Returns:
            The ratio; ``None`` if it is unknown or no step was made.
        """
        length = self.steps if steps is None else steps
        if self.flops is None or not self.dense_step_flops or not length:
            return None
        return self.flops / (length * self.dense_step_flops)

    def __str__(self) -> str:
        """A line for each stage, their sum, and what it means in dense training runs."""
        rows = [*self.stages.items(), ("all", Entry(self.steps, self.flops, self.seconds))]
        lines = [f"{'stage':<12} {'steps':>6} {'FLOPs':>10} {'seconds':>10}"]
        for name, entry in rows:
            flops = "unknown" if entry.flops is None else f"{entry.flops:.3g}"
            lines.append(f"{name:<12} {entry.steps:>6,} {flops:>10} {entry.seconds:>10,.2f}")
        runs = self.dense_runs()
        notes = [] if runs is None else [f"{runs:.3g} dense runs"]
        notes += [f"at most {self.peak_memory / 2**20:,.0f} MiB of memory"] if self.peak_memory else []
        return "\n".join([*lines, *([", ".join(notes)] if notes else [])])

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; unknown numbers are ``None``."""
        stages = {
            name: {"steps": entry.steps, "flops": entry.flops, "seconds": entry.seconds}
            for name, entry in self.stages.items()
        }
        return {"stages": stages, "dense_step_flops": self.dense_step_flops, "peak_memory": self.peak_memory}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Ledger:
        """The ledger that `as_dict` described.

        Args:
            data: what `as_dict` gave.

        Returns:
            The ledger.

        Raises:
            StoreError: the data is something else.
        """
        try:
            stages = {
                name: Entry(int(entry["steps"]), _number(entry["flops"]), float(entry["seconds"]))
                for name, entry in data["stages"].items()
            }
            return Ledger(stages, int(data["peak_memory"]), _number(data["dense_step_flops"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"this is not a training ledger ({said(error)}); "
                "it needs stages with steps, flops and seconds, dense_step_flops and peak_memory"
            ) from error


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
