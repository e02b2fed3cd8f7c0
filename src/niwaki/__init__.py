"""Find what matters in a network and remove the rest.

>>> import torch, niwaki as nw
>>> model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
>>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
>>> sparsifier = nw.iee(model, nw.weights(model), density=0.25, steps=200).attach(optimizer)
>>> for _ in range(200):
...     optimizer.zero_grad()
...     model(torch.randn(4, 8)).square().mean().backward()
...     optimizer.step()
>>> sparsifier.density, sum(int((p != 0).sum()) for p in model.parameters() if p.dim() > 1)
(0.25, 20)
"""

__version__ = "0.1.0"  # above the imports: the report names it

from .allocate import ErdosRenyi, ErdosRenyiKernel, Global, Patterned, Uniform
from .core import (
    AddressError,
    BudgetError,
    Gates,
    Group,
    GroupError,
    Groups,
    NiwakiError,
    RankError,
    SignalError,
    Signals,
    Slice,
    StoreError,
    TrainError,
    tensor_masks,
)
from .criteria import (
    BrainDamage,
    Fisher,
    Gradient,
    Grasp,
    Lamp,
    Magnitude,
    Movement,
    Random,
    Snip,
    SynFlow,
    Taylor,
)
from .measure import Ledger, count_flops
from .methods import acdc, dense, gmp, iee, rigl, sparse_evolution, static
from .moves import (
    Drop,
    Event,
    Explore,
    Grow,
    Prune,
    Restore,
    Timeline,
    constant,
    cosine,
    cubic,
    exponential,
    geometric,
    linear,
    polynomial,
    rigl_cosine,
)
from .report import comparison, write_report
from .signals import collect, probe, score
from .store import load_checkpoint, load_training, save_checkpoint, save_training
from .structure import blocks, n_of_m, weights
from .train import Plan, Sparsifier, Values

__all__ = [
    "AddressError",
    "BrainDamage",
    "BudgetError",
    "Drop",
    "ErdosRenyi",
    "ErdosRenyiKernel",
    "Event",
    "Explore",
    "Fisher",
    "Gates",
    "Global",
    "Gradient",
    "Grasp",
    "Group",
    "GroupError",
    "Groups",
    "Grow",
    "Lamp",
    "Ledger",
    "Magnitude",
    "Movement",
    "NiwakiError",
    "Patterned",
    "Plan",
    "Prune",
    "Random",
    "RankError",
    "Restore",
    "SignalError",
    "Signals",
    "Slice",
    "Snip",
    "Sparsifier",
    "StoreError",
    "SynFlow",
    "Taylor",
    "Timeline",
    "TrainError",
    "Uniform",
    "Values",
    "acdc",
    "blocks",
    "collect",
    "comparison",
    "constant",
    "cosine",
    "count_flops",
    "cubic",
    "dense",
    "exponential",
    "geometric",
    "gmp",
    "iee",
    "linear",
    "load_checkpoint",
    "load_training",
    "n_of_m",
    "polynomial",
    "probe",
    "rigl",
    "rigl_cosine",
    "save_checkpoint",
    "save_training",
    "score",
    "sparse_evolution",
    "static",
    "tensor_masks",
    "weights",
    "write_report",
]
