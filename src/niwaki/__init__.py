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

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .core.lazy import names_in

if TYPE_CHECKING:
    from .public import *  # noqa: F403

__version__ = "0.1.0"


# The list waits until it is needed: the statistics of `patterns` and `causality`, their worker processes and
# `niwaki --help` never load torch.
__getattr__ = names_in(__name__, ".public")


def __dir__() -> list[str]:
    return sorted({*globals(), *importlib.import_module(".public", __name__).__all__})
