"""Budgets of cost, as the command line asks for them: shares of latency, MACs, parameters."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..allocate import Latency, Macs, Parameters
from ..core.costs import CostBudget
from ..core.errors import BudgetError, TrainError
from ..core.group import Group
from ..measure import LatencyTable, counted, latency_table
from ..measure.build_table import rows_of
from ..measure.environment import device_of, differences, this_environment
from ..measure.tape import tape_of
from ..measure.variables import varied
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
    """

    asked: Mapping[str, float]
    budget: tuple[CostBudget, ...]
    table: LatencyTable | None
    elsewhere: tuple[str, ...] = ()

    def reached(self, groups: Sequence[Group], keep: Mapping[str, Tensor]) -> list[dict[str, Any]]:
        """What was asked and what a plan comes to, one row per cost; latency as the table predicts it."""
        counts = {name: int(kept.sum()) for name, kept in keep.items()}
        rows = []
        for (name, share), budget in zip(self.asked.items(), self.budget, strict=True):
            (limit,) = budget.limits(groups)
            rows.append(
                {"cost": name, "asked": share, "unit": _UNITS[name], "dense": limit.cost.dense, "most": limit.most,
                 "reached": limit.cost(counts)}
            )  # fmt: skip
        return rows


def batch_of(example: Tensor, batch: int) -> Tensor:
    """So many inputs, all like the first one."""
    return example[:1].repeat(batch, *[1] * (example.dim() - 1))


def _measured(costs: Costs, model: nn.Module, inputs: Tensor, progress: Shown) -> LatencyTable:
    begun = False

    def tell(done: int, total: int) -> None:
        nonlocal begun
        if not begun:
            progress.begin(f"measuring layers on {costs.backend}", total, 0)
            begun = True
        progress.step(done)

    try:
        return latency_table(
            model, inputs, backend=costs.backend, threads=torch.get_num_threads(), progress=tell
        )  # fmt: skip
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(
            "stopped while layers were measured; what was measured is kept, and the same command goes on from there"
        ) from stop


def _check_layers(table: LatencyTable, model: nn.Module, inputs: Tensor, file: str) -> None:
    known = set(table.points) | {row.key for row in table.rows}
    rows = rows_of([varied(operation) for operation in tape_of(model, inputs)])
    missing = {row.name: row.key for row in rows if row.key not in known and row.name not in table.unmeasured}
    if missing:
        name, key = next(iter(missing.items()))
        more = f", and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise BudgetError(
            f"the table {file} has no layer {name} ({key}){more}; it was made for another model, input size or batch: "
            "measure one for this model there, or leave --table out to measure here"
        )


def _read(costs: Costs, model: nn.Module, inputs: Tensor, progress: Shown) -> tuple[LatencyTable, tuple[str, ...]]:
    file = str(costs.table)
    table = LatencyTable.read(file)
    _check_layers(table, model, inputs, file)
    dtype = next((p.dtype for p in model.parameters()), torch.get_default_dtype())
    here = this_environment(costs.backend, device_of(model, [inputs]), torch.get_num_threads(), dtype)
    apart = tuple(differences(table.environment, here))
    if apart:
        warnings.warn(
            f"the table {file} was not measured as this model runs here: {'; '.join(apart)}. It is used as it is",
            UserWarning, stacklevel=2,
        )  # fmt: skip
        progress.note(f"the table {file} was measured elsewhere: {'; '.join(apart)}")
    return table, apart


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
    apart: tuple[str, ...] = ()
    # What is measured must not decide what is drawn afterwards.
    with torch.random.fork_rng(devices=[]), evaluating(model):
        if costs.latency is not None and table is None:
            table, apart = _read(costs, model, inputs, progress) if costs.table else (
                _measured(costs, model, inputs, progress), ()
            )  # fmt: skip
        prices = counted(model, example[:1]) if {"macs", "parameters"} & costs.shares.keys() else None
    made: dict[str, CostBudget] = {}
    if table is not None and costs.latency is not None:
        made["latency"] = Latency(costs.latency, table)
        if costs.save_table:
            table.save(Path(costs.save_table))
    if prices is not None and costs.macs is not None:
        made["macs"] = Macs(costs.macs, prices.macs)
    if prices is not None and costs.parameters is not None:
        made["parameters"] = Parameters(costs.parameters, prices.parameters)
    return Budgets(costs.shares, tuple(made[name] for name in costs.shares), table, apart)
