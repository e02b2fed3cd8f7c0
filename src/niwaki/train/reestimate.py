"""Statistics of batch norms measured anew, as a network wants them after units were removed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..core.errors import TrainError
from ..core.names import bare_model, plain_name
from ..core.widest import widest, widest_type
from ..signals.batches import Batch
from ..signals.forward import Forward, evaluating, forward_only, run_forward
from ..signals.processes import is_shared, summed

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


_Found = dict[str, tuple[Tensor, Tensor, int]]
"""Mean, variance and the count of batches by name."""


def _statistics(norm: nn.Module) -> tuple[Tensor, Tensor, int]:
    buffers = (norm.get_buffer(name) for name in ("running_mean", "running_var"))
    mean, variance = (buffer.to(widest_type(buffer.device), copy=True) for buffer in buffers)
    tracked = norm.num_batches_tracked
    return mean, variance, int(tracked) if isinstance(tracked, Tensor) else 0


class _Sums:
    """Sums of all values that entered each norm.

    They are taken about the old mean, where that is a number: far from the mean squares would cancel.
    """

    def __init__(self, norms: Mapping[str, nn.Module]) -> None:
        self._about = {n: _statistics(m)[0].nan_to_num(nan=0.0, posinf=0.0, neginf=0.0) for n, m in norms.items()}
        self._sums = {n: {"first": torch.zeros_like(a), "second": torch.zeros_like(a)} for n, a in self._about.items()}
        self._values = dict.fromkeys(norms, 0)
        self._calls = dict.fromkeys(norms, 0)

    def __call__(self, name: str, inputs: Tensor) -> None:
        away = widest(inputs.transpose(0, 1).flatten(1)) - self._about[name][:, None]
        self._sums[name]["first"] += away.sum(1)
        self._sums[name]["second"] += away.square().sum(1)
        self._values[name] += away.shape[1]
        self._calls[name] += 1

    def found(self, *, shared: bool) -> _Found:
        found: _Found = {}
        for name, own in self._sums.items():
            sums, values = summed(own, self._values[name], shared=shared)
            if values:
                second = sums["second"] - sums["first"].square() / values
                variance = (second / (values - 1)).clamp_min(0)
                found[name] = self._about[name] + sums["first"] / values, variance, self._calls[name]
        return found


class _Average:
    """Statistics that every batch moves by a share, from where they are."""

    def __init__(self, norms: Mapping[str, nn.Module], momentum: float) -> None:
        self._old = {name: _statistics(norm) for name, norm in norms.items()}
        self._momentum = momentum
        self._found: _Found = {}

    def __call__(self, name: str, inputs: Tensor) -> None:
        mean, variance, calls = self._found.get(name, self._old[name])
        values = widest(inputs.transpose(0, 1).flatten(1))
        mean = torch.lerp(mean, values.mean(1), self._momentum)
        self._found[name] = mean, torch.lerp(variance, values.var(1), self._momentum), calls + 1

    def found(self, *, shared: bool) -> _Found:
        return self._found


def _batch_norms(model: nn.Module) -> dict[str, nn.Module]:
    named = bare_model(model).named_modules()
    return {plain_name(n): m for n, m in named if isinstance(m, _NORMS) and m.running_mean is not None}


def _checked(name: str, inputs: Tensor) -> Tensor:
    if inputs.numel() < 2 * inputs.shape[1]:
        raise TrainError(
            f"the batch norm {name!r} saw one value per channel (input of shape {tuple(inputs.shape)}), which has no "
            "variance; give larger batches"
        )
    return inputs


@contextmanager
def _listening(norms: Mapping[str, nn.Module], heard: Callable[[str, Tensor], None]) -> Generator[None, None, None]:
    """Norms normalise by their batches, as they do in training, and what enters them is handed on."""

    def hook(name: str) -> Callable[..., None]:
        return lambda _, args, kwargs: heard(name, _checked(name, args[0] if args else kwargs["input"]))

    handles = [norm.register_forward_pre_hook(hook(name), with_kwargs=True) for name, norm in norms.items()]
    try:
        for norm in norms.values():
            norm.training = True
        yield
    finally:
        for norm in norms.values():
            norm.training = False
        for handle in handles:
            handle.remove()


def _write(norm: nn.Module, mean: Tensor, variance: Tensor, calls: int) -> None:
    with torch.no_grad():
        norm.get_buffer("running_mean").copy_(mean)
        norm.get_buffer("running_var").copy_(variance)
        if isinstance(norm.num_batches_tracked, Tensor):
            norm.num_batches_tracked.fill_(calls)


def reestimate_norms(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    momentum: float | None = None,
    step: Forward | None = None,
    reduce: bool = True,
) -> tuple[str, ...]:
    """Measure the running statistics of all batch norms anew.

    Old statistics are forgotten. The new mean and variance of a channel are those of all values that entered the norm,
    over all batches together, however the data are cut into batches:
    ``mean = sum x / N``, ``var = sum (x - mean)^2 / (N - 1)``, summed in float64. One pass, during which norms use the
    statistics of the batch at hand, so that later norms see what they see in training; large batches bring that near
    to what they see afterwards. Everything else runs in `eval` mode. Nothing but the statistics changes: parameters,
    other buffers, modes and random state stay, and after an exception the statistics, too.

    With several processes the sums go over all of them.

    Args:
        model: the model; norms without running statistics are left alone.
        batches: pairs (inputs, target), or inputs alone where they are a tensor or a dictionary.
        momentum: a number in (0, 1] for a moving average in place of the exact one: the old statistics are kept and
            every batch moves them by this share, as training does. Each process follows its own batches.
        step: ``step(model, batch)``, for batches of another form; its result is not looked at.
        reduce: whether to sum over the processes of a distributed run.

    Returns:
        The names of the norms, none if the model has no batch norms.

    Raises:
        TrainError: a momentum outside its range, or a norm that sees one value per channel.

    >>> norm = nn.BatchNorm1d(1)
    >>> reestimate_norms(nn.Sequential(norm), [torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [4.0], [5.0]])])
    ('0',)
    >>> norm.running_mean.item(), norm.running_var.item()
    (3.0, 2.5)
    """
    if momentum is not None and not 0 < momentum <= 1:
        raise TrainError(f"momentum {momentum} is outside (0, 1]; leave it out for the exact statistics of all batches")
    norms = _batch_norms(model)
    heard = _Sums(norms) if momentum is None else _Average(norms, momentum)
    with evaluating(bare_model(model)), _listening(norms, heard):
        run_forward(model, forward_only if step is None else step, batches)
    found = heard.found(shared=is_shared(reduce))
    for name, (mean, variance, calls) in found.items():
        _write(norms[name], mean, variance, calls)
    return tuple(found)
