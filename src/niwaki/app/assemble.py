"""From settings to the objects of a run."""

from __future__ import annotations

import math
import os
import platform
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import __version__
from ..allocate import Macs, at_least
from ..core.errors import BudgetError, TrainError
from ..core.group import Group, is_structured
from ..measure import LatencyTable, counted
from ..signals import probe
from ..signals.forward import evaluating
from .batches import Batches
from .budgets import Budgets, check_smaller, make_budgets
from .data import Data, load_data
from .evaluation import check_fit, laid_out, loss_of
from .methods import check_aim, groups_of, make_sparsifier, with_start
from .progress import Shown
from .saved import is_program, is_trained, open_model
from .settings import Settings


@dataclass(frozen=True, eq=False)
class Parts:
    """Everything a run works with; ``log_every`` and its like count steps."""

    settings: Settings
    data: Data
    batches: Batches
    model: nn.Module
    optimizer: torch.optim.Optimizer
    sparsifier: Any
    groups: Sequence[Group]
    budgets: Budgets | None
    device: torch.device
    steps: int
    log_every: int
    evaluate_every: int
    checkpoint_every: int


def device_named(name: str) -> torch.device:
    """The device to train on.

    Args:
        name: ``auto`` takes CUDA where there is one.

    Returns:
        The device.

    Raises:
        TrainError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        raise TrainError(f"the device {name!r} cannot be used ({error}); choose auto, cpu, cuda or cuda:1") from error
    return device


def versions(device: torch.device) -> dict[str, Any]:
    """What a run was made with; the machine by its kind, not by its name."""
    kind = f"{platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"
    machine = f"{platform.system()} {kind}, {os.cpu_count()} cores"
    if device.type == "cuda":
        machine += f", {torch.cuda.get_device_name(device)}"
    return {
        "niwaki": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": machine,
        "threads": torch.get_num_threads(),
    }


def rate(settings: Settings, step: int, steps: int) -> float:
    """The learning rate of a step, counted from 0.

    >>> settings = Settings("m", "d", steps=10, lr=1.0)
    >>> [round(rate(settings, step, 10), 3) for step in (0, 5, 9)]
    [1.0, 0.5, 0.024]
    """
    if settings.schedule == "constant":
        return settings.lr
    return settings.lr * (1 + math.cos(math.pi * step / steps)) / 2


def _optimizer(settings: Settings, model: nn.Module) -> torch.optim.Optimizer:
    parameters = [p for p in model.parameters() if p.requires_grad]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    return torch.optim.SGD(parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)


def _seed_everything(seed: int) -> None:
    # What models and data of the user's own draw from global generators must follow from the seed too.
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the global generator is the point
    random.seed(seed)


def _budgets(
    settings: Settings, parts: tuple[nn.Module, Sequence[Group], Tensor], progress: Shown, table: LatencyTable | None
) -> Budgets | None:
    model, groups, example = parts
    if not settings.costs.shares:
        return None
    check_smaller(groups, settings.units)
    return make_budgets(settings.costs, model, example, progress, stored=table)


def _rehearse(make: Callable[..., Any], model: nn.Module, example: Tensor) -> None:
    """Let a method say what is wrong with its switches and steps before a table is measured, which takes minutes."""
    with evaluating(model):
        prices = counted(model, example[:1])
    with suppress(BudgetError):  # what can be reached is the table's to say
        make(budget=[Macs(1.0, prices.macs)])


def _model(settings: Settings, data: Data, device: torch.device) -> nn.Module:
    if is_program(Path(settings.model)):
        raise TrainError(
            f"{settings.model!r} is a program, which computes what a model does in evaluation and cannot be trained; "
            "train the model that it was made from"
        )
    model = open_model(settings.model, classes=len(data.classes), channels=data.channels)
    check_fit(model, data, (settings.model, settings.data))
    model.to(device)
    return model.to(memory_format=torch.channels_last) if settings.channels_last else model


def assemble(settings: Settings, progress: Shown, *, table: LatencyTable | None = None) -> Parts:
    """Load the data, make model, optimizer and sparsifier, and attach them.

    The same settings give the same objects: everything random follows from the seed.

    Args:
        settings: of the run.
        progress: shows how far the measuring of a table is.
        table: of latencies, measured earlier for this very run.

    Returns:
        The parts.
    """
    check_aim(settings.method, has_budget=bool(settings.costs.shares))  # before anything that takes time
    device = device_named(settings.device)
    _seed_everything(settings.seed)
    data = load_data(settings.data)
    model = _model(settings, data, device)
    data = data.to(device)
    batches = Batches(data, settings.batch, settings.seed)
    steps = settings.steps or max(1, round((settings.epochs or 0) * batches.per_epoch))
    optimizer = _optimizer(settings, model)
    few = [batches.at(step) for step in range(4)]
    found = groups_of(model, settings.units, few[0][0][:2], ignore=settings.ignore)
    groups = at_least(found, settings.min_share or 0.0)
    make = partial(
        make_sparsifier,
        settings.method,
        model,
        groups,
        with_start(settings.method, settings.switches, trained=is_trained(settings.model)),
        density=settings.asked_density,
        steps=steps,
        seed=settings.seed,
        probe=probe(few, loss_of),
        example=laid_out(few[0][0], settings.channels_last),
    )
    if settings.costs.latency is not None and table is None and is_structured(groups):
        _rehearse(make, model, few[0][0])
    budgets = _budgets(settings, (model, groups, few[0][0]), progress, table)
    sparsifier = make(budget=() if budgets is None else budgets.budget)
    model.train()
    return Parts(
        settings, data, batches, model, optimizer, sparsifier.attach(optimizer), groups, budgets, device, steps,
        log_every=max(1, steps // 400),
        evaluate_every=max(batches.per_epoch, -(-steps // 50)),
        checkpoint_every=settings.checkpoint_every or max(1, steps // 20),
    )  # fmt: skip
