"""Which units a cut keeps: by a density, or within budgets of cost that are proved by a clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..allocate import Global, knapsack, ranked, uniform_width
from ..core.errors import BudgetError
from ..core.group import Group, is_structured
from ..methods.start import usual_allocator
from ..structure import parameters_left, shrink, shrink_graph, zeroed
from ..train import Plan, Sparsifier, Values
from .budgets import Budgets, check_smaller, make_budgets
from .latencies import Race, latency_facts
from .methods import allocator_named
from .progress import Shown
from .request import Request

Keep = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Planner:
    """Decides which units stay.

    Args:
        request: what is asked for.
        model: the dense model.
        groups: its groups.
        example: inputs of it.
        budgets: what it may cost; none for a density.
        race: times models, where latency is of interest.
    """

    request: Request
    model: nn.Module
    groups: Sequence[Group]
    example: Tensor
    budgets: Budgets | None
    race: Race | None

    def small(self, keep: Mapping[str, Tensor]) -> nn.Module:
        """The smaller model of a plan, or the one with zeros."""
        if not is_structured(self.groups):
            return zeroed(self.model, self.groups, keep)
        if self.request.graph:
            return shrink_graph(self.model, self.groups, keep, self.example)
        return shrink(self.model, self.groups, keep)

    def holding(self, small: nn.Module, keep: Keep) -> Sparsifier | None:
        """What holds a model's zeros at zero while it is fine-tuned; nothing where tensors are smaller."""
        if is_structured(self.groups):
            return None
        plan = Plan(keep, values=Values(remembers=False), steps=self.request.finetune)
        return Sparsifier(small, self.groups, plan, seed=self.request.seed)

    def keep(self, scores: Mapping[str, Tensor], progress: Shown) -> Keep:
        """The units that stay.

        Args:
            scores: ``[size]`` per group name.
            progress: is told of plans that are refused.

        Returns:
            Booleans ``[size]`` per group name.

        Raises:
            BudgetError: nothing within the budget is faster than the dense model.
        """
        if self.budgets is None:
            return _by_density(self.request, self.model, self.groups, scores)
        if self.request.allocate == "uniform":
            return uniform_width(self.groups, scores, self.budgets.budget)
        race = self.race if "latency" in self.budgets.asked and not self.budgets.elsewhere else None
        check = None if race is None else _told(race, self.small, progress)
        try:
            return knapsack(self.groups, scores, self.budgets.budget, check=check)
        except BudgetError as error:
            if race is not None and race.tried:
                raise race.refused() from error
            raise

    def facts(self, keep: Keep, small: nn.Module) -> dict[str, Any]:
        """What is known of costs and latency once a plan stands; times the smaller model, unless that was done."""
        found: dict[str, Any] = {}
        if self.budgets is not None:
            found["budget"] = self.budgets.reached(self.groups, keep)
        if self.race is not None:
            if self.race.last is None:
                self.race.run(small)
            found["latency"] = latency_facts(self.race, self.budgets, self.groups, keep)
        return found


def _by_density(request: Request, model: nn.Module, groups: Sequence[Group], scores: Mapping[str, Tensor]) -> Keep:
    density = request.asked_density
    assert density is not None
    if not is_structured(groups):
        return _zeros(request, groups, scores, density)
    if request.allocate == "global":
        cost = parameters_left(model, groups) if request.share_of == "parameters" else None
        return ranked(groups, scores, density=density, cost=cost, normalise=request.normalise)
    keep: Keep = allocator_named(request.allocate)(groups, scores, density)
    return keep


def _zeros(request: Request, groups: Sequence[Group], scores: Mapping[str, Tensor], density: float) -> Keep:
    if request.share_of == "parameters":
        raise BudgetError("single weights are parameters, and a density counts them as it is: leave --share-of out")
    inner = Global(request.normalise) if request.allocate == "global" else allocator_named(request.allocate)
    return usual_allocator(groups, inner)(groups, scores, density)


def _told(race: Race, make: Callable[[Mapping[str, Tensor]], nn.Module], progress: Shown) -> Callable[..., bool]:
    """The check of the knapsack, which says so when it refuses a plan."""

    def check(keep: Mapping[str, Tensor]) -> bool:
        found = race.run(make(keep))["smaller"]
        # An interval may be wide where the machine is busy: what is slower, or as fast, is refused, the rest is said.
        if found.ratio >= 1:
            progress.note(
                f"a plan takes {found.ratio:.2f} of the dense latency ({found.low:.2f} to {found.high:.2f}): not "
                "faster, so the next one is tried"
            )
        return found.ratio < 1

    return check


def planner(request: Request, model: nn.Module, groups: Sequence[Group], example: Tensor, progress: Shown) -> Planner:
    """Make ready what decides: the table is measured here.

    Args:
        request: what is asked for.
        model: the dense model, in eval mode.
        groups: its groups.
        example: inputs of it.
        progress: shows how far the measuring is.

    Returns:
        What decides.
    """
    costs = request.costs
    if costs.shares:
        check_smaller(groups, request.units)
    budgets = make_budgets(costs, model, example, progress) if costs.shares else None
    timed = costs.latency is not None or request.backend is not None
    return Planner(request, model, groups, example, budgets, Race(costs, model, example) if timed else None)
