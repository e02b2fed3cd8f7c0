"""Small problems whose gradients and curvatures are known in closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Quadratic(nn.Module):
    """The loss itself, ``theta^T H theta / 2 - b^T theta``, times the input."""

    def __init__(self, hessian: Tensor, linear: Tensor, theta: Tensor) -> None:
        super().__init__()
        self.theta = nn.Parameter(theta.clone())
        self.hessian = hessian
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.theta @ self.hessian @ self.theta / 2 - self.linear @ self.theta)


def mean_output(output: Tensor, target: object) -> Tensor:
    return output.mean()


def random_hessian(size: int, *, seed: int = 0) -> Tensor:
    """Symmetric, positive definite, far from diagonal."""
    root = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return root @ root.T / size + 0.1 * torch.eye(size, dtype=torch.float64)


def relu_net(*widths: int, seed: int = 0) -> nn.Sequential:
    """A ReLU network without biases, in float64."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False)):
        layer = nn.Linear(inputs, outputs, bias=False, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(outputs, inputs, generator=generator, dtype=torch.float64) / inputs**0.5)
        layers += [layer, nn.ReLU()] if i < len(widths) - 2 else [layer]
    return nn.Sequential(*layers)


def labelled(samples: int, features: int, classes: int, *, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, features, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, classes, (samples,), generator=generator)
