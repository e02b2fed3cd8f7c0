"""Budgets of cost, as the command line asks for them: shares of latency, MACs, parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..allocate import Latency, Macs, Parameters
from ..core.costs import CostBudget
from ..core.errors import BudgetError, TrainError
from ..core.gates import counts_of
from ..core.group import Group, is_structured
from ..measure import LatencyTable, counted, latency_table
from ..measure.environment import device_of, differences, dtype_of, this_environment
from ..signals.forward import evaluating
from .backends import check_backend
from .progress import Shown

NAMES = ("latency", "macs", "parameters")
"""The costs that can be asked for, as the options of the command line are called."""

_UNITS = {"latency": "s", "macs": "MACs", "parameters": "parameters"}


@dataclass(frozen=True)
class Costs:
    """What a smaller model may cost.

    Args:
        latency: the share of the dense model's latency that may stay.
        macs: likewise of its multiplications.
        parameters: likewise of its parameters.
        backend: what runs the model when it is timed.
        table: a file with a table of latencies, in place of measuring one.
        save_table: where to write the table.
        batch: inputs at a time, when it is timed.
    """

    latency: float | None = None
    macs: float | None = None
    parameters: float | None = None
    backend: str = "eager"
    table: str | None = None
    save_table: str | None = None
    batch: int = 1

    def __post_init__(self) -> None:
        check_backend(self.backend)
        for name, value in self.shares.items():
            if not 0 < value <= 1:
                raise BudgetError(
                    f"{name} {value!r} is outside (0, 1]; it is the share of the dense model's that may stay"
                )
        if self.latency is None and (self.table or self.save_table):
            raise BudgetError("a table of latencies serves a budget of latency; give --latency 0.5 as well")
        if self.batch < 1:
            raise TrainError(f"latency_batch = {self.batch} is not a positive number")

    @property
    def shares(self) -> dict[str, float]:
        """What is asked for, by name; empty if nothing is."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, eq=False)
class Budgets:
    """Costs that became budgets of one model.

    Args:
        asked: shares by name.
        budget: one per share, in the same order.
        table: of latencies, if they are asked for.
        elsewhere: what is different where the table was measured; empty if it was here.
        notes: what is to be said of the table.
    """

    asked: Mapping[str, float]
    budget: tuple[CostBudget, ...]
    table: LatencyTable | None
    elsewhere: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def reached(self, groups: Sequence[Group], keep: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """What was asked and what a plan comes to, one row per cost; latency as the table predicts it."""
        counts = counts_of(keep)
        rows = []
        for (name, share), budget in zip(self.asked.items(), self.budget, strict=True):
            (limit,) = budget.limits(groups)
            rows.append(
                {"cost": name, "asked": share, "unit": _UNITS[name], "dense": limit.cost.dense, "most": limit.most,
                 "reached": limit.cost(counts)}
            )  # fmt: skip
        return rows


def check_smaller(groups: Sequence[Group], units: str) -> None:
    """Check that tensors without some units are smaller ones, which is what a budget of cost is for.

    Args:
        groups: what is pruned.
        units: as the user calls them.

    Raises:
        BudgetError: they would hold zeros.
    """
    if not is_structured(groups):
        raise BudgetError(
            f"a budget of cost is for what makes tensors smaller, and --units {units} does not: give --units "
            "channels, heads, all or states"
        )


def batch_of(example: Tensor, batch: int) -> Tensor:
    """So many inputs, all like the first one."""
    return example[:1].repeat(batch, *[1] * (example.dim() - 1))


def _told(costs: Costs, progress: Shown) -> Callable[[int, int], None]:
    begun = False

    def tell(done: int, total: int) -> None:
        nonlocal begun
        if not begun:
            progress.begin(f"measuring layers on {costs.backend}", total, 0)
            begun = True
        progress.step(done)

    return tell


def _table(costs: Costs, model: nn.Module, inputs: Tensor, progress: Shown) -> tuple[LatencyTable, tuple[str, ...]]:
    """The table, and what is to be said of it: another machine, noise.

    Raises:
        KeyboardInterrupt: with words, if the measuring is stopped.
    """
    file = None if costs.table is None else Path(costs.table)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            table = latency_table(
                model, inputs, backend=costs.backend, threads=torch.get_num_threads(), table=file,
                progress=_told(costs, progress),
            )  # fmt: skip
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(
                "stopped while layers were measured; what was measured is kept, and the same command goes on from there"
            ) from stop
    notes = tuple(" ".join(str(one.message).split()) for one in caught if one.category is UserWarning)
    for note in notes:
        progress.note(note)
    return table, notes


def _elsewhere(table: LatencyTable, costs: Costs, model: nn.Module, inputs: Tensor) -> tuple[str, ...]:
    device, threads = device_of(model, [inputs]), torch.get_num_threads()
    here = this_environment(costs.backend, device, threads, dtype_of(model))
    return tuple(differences(table.environment, here))


def make_budgets(
    costs: Costs, model: nn.Module, example: Tensor, progress: Shown, *, stored: LatencyTable | None = None
) -> Budgets:
    """Measure or read what the costs need.

    Args:
        costs: what is asked for, at least one.
        model: the dense model.
        example: inputs of it.
        progress: shows how far the measuring is.
        stored: a table measured earlier for this very model, in place of measuring again.

    Returns:
        The budgets. A table without a layer of the model is an error that names it; a measuring that is stopped ends
        with words that say how to go on.
    """
    inputs, table = batch_of(example, costs.batch), stored
    notes: tuple[str, ...] = ()
    # What is measured must not decide what is drawn afterwards.
    with torch.random.fork_rng(devices=[]), evaluating(model):
        if costs.latency is not None and table is None:
            table, notes = _table(costs, model, inputs, progress)
        prices = counted(model, example[:1]) if {"macs", "parameters"} & costs.shares.keys() else None
    apart = () if table is None else _elsewhere(table, costs, model, inputs)
    made: dict[str, CostBudget] = {}
    if table is not None and costs.latency is not None:
        made["latency"] = Latency(costs.latency, table)
        if costs.save_table:
            table.save(Path(costs.save_table))
    if prices is not None and costs.macs is not None:
        made["macs"] = Macs(costs.macs, prices.macs)
    if prices is not None and costs.parameters is not None:
        made["parameters"] = Parameters(costs.parameters, prices.parameters)
    return Budgets(costs.shares, tuple(made[name] for name in costs.shares), table, apart, notes)
