"""IntDC: interventional embedding entropy and what it is compared with; causal networks from series, without torch."""

from .cross_mapping import Convergence, CrossMapping, convergent_cross_mapping, cross_mapping
from .embedding_entropy import EmbeddingEntropy, embedding_entropy
from .errors import CausalityError
from .evaluation import Evaluation, evaluate
from .experimental import conditional_interventional_entropy
from .frame import Table, as_table
from .granger import Granger, granger
from .index import Index
from .information import mutual_information
from .interventional import InterventionalEntropy, interventional_embedding_entropy
from .network import CausalNetwork, Edge
from .scores import ScoreMatrix, Surrogates, score_matrix
from .significance import Significance, benjamini_hochberg, max_statistic, p_values, significance
from .transfer_entropy import TransferEntropy, transfer_entropy

__all__ = [
    "CausalNetwork",
    "CausalityError",
    "Convergence",
    "CrossMapping",
    "Edge",
    "EmbeddingEntropy",
    "Evaluation",
    "Granger",
    "Index",
    "InterventionalEntropy",
    "ScoreMatrix",
    "Significance",
    "Surrogates",
    "Table",
    "TransferEntropy",
    "as_table",
    "benjamini_hochberg",
    "conditional_interventional_entropy",
    "convergent_cross_mapping",
    "cross_mapping",
    "embedding_entropy",
    "evaluate",
    "granger",
    "interventional_embedding_entropy",
    "max_statistic",
    "mutual_information",
    "p_values",
    "score_matrix",
    "significance",
    "transfer_entropy",
]
