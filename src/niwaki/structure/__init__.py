"""Model to groups; groups and the units to keep to a smaller model."""

from .declare import blocks, n_of_m, weights
from .discover import channels, discover, heads
from .families import align_states, states
from .masked import masked, zeroed
from .planned import Outcome, outcome, parameters_left
from .rewritten import shrink_graph
from .shrink import apply_cut, shrink
from .verify import Verdict, verify

__all__ = [
    "Outcome",
    "Verdict",
    "align_states",
    "apply_cut",
    "blocks",
    "channels",
    "discover",
    "heads",
    "masked",
    "n_of_m",
    "outcome",
    "parameters_left",
    "shrink",
    "shrink_graph",
    "states",
    "verify",
    "weights",
    "zeroed",
]
