"""How many units stay, and therefore which."""

from .budget import check_density, keep_top
from .local import ErdosRenyi, ErdosRenyiKernel, Uniform
from .pattern import Patterned
from .proportional import Claim, capped, proportional
from .ranked import Cost, Global, ranked

__all__ = [
    "Claim",
    "Cost",
    "ErdosRenyi",
    "ErdosRenyiKernel",
    "Global",
    "Patterned",
    "Uniform",
    "capped",
    "check_density",
    "keep_top",
    "proportional",
    "ranked",
]
