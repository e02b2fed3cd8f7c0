"""One idea per file: how much each unit matters."""

from .brain_damage import BrainDamage
from .fisher import Fisher
from .geometric_median import GeometricMedian
from .gradient import Gradient
from .grasp import Grasp
from .group_fisher import GroupFisher
from .h2 import H2
from .h_infinity import HInfinity
from .lamp import Lamp
from .magnitude import Magnitude
from .movement import Movement
from .norm_scale import NormScale
from .normalised import Normalised
from .random_scores import Random
from .second_taylor import SecondTaylor
from .snip import Snip
from .synflow import SynFlow
from .tail_share import TailShare
from .taylor import Taylor
from .wanda import Wanda

__all__ = [
    "H2",
    "BrainDamage",
    "Fisher",
    "GeometricMedian",
    "Gradient",
    "Grasp",
    "GroupFisher",
    "HInfinity",
    "Lamp",
    "Magnitude",
    "Movement",
    "NormScale",
    "Normalised",
    "Random",
    "SecondTaylor",
    "Snip",
    "SynFlow",
    "TailShare",
    "Taylor",
    "Wanda",
]
