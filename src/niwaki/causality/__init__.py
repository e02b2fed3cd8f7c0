"""IntDC: interventional embedding entropy and what it is compared with; causal networks from series, without torch."""

from .errors import CausalityError
from .evaluation import Evaluation, evaluate
from .frame import Table, as_table
from .index import Index
from .interventional import InterventionalEntropy, interventional_embedding_entropy
from .network import CausalNetwork, Edge
from .scores import ScoreMatrix, Surrogates, score_matrix
from .significance import Significance, benjamini_hochberg, max_statistic, p_values, significance

__all__ = [
    "CausalNetwork",
    "CausalityError",
    "Edge",
    "Evaluation",
    "Index",
    "InterventionalEntropy",
    "ScoreMatrix",
    "Significance",
    "Surrogates",
    "Table",
    "as_table",
    "benjamini_hochberg",
    "evaluate",
    "interventional_embedding_entropy",
    "max_statistic",
    "p_values",
    "score_matrix",
    "significance",
]
