"""What a smaller model gains on a backend: both timed in turns, and set against what a table predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import BudgetError
from ..core.gates import counts_of
from ..core.group import Group
from ..measure import LatencyTable, Timing, Timings
from ..measure.environment import device_of, dtype_of, this_environment
from ..report.readable import counted
from .backends import time_models
from .budgets import Budgets, Costs, batch_of

_DENSE, _SMALL = "dense", "smaller"


@dataclass
class Race:
    """Times smaller models against the dense one, and remembers the last result.

    Args:
        costs: tell the backend and the batch.
        model: the dense model.
        example: inputs of it.
        rounds: how often each is timed.
        tried: ratios of all that ran so far.
        last: the timings of the last one.
    """

    costs: Costs
    model: nn.Module
    example: Tensor
    rounds: int = 30
    tried: list[Timing] = field(default_factory=list)
    last: Timings | None = None

    def run(self, small: nn.Module) -> Timings:
        """Time one smaller model."""
        inputs = batch_of(self.example, self.costs.batch)
        models = {_DENSE: self.model, _SMALL: small}
        self.last = time_models(models, inputs, backend=self.costs.backend, rounds=self.rounds)
        self.tried.append(self.last[_SMALL])
        return self.last

    def refused(self) -> BudgetError:
        """What is said if no plan was faster."""
        ratios = ", ".join(f"{timing.ratio:.2f} ({timing.low:.2f} to {timing.high:.2f})" for timing in self.tried)
        return BudgetError(
            f"{counted(len(self.tried), 'plan')} within the budget timed on {self.costs.backend}: none is faster than "
            f"the dense model: {ratios} of its latency. Ask for a smaller --latency, or another --backend"
        )


def latency_facts(
    race: Race, budgets: Budgets | None, groups: Sequence[Group], keep: Mapping[str, Tensor]
) -> dict[str, Any]:
    """What is known of the latency, as plain data for ``result.json``.

    Args:
        race: with the last timings.
        budgets: what was asked, with the table.
        groups: of the dense model.
        keep: the units that stay.

    Returns:
        The data; what was not predicted is ``None``.
    """
    assert race.last is not None
    table = None if budgets is None else budgets.table
    dense, small = race.last[_DENSE], race.last[_SMALL]
    environment = _environment(race, race.last.threads)
    predicted: dict[str, Any] = {"dense": None, "small": None, "layers": [], "asked": None, "most": None}
    if budgets is not None and table is not None:
        predicted = _predicted(budgets, table, groups, keep)
    return {
        "backend": race.costs.backend,
        "threads": race.last.threads,
        "batch": race.costs.batch,
        "dtype": environment.dtype,
        "machine": environment.machine,
        "calm": race.last.is_calm,
        "asked": predicted["asked"],
        "target_seconds": predicted["most"],
        "dense": {"predicted": predicted["dense"], "measured": dense.median, "spread": dense.spread},
        "small": {
            "predicted": predicted["small"], "measured": small.median, "spread": small.spread,
            "ratio": small.ratio, "low": small.low, "high": small.high,
        },
        "layers": predicted["layers"],
        "table": [] if table is None else table_facts(table),
        "elsewhere": [] if budgets is None else list(budgets.elsewhere),
        "notes": [] if budgets is None else list(budgets.notes),
    }  # fmt: skip


def _environment(race: Race, threads: int) -> Any:
    device = torch.device("cpu") if race.costs.backend == "onnxruntime" else device_of(race.model, [race.example])
    return this_environment(race.costs.backend, device, threads, dtype_of(race.model))


def _predicted(
    budgets: Budgets, table: LatencyTable, groups: Sequence[Group], keep: Mapping[str, Tensor]
) -> dict[str, Any]:
    cost = table.cost(groups)
    counts = counts_of(keep)
    before, after = cost.per_layer(cost.sizes), cost.per_layer(counts)
    share = budgets.asked["latency"]
    return {
        "dense": cost.dense,
        "small": cost(counts),
        "layers": [{"name": name, "dense": before[name], "small": after[name]} for name in before],
        "asked": share,
        "most": share * cost.dense,
    }


def table_facts(table: LatencyTable) -> list[dict[str, Any]]:
    """A table as plain data: per distinct layer the seconds over inputs and outputs, as they are interpolated.

    Args:
        table: the table.

    Returns:
        One row per key; layers of more widths than two are shown at the full length of the others.
    """
    found = []
    for key in dict.fromkeys(row.key for row in table.rows):
        grid = table.grids[key]
        axes = [[int(n) for n in axis] for axis in grid.axes]
        if not axes:
            continue
        *others, outputs = axes
        inputs = others[0] if others else []
        lengths = [np.array(inputs, dtype=float)[:, None]] if others else []
        lengths += [np.array(float(axis[-1])) for axis in others[1:]] + [np.array(outputs, dtype=float)]
        seconds = np.atleast_2d(table.scale * grid.at(*lengths))
        layers = list(dict.fromkeys(row.name for row in table.rows if row.key == key))
        found.append(
            {"key": key, "layers": layers, "inputs": inputs, "outputs": outputs, "seconds": seconds.tolist()}
        )  # fmt: skip
    return found
