"""How many units stay, and therefore which."""

from .budget import check_density, keep_top
from .cost import Bytes, Latency, Macs, Parameters
from .floors import at_least
from .knapsack import knapsack
from .local import ErdosRenyi, ErdosRenyiKernel, Uniform
from .pattern import Patterned
from .proportional import Claim, capped, proportional
from .ranked import Cost, Global, ranked
from .rows import RowWise
from .uniform_width import uniform_width

__all__ = [
    "Bytes",
    "Claim",
    "Cost",
    "ErdosRenyi",
    "ErdosRenyiKernel",
    "Global",
    "Latency",
    "Macs",
    "Parameters",
    "Patterned",
    "RowWise",
    "Uniform",
    "at_least",
    "capped",
    "check_density",
    "keep_top",
    "knapsack",
    "proportional",
    "ranked",
    "uniform_width",
]
