"""One idea per file: how much each unit matters."""

from .brain_damage import BrainDamage
from .fisher import Fisher
from .gradient import Gradient
from .grasp import Grasp
from .h2 import H2
from .h_infinity import HInfinity
from .lamp import Lamp
from .magnitude import Magnitude
from .movement import Movement
from .random_scores import Random
from .snip import Snip
from .synflow import SynFlow
from .tail_share import TailShare
from .taylor import Taylor

__all__ = [
    "H2",
    "BrainDamage",
    "Fisher",
    "Gradient",
    "Grasp",
    "HInfinity",
    "Lamp",
    "Magnitude",
    "Movement",
    "Random",
    "Snip",
    "SynFlow",
    "TailShare",
    "Taylor",
]
