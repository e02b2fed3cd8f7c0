"""Whether a method finds the right weights where they are known: a linear regression with few true coefficients.

Of 80 inputs 12 are true; they come in pairs with a correlation, one of a pair true at most. The weights start at zero,
at the density of the truth, in random places. The gradient of a removed weight is large for a true input and for its
partner alike; where removed weights have learned together, the partner's share is gone. Every method has the same
steps and swaps the same share of its weights, half at first and none at the end, so that only the choice differs.

    python benchmarks/planted_support.py
"""

from __future__ import annotations

from typing import Any

import torch
from record import over_seeds, write
from torch import Tensor, nn

import niwaki as nw
from niwaki.moves import rigl_cosine

PAIRS, TRUE, SAMPLES, NOISE, STEPS, SEEDS = 40, 12, 400, 0.5, 1200, 20
CORRELATIONS = (0.0, 0.7, 0.9)
SWAP: dict[str, Any] = {"swap": rigl_cosine(0.5, STEPS * 3 // 4)}
LONG: dict[str, Any] = SWAP | {"H": 30, "J": 20, "Q": 50, "explore_rate": 1.0}
METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "static": (nw.static, {}),
    "set, every 100": (nw.sparse_evolution, SWAP | {"every": 100}),
    "rigl, every 100": (nw.rigl, SWAP | {"every": 100}),
    "iee, 50/49/1": (nw.iee, SWAP | {"H": 50, "J": 49, "Q": 1}),
    "iee, 45/45/10 (defaults)": (nw.iee, SWAP),
    "iee, 30/20/50, full rate": (nw.iee, LONG),
    "iee, 30/20/50, full rate, grown at MRU": (nw.iee, LONG | {"grow_init": "mru"}),
    "iee, 30/20/50, full rate, all from MRU": (nw.iee, LONG | {"explore_init": "mru_zero", "grow_init": "mru"}),
}


def problem(seed: int, correlation: float) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, targets, and which coefficients are true."""
    chance = torch.Generator().manual_seed(seed)
    first, other = torch.randn(2, SAMPLES, PAIRS, generator=chance)
    inputs = torch.cat([first, correlation * first + (1 - correlation**2) ** 0.5 * other], 1)
    true = torch.zeros(2 * PAIRS)
    sizes, signs = torch.rand(2, TRUE, generator=chance)
    true[:TRUE] = (sizes + 0.5) * (2 * signs - 1).sign()
    targets = inputs @ true + NOISE * torch.randn(SAMPLES, generator=chance)
    return inputs, targets[:, None], true != 0


def found(name: str, seed: int, correlation: float) -> int:
    """How many of the true coefficients are active at the end."""
    method, switches = METHODS[name]
    inputs, targets, true = problem(seed, correlation)
    model = nn.Linear(2 * PAIRS, 1, bias=False)
    nn.init.zeros_(model.weight)
    groups = nw.weights(model)
    sparsifier = method(model, groups, density=TRUE / len(true), steps=STEPS, seed=seed, **switches)
    sparsifier.attach(optimizer := torch.optim.SGD(model.parameters(), lr=0.05))
    for _ in range(STEPS):
        optimizer.zero_grad()
        ((model(inputs) - targets) ** 2).mean().div(2).backward()
        optimizer.step()
    return int((sparsifier.masks()["weight"][0] & true).sum())


def row(name: str, correlation: float) -> dict[str, Any]:
    """One method at one correlation, over the seeds."""
    counts = [found(name, seed, correlation) for seed in range(SEEDS)]
    result = {
        "method": name,
        "correlation": correlation,
        "found": counts,
        **over_seeds(counts),
        "all_found": sum(count == TRUE for count in counts),
    }
    print(name, correlation, result["mean"], result["all_found"], flush=True)
    return result


def main() -> None:
    """Every method at every correlation."""
    torch.set_num_threads(1)
    rows = [row(name, correlation) for correlation in CORRELATIONS for name in METHODS]
    setup = {"pairs": PAIRS, "true": TRUE, "samples": SAMPLES, "noise": NOISE, "steps": STEPS, "seeds": SEEDS}
    print(write("planted_support", {"problem": setup, "rows": rows}))


if __name__ == "__main__":
    main()
