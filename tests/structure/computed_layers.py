"""Networks with a layer whose weight is computed from other tensors before every pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm


def _pruned_twice(layer: nn.Module) -> None:
    prune.l1_unstructured(layer, "weight", 0.3)
    prune.ln_structured(layer, "weight", 0.25, n=2, dim=0)
    prune.random_unstructured(layer, "bias", 0.5)


COMPUTED: dict[str, Callable[[nn.Module], Any]] = {
    "weight norm": weight_norm,
    "spectral norm": spectral_norm,
    "mask": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "masks": _pruned_twice,
    "norm of a mask": lambda layer: prune.l1_unstructured(weight_norm(layer), "weight_v", 0.5),
    "parametrized": parametrizations.weight_norm,
    "orthogonal": parametrizations.orthogonal,
}
X = torch.linspace(-2, 2, 5 * 4).reshape(5, 4)


def network(kind: str, seed: int = 0) -> nn.Sequential:
    """A stem and a head, with a layer of this kind between them; every tensor moved from where it began."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the older norms announce their successors
        COMPUTED[kind](model[2])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    model(X).sum().backward()  # which also takes a step of the spectral norm's iteration
    return model
