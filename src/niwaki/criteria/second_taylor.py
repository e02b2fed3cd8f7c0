"""Second-order Taylor: how much the loss would change if a unit were gone, with its curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from ..core.errors import SignalError
from ..core.group import Group
from ..core.signals import Signals
from .units import element, of_units, readers, unit_sum

_Reduce = Literal["abs_mean", "square"]


@dataclass(frozen=True)
class SecondTaylor:
    """The change of the loss to second order, ``|theta_u^T H theta_u / 2 - sum of g_k * theta_k|``.

    Sum and product run over the columns of all layers that read the unit (role ``in``), before the absolute value is
    taken: with them at zero the unit is gone. Units without readers (single weights, blocks) count whole. For a loss
    that is quadratic in these members the score is the change itself.

    =================  ======================================================================================
    curvature          ``theta_u^T H theta_u`` is
    =================  ======================================================================================
    gate_grad_sq       that of the empirical Fisher, never negative; the loss must be a log-likelihood
    gate_hessian_diag  that of the Hessian; a random estimate, which wants ``generator`` and many ``draws``
    grad_sq            ``sum of F_kk * theta_k^2``, the Fisher's diagonal: members taken as independent
    hessian_diag       the same with the Hessian's diagonal, a random estimate, too
    =================  ======================================================================================

    Args:
        curvature: the signal that holds it: per unit if its name begins with ``gate_``, else a diagonal per element.
        reduce: ``abs_mean`` for the absolute value, ``square`` for the square.

    Raises:
        SignalError: another reduce.

    References:
        Molchanov et al. 2019, "Importance estimation for neural network pruning".
    """

    curvature: str = "gate_grad_sq"
    reduce: _Reduce = "abs_mean"

    def __post_init__(self) -> None:
        if self.reduce not in get_args(_Reduce):
            raise SignalError(f"SecondTaylor knows 'abs_mean', 'square', not {self.reduce!r}")

    @property
    def needs(self) -> frozenset[str]:
        """The weights, their gradient and the curvature."""
        return frozenset({"weight", "grad", self.curvature})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]``, none negative."""

        def first(name: str) -> Tensor:
            return element(signals, "grad", name) * element(signals, "weight", name)

        def second(name: str) -> Tensor:
            return element(signals, self.curvature, name) * element(signals, "weight", name).square()

        members = readers(group)
        is_whole = self.curvature.startswith("gate_")
        bend = of_units(group, signals, self.curvature) if is_whole else unit_sum(members, second)
        change = bend / 2 - unit_sum(members, first)
        return change.square() if self.reduce == "square" else change.abs()
