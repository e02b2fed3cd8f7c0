"""Multi-layer perceptrons."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .initial import initialise


class MLP(nn.Module):
    """Linear layers with ReLU between them; the input is flattened."""

    def __init__(self, widths: Sequence[int], generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        initialise(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``[n, widths[-1]]`` for inputs ``[n, ...]`` of ``widths[0]`` numbers each."""
        x = x.flatten(1)
        for i, layer in enumerate(self.layers):
            x = layer(x) if i == 0 else layer(torch.relu(x))
        return x

    def example(self) -> Tensor:
        """One input of the usual size."""
        return torch.zeros(1, self.widths[0])


def mlp(widths: Sequence[int] = (64, 128, 64, 10), *, generator: torch.Generator | None = None) -> MLP:
    """A perceptron; by default one for 8 x 8 digits with 17,226 parameters, 17,024 of them weights.

    Args:
        widths: inputs, hidden widths, outputs.
        generator: the source of the initial values; torch's global one if not given.

    Returns:
        The network.

    Raises:
        ValueError: fewer than two widths, or one that is not positive.

    >>> sum(p.numel() for p in mlp().parameters())
    17226
    """
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"a perceptron needs at least two positive widths (inputs, ..., outputs), not {tuple(widths)}")
    return MLP(widths, generator)


def lenet300(*, generator: torch.Generator | None = None) -> MLP:
    """LeNet-300-100 for 28 x 28 images: 784-300-100-10, 266,610 parameters, 266,200 of them weights.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-Based Learning Applied to Document Recognition, 1998.

    Args:
        generator: the source of the initial values; torch's global one if not given.

    Returns:
        The network.
    """
    return MLP((784, 300, 100, 10), generator)
