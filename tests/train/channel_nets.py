"""Small convolutional networks with norms and residual connections, and how to train them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from niwaki.core import Groups
from niwaki.structure import channels
from niwaki.zoo import resnet20

SHAPE = (3, 8, 8)


class Residual(nn.Module):
    """A stem of 6 channels with a residual block of 5 channels inside, and a linear layer on 4 x 4 means of these."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(6)
        self.conv1 = nn.Conv2d(6, 5, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(5)
        self.conv2 = nn.Conv2d(5, 6, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(6)
        self.linear = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn0(self.stem(x)))
        x = torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        scores: Tensor = self.linear(F.adaptive_avg_pool2d(x, 2).flatten(1))
        return scores


def residual(seed: int = 0) -> tuple[nn.Module, Groups]:
    torch.manual_seed(seed)
    model = Residual().double()
    return model, channels(model, torch.zeros(2, *SHAPE, dtype=torch.float64))


def narrow_resnet(seed: int = 0) -> tuple[nn.Module, Groups]:
    model = resnet20(4, width=4, generator=torch.Generator().manual_seed(seed)).double()
    return model, channels(model, torch.zeros(2, *SHAPE, dtype=torch.float64))


def outputs(model: nn.Module, x: Tensor, *, train: bool) -> dict[str, Tensor]:
    """What each norm layer puts out; running statistics stay as they are."""
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, args, out: found.__setitem__(name, out.detach())

    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    handles = [module.register_forward_hook(keep(name)) for name, module in norms.items()]
    was = model.training
    model.train(train)
    with torch.no_grad():
        found[""] = model(x)
        for name, buffer in model.named_buffers():
            buffer.copy_(before[name])
    model.train(was)
    for handle in handles:
        handle.remove()
    return found


def rows_of(groups: Groups, keep: Mapping[str, Tensor], tensor: str, dim: int, size: int) -> Tensor:
    """Which positions along an axis of a tensor stay, by going through units one by one."""
    stays = torch.ones(size, dtype=torch.bool)
    for group in groups:
        for where in (*group.slices, *group.buffers):
            if where.tensor == tensor and where.dim == dim:
                assert where.index is not None
                for unit in range(group.size):
                    if not keep[group.name][unit]:
                        for position in where.index[unit].tolist():
                            stays[position] = False
    return stays
