"""Training batches by step number: the same ones whenever a step is asked for."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..core.errors import TrainError
from .data import Data, Pairs, ready


def generator_for(*numbers: int) -> torch.Generator:
    """A generator of its own for each tuple of numbers, such as seed, epoch and batch."""
    mixed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed) >> 1)


def varied(x: Tensor, generator: torch.Generator, *, crop: int, flip: bool) -> Tensor:
    """Pictures shifted by up to ``crop`` pixels in each direction, black beyond the border, half of them mirrored.

    Args:
        x: ``[n, channels, height, width]``.
        generator: on the CPU; the result does not depend on the device of ``x``.
        crop: the largest shift.
        flip: whether to mirror.

    Returns:
        New pictures of the same shape.

    >>> x = torch.arange(1, 5).reshape(1, 1, 2, 2)
    >>> varied(x, generator_for(0), crop=0, flip=False).tolist()
    [[[[1, 2], [3, 4]]]]
    """
    count, _, height, width = x.shape
    down, across = torch.randint(0, 2 * crop + 1, (2, count), generator=generator).to(x.device)
    mirrored = (torch.rand(count, generator=generator) < 0.5).to(x.device)
    padded = torch.nn.functional.pad(x, (crop, crop, crop, crop))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    cut = windows[torch.arange(count, device=x.device), :, down, across]
    return torch.where(mirrored.view(-1, 1, 1, 1), cut.flip(3), cut) if flip else cut


class Batches:
    """Shuffled training batches; step ``s`` is batch ``s % per_epoch`` of epoch ``s // per_epoch``.

    The order of an epoch follows from the seed and the epoch, the variation of a batch from the seed, the epoch and the
    batch: a run that resumes at any step sees what it would have seen. The incomplete batch at the end of an epoch is
    left out; the next epoch shuffles anew.

    Args:
        data: the data, on the device to train on.
        batch: samples in a batch.
        seed: of order and variation.

    Raises:
        TrainError: a batch is larger than the training part.
    """

    def __init__(self, data: Data, batch: int, seed: int) -> None:
        count = len(data.train[0])
        if batch > count:
            raise TrainError(f"a batch of {batch} is larger than the training part of {count} samples; make it smaller")
        self.data, self.batch, self.seed = data, batch, seed
        self.per_epoch = count // batch
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def at(self, step: int) -> Pairs:
        """The batch of a step, ready for the model."""
        epoch, number = divmod(step, self.per_epoch)
        x, y = self.data.train
        if epoch != self._epoch:
            order = torch.randperm(len(x), generator=generator_for(self.seed, epoch))
            self._epoch, self._order = epoch, order.to(x.device)
        index = self._order[number * self.batch : (number + 1) * self.batch]
        inputs = x[index]
        if self.data.crop or self.data.flip:
            source = generator_for(self.seed, epoch, number)
            inputs = varied(inputs, source, crop=self.data.crop, flip=self.data.flip)
        return ready(self.data, inputs), y[index]
