"""The best of a row of scores, exactly as many as asked, ties broken by index."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .errors import BudgetError, SignalError

_HALVES = (torch.float16, torch.bfloat16)  # which numpy orders slowly, or not at all


def _threshold(scores: Tensor, count: int) -> Tensor:
    place = scores.numel() - count
    if scores.device.type != "cpu":
        # Not `kthvalue`, which refuses to run there under `use_deterministic_algorithms`.
        return scores.sort().values[place]
    # Several times as fast as `kthvalue`, but slow where many are equal. Many are, at the low end: what is removed, or
    # barred by minus infinity.
    row = (scores.float() if scores.dtype in _HALVES else scores).detach().numpy()
    above = row[row > row.min()]
    if above.size < count:
        return scores.min()
    return scores.new_tensor(np.partition(above, above.size - count)[above.size - count])


def top(scores: Tensor, count: int) -> Tensor:
    r"""The ``count`` highest scores; of equal ones the lower index wins.

    `torch.topk` leaves open which of several equal scores it takes. Here every score above the ``count``-th highest is
    in, and the places left are filled with scores equal to it, in the order of their index. So the same scores give
    the same mask everywhere, and masks nest: ``top(s, a)`` lies within ``top(s, b)`` for ``a <= b``.

    Args:
        scores: ``[size]``, of any real dtype, without NaN.
        count: how many to take.

    Returns:
        A boolean mask ``[size]`` with exactly ``count`` ``True``, on the device of the scores.

    Raises:
        BudgetError: more or fewer are asked than there are.
        SignalError: the scores are not one row, or hold NaN.

    >>> top(torch.tensor([2.0, 1.0, 2.0, 3.0, 2.0]), 3).tolist()
    [True, False, True, True, False]
    """
    if scores.dim() != 1:
        raise SignalError(f"scores of shape {tuple(scores.shape)} are not one row; flatten them to [size]")
    if not 0 <= count <= scores.numel():
        raise BudgetError(f"{count} of {scores.numel()} units cannot be kept; ask for a count from 0 to their number")
    # The sum is NaN if one of them is, or if infinities of both signs meet.
    if scores.is_floating_point() and bool(scores.sum().isnan()) and bool(scores.isnan().any()):
        raise SignalError("scores hold NaN and cannot be ranked; look at the signals they were made from")
    if count in {0, scores.numel()}:
        return torch.full_like(scores, bool(count), dtype=torch.bool)
    limit = _threshold(scores, count)
    mask = scores > limit
    missing = count - int(mask.count_nonzero())
    mask[(scores == limit).nonzero().squeeze(1)[:missing]] = True
    return mask


def top_of_each(scores: Tensor, count: int, size: int) -> Tensor:
    """Of every ``size`` consecutive scores the ``count`` highest; of equal ones the lower index wins.

    Args:
        scores: a row whose length is a multiple of ``size``.
        count: how many to take of each set.
        size: how long a set is.

    Returns:
        A boolean mask of the scores' shape.

    >>> top_of_each(torch.tensor([1.0, 2, 3, 4, 9, 8, 8, 8]), 2, 4).int().tolist()
    [0, 0, 1, 1, 1, 1, 0, 0]
    """
    sets = scores.reshape(-1, size)
    best = sets.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(sets, dtype=torch.bool).scatter_(1, best, value=True).reshape(-1)
