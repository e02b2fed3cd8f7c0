"""GraSP: keep the weights that carry the gradient flow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.group import Group
from ..core.signals import Signals
from .units import element, unit_sum


@dataclass(frozen=True)
class Grasp:
    """Gradient signal preservation: the sum of ``theta_k * (H g)_k`` over the unit's members, signed.

    The paper writes ``S = -theta * H g`` and prunes the largest; this is the same, turned so that higher means keep.
    Removing a unit with a high score lowers ``|g|^2``, the speed of training. Over all weights the scores add up to
    ``g^T H theta``. The paper divides the outputs of the network by a temperature of 200 and takes ten samples of each
    class: do so in ``loss`` and ``batches``. Its code leaves biases and norms out of the gradient; here ``g`` and ``H``
    run over all parameters that learn.

    Args:
        absolute: the absolute value of the sum in place of the signed number: it keeps the norm of the gradient where
            it is (Lubana and Dick 2021), which is another criterion.

    References:
        Wang et al. 2020, "Picking winning tickets before training by preserving gradient flow".
    """

    absolute: bool = False
    needs: ClassVar[frozenset[str]] = frozenset({"weight", "hessian_grad"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]``, signed unless ``absolute``."""
        flow = unit_sum(group, lambda name: element(signals, "hessian_grad", name) * element(signals, "weight", name))
        return flow.abs() if self.absolute else flow
