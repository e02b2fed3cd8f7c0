"""Complex numbers as pairs of real ones, for runtimes that have none: a first axis of two, real and imaginary parts.

Sums, and products with real numbers, are those of the tensors themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .scan import scan


def times(one: Tensor, other: Tensor) -> Tensor:
    """The product.

    >>> times(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])).tolist()
    [-5.0, 10.0]
    """
    real = one[0] * other[0] - one[1] * other[1]
    return torch.stack([real, one[0] * other[1] + one[1] * other[0]])


def over(one: Tensor, other: Tensor) -> Tensor:
    """The quotient.

    >>> over(torch.tensor([-5.0, 10.0]), torch.tensor([1.0, 2.0])).tolist()
    [3.0, 4.0]
    """
    square = other[0] * other[0] + other[1] * other[1]
    return times(one, torch.stack([other[0], -other[1]]) / square)


def exponential(values: Tensor) -> Tensor:
    """``exp`` of each.

    >>> exponential(torch.tensor([[0.0], [torch.pi]])).round().flatten().tolist()
    [-1.0, -0.0]
    """
    return torch.exp(values[0]) * torch.stack([torch.cos(values[1]), torch.sin(values[1])])


def exponential_less_one(values: Tensor) -> Tensor:
    """``exp(z) - 1 = 2 exp(z / 2) sinh(z / 2)`` of each, which keeps its digits near zero.

    >>> exponential_less_one(torch.tensor([[1e-8], [-1e-8]])).flatten().tolist() == torch.tensor([1e-8, -1e-8]).tolist()
    True
    """
    real, imaginary = values / 2
    sinh = torch.stack([torch.sinh(real) * torch.cos(imaginary), torch.cosh(real) * torch.sin(imaginary)])
    return 2 * times(exponential(values / 2), sinh)


def one_like(values: Tensor) -> Tensor:
    """As many ones.

    >>> one_like(torch.zeros(2, 1)).flatten().tolist()
    [1.0, 0.0]
    """
    return torch.stack([torch.ones_like(values[0]), torch.zeros_like(values[0])])


def convolve_exponentials(weights: Tensor, rates: Tensor, signal: Tensor) -> Tensor:
    """The causal convolution with ``K(t) = Re sum over n of weights_n exp(rates_n t)``, by blocks and without FFT.

    Within a block of about ``sqrt(time)`` values it is a product with a matrix of ``K(t - s)``; what came before
    reaches a block through one state for each ``n``. So the work falls with the number of exponentials, and no matrix
    of all times by all times is made.

    Args:
        weights: pairs, ``[2, width, n]``.
        rates: pairs, ``[2, width, n]``.
        signal: ``[batch, width, time]``.

    Returns:
        ``[batch, width, time]``.

    >>> half = torch.tensor([[[-0.6931472]], [[0.0]]])
    >>> found = convolve_exponentials(one_like(half), half, torch.tensor([[[2.0, 3.0]]]))
    >>> [round(v, 4) for v in found.flatten().tolist()]
    [2.0, 4.0]
    """
    time = signal.shape[-1]
    block = max(1, round(time**0.5))
    count = -(-time // block)
    steps = torch.arange(block + 1, device=signal.device, dtype=signal.dtype)
    powers = exponential(rates.unsqueeze(-1) * steps)
    weighted = times(weights.unsqueeze(-1), powers)
    parts = torch.nn.functional.pad(signal, (0, count * block - time)).reshape(*signal.shape[:-1], count, block)
    # What each block adds to the states, all states at the ends of blocks, and those a block begins with.
    added = parts @ powers[..., :block].flip(-1).transpose(-1, -2).unsqueeze(1)
    ends = scan(powers[..., block].unsqueeze(-2).unsqueeze(1), added, times)
    before = torch.nn.functional.pad(ends[..., :-1, :], (0, 0, 1, 0))
    earlier = before[0] @ weighted[0, ..., 1:] - before[1] @ weighted[1, ..., 1:]
    index = torch.arange(block, device=signal.device)
    lag = index - index.unsqueeze(1)
    kernel = weighted[0, ..., :block].sum(1)
    within = parts @ (kernel[:, lag.clamp(min=0)] * (lag >= 0))
    found: Tensor = (earlier + within).flatten(-2)[..., :time]
    return found
