"""With defaults alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from niwaki.methods import dense, iee
from niwaki.structure.declare import weights


def test_defaults_alone_prune_a_digits_network_and_keep_its_accuracy():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    digits = datasets.load_digits()
    x = torch.tensor(digits.data, dtype=torch.float32) / 16
    y = torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], y[order]
    accuracy = {}
    runs: list[tuple[Any, dict[str, float]]] = [(dense, {}), (iee, {"density": 0.05})]
    for method, switches in runs:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        groups = weights(model)
        sparsifier = method(model, groups, steps=1200, **switches).attach(optimizer)
        generator = torch.Generator().manual_seed(1)
        for _ in range(1200):
            pick = torch.randint(0, 1400, (64,), generator=generator)
            optimizer.zero_grad()
            F.cross_entropy(model(x[pick]), y[pick]).backward()
            optimizer.step()
        accuracy[method.__name__] = float((model(x[1400:]).argmax(1) == y[1400:]).float().mean())
        if method is iee:
            assert sum(int(keep.sum()) for keep in sparsifier.keep.values()) == round(0.05 * groups.size)
            assert sum(int((p != 0).sum()) for n, p in model.named_parameters() if n.endswith("weight")) <= round(
                0.05 * groups.size
            )
    assert accuracy["dense"] > 0.95
    assert accuracy["iee"] > accuracy["dense"] - 0.02
