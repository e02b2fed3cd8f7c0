"""One idea per file: how much each unit matters."""

from .brain_damage import BrainDamage
from .fisher import Fisher
from .gradient import Gradient
from .grasp import Grasp
from .lamp import Lamp
from .magnitude import Magnitude
from .movement import Movement
from .random_scores import Random
from .snip import Snip
from .synflow import SynFlow
from .taylor import Taylor

__all__ = [
    "BrainDamage",
    "Fisher",
    "Gradient",
    "Grasp",
    "Lamp",
    "Magnitude",
    "Movement",
    "Random",
    "Snip",
    "SynFlow",
    "Taylor",
]
