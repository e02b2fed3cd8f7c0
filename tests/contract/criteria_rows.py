"""The table of criteria: a new one is one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from niwaki.core import Criterion
from niwaki.criteria import (
    H2,
    BrainDamage,
    Fisher,
    GeometricMedian,
    Gradient,
    Grasp,
    GroupFisher,
    HInfinity,
    Lamp,
    Magnitude,
    Movement,
    Normalised,
    NormScale,
    Random,
    SecondTaylor,
    Snip,
    SynFlow,
    TailShare,
    Taylor,
    Wanda,
)
from tests.criteria.cases import Case


def anywhere(case: Case) -> bool:
    """Any group."""
    return True


def on_single_weights(case: Case) -> bool:
    """Groups whose units are single weights."""
    return all(len(members) == 1 for members in case.members)


def on_roles(case: Case) -> bool:
    """Channels whose slices say what they are."""
    return any(case.roles.values())


def on_states(case: Case) -> bool:
    """Groups whose units are linear systems."""
    return case.group.dynamics is not None


@dataclass(frozen=True, eq=False)
class Row:
    """A criterion, and the score of one unit from the numbers of its members (`None`: not a sum over members).

    ``on`` says for which groups it is meant. ``any_unit`` says that the loss may be measured in any unit: it may not
    where a curvature stands beside a gradient and is really its square.
    """

    criterion: Criterion
    formula: Callable[[dict[str, np.ndarray]], float] | None
    on: Callable[[Case], bool] = anywhere
    any_unit: bool = True


def _plays(numbers: dict[str, np.ndarray], *roles: str) -> np.ndarray:
    return np.isin(numbers["role"], roles)


def _read(numbers: dict[str, np.ndarray], values: np.ndarray) -> float:
    """The sum over the columns that read a channel, over all members where no column does."""
    return float(values[_plays(numbers, "in", "")].sum())


ROWS = {
    "magnitude_1": Row(Magnitude(1), lambda m: np.abs(m["weight"]).sum()),
    "filter_norm_1": Row(Magnitude(1, roles=("out",)), lambda m: np.abs(m["weight"][_plays(m, "out")]).sum(), on_roles),
    "filter_norm_2": Row(
        Magnitude(2, roles=("out",)), lambda m: np.sqrt((m["weight"][_plays(m, "out")] ** 2).sum()), on_roles
    ),
    "norm_scale": Row(NormScale(), lambda m: np.abs(m["weight"][_plays(m, "scale")]).mean(), on_roles),
    "norm_shift": Row(NormScale("shift"), lambda m: np.abs(m["weight"][_plays(m, "shift")]).mean(), on_roles),
    "geometric_median": Row(GeometricMedian(), None),
    "geometric_median_whole": Row(GeometricMedian(roles=None), None),
    "wanda": Row(Wanda(), lambda m: (np.abs(m["weight"]) * m["input_norm"])[_plays(m, "in")].sum() / 4, on_roles),
    "wanda_weights": Row(Wanda(), lambda m: (np.abs(m["weight"]) * m["input_norm"]).sum(), on_single_weights),
    "wanda_sum": Row(Wanda("sum"), lambda m: (np.abs(m["weight"]) * m["input_norm"])[_plays(m, "in", "")].sum()),
    "normalised": Row(Normalised(), None),
    "normalised_max": Row(Normalised(Taylor(), "max"), None),
    "normalised_sum": Row(Normalised(Movement(), "sum"), None),
    "normalised_l2": Row(Normalised(Movement(), "l2"), None),
    "normalised_zscore": Row(Normalised(Fisher(), "zscore"), None),
    "normalised_members": Row(
        Normalised(Magnitude(1), "members"), lambda m: np.abs(m["weight"]).sum() / len(m["weight"])
    ),
    "magnitude_2": Row(Magnitude(2), lambda m: np.sqrt((m["weight"] ** 2).sum())),
    "gradient": Row(Gradient(), lambda m: np.sqrt((m["grad"] ** 2).sum())),
    "movement": Row(Movement(), lambda m: -(m["grad"] * m["weight"]).sum()),
    "taylor": Row(Taylor(), lambda m: abs(_read(m, m["grad"] * m["weight"]))),
    "taylor_everything": Row(Taylor(roles=None), lambda m: abs((m["grad"] * m["weight"]).sum())),
    "taylor_outside": Row(Taylor("outside"), lambda m: _read(m, np.abs(m["grad"] * m["weight"]))),
    "taylor_square": Row(Taylor(reduce="square"), lambda m: _read(m, m["grad"] * m["weight"]) ** 2),
    "taylor_outside_square": Row(Taylor("outside", "square"), lambda m: _read(m, (m["grad"] * m["weight"]) ** 2)),
    "taylor_mean_abs": Row(
        Taylor("outside", "mean_abs"), lambda m: _read(m, m["grad_batches_abs"] * np.abs(m["weight"]))
    ),
    "taylor_sq_mean": Row(Taylor("outside", "sq_mean"), lambda m: _read(m, m["grad_batches_sq"] * m["weight"] ** 2)),
    "taylor_inside_mean_abs": Row(
        Taylor("inside", "mean_abs"), lambda m: (m["grad_batches_abs"] * np.abs(m["weight"])).sum(), on_single_weights
    ),
    "taylor_inside_sq_mean": Row(
        Taylor("inside", "sq_mean"), lambda m: (m["grad_batches_sq"] * m["weight"] ** 2).sum(), on_single_weights
    ),
    "taylor_norm": Row(
        Taylor(reduce="square", roles=("scale", "shift")),
        lambda m: ((m["grad"] * m["weight"])[_plays(m, "scale", "shift")].sum()) ** 2,
        on_roles,
    ),
    "second_taylor": Row(
        SecondTaylor("gate_hessian_diag"),
        lambda m: abs(m["gate_hessian_diag"].item() / 2 - _read(m, m["grad"] * m["weight"])),
    ),
    "second_taylor_square": Row(
        SecondTaylor("gate_hessian_diag", "square"),
        lambda m: (m["gate_hessian_diag"].item() / 2 - _read(m, m["grad"] * m["weight"])) ** 2,
    ),
    "second_taylor_fisher": Row(
        SecondTaylor(),
        lambda m: abs(m["gate_grad_sq"].item() / 2 - _read(m, m["grad"] * m["weight"])),
        any_unit=False,
    ),
    "second_taylor_diagonal": Row(
        SecondTaylor("hessian_diag"),
        lambda m: abs(_read(m, m["hessian_diag"] * m["weight"] ** 2 / 2 - m["grad"] * m["weight"])),
    ),
    "snip": Row(Snip(), lambda m: abs(_read(m, m["grad"] * m["weight"]))),
    "fisher": Row(Fisher(), lambda m: (m["grad_sq"] * m["weight"] ** 2).sum()),
    "fisher_in": Row(
        Fisher(roles=("in",)), lambda m: (m["grad_sq"] * m["weight"] ** 2)[_plays(m, "in")].sum(), on_roles
    ),
    "group_fisher": Row(GroupFisher(), lambda m: m["gate_grad_sq"].item()),
    "brain_damage": Row(BrainDamage(), lambda m: 0.5 * (m["grad_sq"] * m["weight"] ** 2).sum()),
    "brain_damage_hessian": Row(
        BrainDamage("hessian_diag"), lambda m: 0.5 * (m["hessian_diag"] * m["weight"] ** 2).sum()
    ),
    "grasp": Row(Grasp(), lambda m: (m["hessian_grad"] * m["weight"]).sum()),
    "grasp_absolute": Row(Grasp(absolute=True), lambda m: abs((m["hessian_grad"] * m["weight"]).sum())),
    "synflow": Row(SynFlow(), lambda m: (m["flow"] * np.abs(m["weight"])).sum()),
    "random": Row(Random(), lambda m: m["noise"][0]),
    "h_infinity": Row(HInfinity(), None, on_states),
    "h_infinity_continuous": Row(HInfinity(continuous=True, eps=0), None, on_states),
    "h_infinity_reference": Row(HInfinity(reference=True), None, on_states),
    "h2": Row(H2(), None, on_states),
    "tail_share": Row(TailShare(Magnitude()), None),
    "tail_share_h_infinity": Row(TailShare(HInfinity()), None, on_states),
    "lamp": Row(Lamp(), None),
    "lamp_taylor": Row(Lamp(Taylor()), None),
}
