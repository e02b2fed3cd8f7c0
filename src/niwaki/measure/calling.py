"""What the Python of a model takes for each operator that it calls."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from .tape import tape_of
from .timing import time_in_turns
from .variables import varied

if TYPE_CHECKING:
    from .measuring import Backend

_BLOCKS = 4
_ROUNDS = 40


def seconds_per_call(backend: Backend, device: torch.device, clock: Callable[[], float]) -> float:
    """Seconds that calling an operator from a model takes beyond the operator.

    Measured on a network of convolutions, norms and activations that has next to nothing to compute: the whole, less
    its operators alone, by the number of operators.

    Args:
        backend: what calls them.
        device: where.
        clock: gives seconds.

    Returns:
        The median over some rounds; not below zero.
    """
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        blocks = [(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()) for _ in range(_BLOCKS)]
        net = nn.Sequential(*(layer for block in blocks for layer in block)).to(device).eval()
        example = torch.ones(1, 8, 2, 2, device=device)
        operations = [varied(operation) for operation in backend.kept(tape_of(net, example))]
        ready = {
            str(i): backend.ready(it, [v.size for v in it.variables], device, 1) for i, it in enumerate(operations)
        }
    calls = {"nothing": backend.nothing(), "whole": backend.whole(net, example)}
    calls |= {name: it.call for name, it in ready.items()}
    before = {name: it.before for name, it in ready.items()}
    with torch.inference_mode():
        found = time_in_turns(calls, rounds=_ROUNDS, warmup=5, before=before, clock=clock)
    return _beyond(found, len(operations))


def _beyond(found: Mapping[str, list[float]], count: int) -> float:
    # Round by round: what slows a round slows all of it.
    rounds = list(zip(*(found[name] for name in found if name not in ("whole", "nothing")), strict=True))
    beyond: list[float] = [
        whole - nothing - sum(one - nothing for one in alone)
        for whole, nothing, alone in zip(found["whole"], found["nothing"], rounds, strict=True)
    ]
    return float(max(statistics.median(beyond), 0.0)) / count
