"""Layers that skip zeros, where that is faster: decided layer by layer, by the clock, on this machine."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core.computed import detached
from ..core.errors import TrainError, said
from ..core.gaps import gap, largest, tensors_in
from ..core.names import bare_model
from .latency import latency
from .skipping_layers import Layer, SkippingConvolution, SkippingProduct
from .tape import split_example

_KINDS = (torch.float32, torch.float64)
_ROUNDING = 1e-4
_MOST = 0.5  # of the weights; with more of them the dense product is faster by far


@dataclass(frozen=True)
class LayerChoice:
    """What was found of one layer.

    Args:
        name: of the layer.
        density: share of its weights that are not zero.
        ratio: its time when zeros are skipped over its own; 1 if that was not measured.
        skips: whether zeros are skipped now.
        why: what speaks against it, if they are not.
    """

    name: str
    density: float
    ratio: float
    skips: bool
    why: str = ""


@dataclass(frozen=True)
class Skipping:
    """A copy of a model for running it, and what was chosen for its layers.

    Args:
        model: the copy, in `eval` mode. It cannot be trained or saved; save the model that it was made from.
        layers: what was found, layer by layer.
    """

    model: nn.Module
    layers: tuple[LayerChoice, ...]


def _why_not(layer: Layer, density: float, is_seen: bool) -> str:
    weight = layer.weight
    if weight.device.type != "cpu" or weight.dtype not in _KINDS:
        return f"it is {weight.dtype} on {weight.device}: zeros are skipped on the CPU in float32 or float64"
    if density > _MOST:
        return "too few of its weights are zero"
    if not is_seen:
        return "the example does not pass through it"
    return ""


def _is_product(layer: nn.Module) -> bool:
    # Not what inherits from them: its forward pass may be another one. What hooks do could not be kept up.
    if layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer):
        return False
    return type(layer) in (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def _candidates(model: nn.Module) -> dict[str, Layer]:
    return {name: layer for name, layer in model.named_modules() if _is_product(layer)}


def _call(model: nn.Module, example: Any) -> Any:
    args, kwargs = split_example(example)
    return model(*args, **kwargs)


def _inputs_of(model: nn.Module, layers: Mapping[str, Layer], example: Any) -> tuple[dict[str, Tensor], Any]:
    """The inputs of layers when the model sees an example, and its outputs."""
    seen: dict[str, Tensor] = {}

    def noting(name: str, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def noted(x: Tensor) -> Tensor:
            if name not in seen:
                seen[name] = x.clone()
            return forward(x)

        return noted

    # Not by hooks: torch's transformer layers call their linear layers where these have hooks, and else read them.
    for name, layer in layers.items():
        vars(layer)["forward"] = noting(name, layer.forward)
    try:
        with torch.inference_mode():
            return seen, _call(model, example)
    finally:
        for layer in layers.values():
            vars(layer).pop("forward")


def _chosen(
    name: str, layer: Layer, x: Tensor | None, threads: int | None, rounds: int
) -> tuple[LayerChoice, nn.Module]:
    density = float(layer.weight.count_nonzero()) / layer.weight.numel()
    why = _why_not(layer, density, x is not None)
    if why:
        return LayerChoice(name, density, 1.0, False, why), layer
    try:
        with torch.inference_mode(False):
            made = SkippingProduct(layer) if isinstance(layer, nn.Linear) else SkippingConvolution(layer)
        with torch.inference_mode():
            made(x)
    except RuntimeError as error:  # torch multiplies by compressed rows with MKL, which not every processor has
        return LayerChoice(name, density, 1.0, False, f"torch cannot skip zeros here: {str(error)[:100]}"), layer
    row = latency({"own": layer, "skipping": made}, x, threads=threads, rounds=rounds)["skipping"]
    if row.is_faster:
        return LayerChoice(name, density, row.ratio, True), made
    return LayerChoice(name, density, row.ratio, False, "skipping its zeros is not surely faster here"), layer


def _check_same(model: nn.Module, example: Any, wanted: Any) -> None:
    try:
        with torch.inference_mode():
            found = _call(model, example)
    except Exception as error:
        raise TrainError(
            f"{type(model).__name__} does not run with layers that skip zeros ({said(error)}): its "
            "code reads their weights. Name such layers in ignore="
        ) from error
    # Whole numbers, such as the class with the largest score, may change with any rounding.
    before = {at: tensor for at, tensor in tensors_in(wanted).items() if tensor.dtype.is_floating_point}
    after = tensors_in(found)
    apart = max((gap(before[at], after[at]) / max(1.0, largest(before[at])) for at in before), default=0.0)
    if apart > _ROUNDING:
        raise TrainError(
            f"with layers that skip zeros, {type(model).__name__} gives outputs up to {apart:.3g} of their "
            "size away from its own, as a model does that draws random numbers in eval mode; name its layers in ignore="
        )


def skip_zeros(
    model: nn.Module,
    example: Any,
    *,
    threads: int | None = None,
    rounds: int = 30,
    ignore: Sequence[str] = (),
) -> Skipping:
    """Make a copy of a model that skips the zeros of its weights where that is faster on this machine.

    Linear layers and convolutions are looked at, if half of their weights or more are zero. Each is timed in turns with
    one that skips them, on the inputs it gets when the model sees the example; that takes its place where the whole
    95 % interval of the ratio lies below one. The outputs of the copy are compared with the model's.

    Args:
        model: the model, whose removed weights are zero; it stays as it is.
        example: inputs of the size that matters: one tensor, a tuple of arguments or a dictionary of keywords.
        threads: of torch on the CPU; as many as it has now, if not given.
        rounds: how often each layer is timed.
        ignore: names of layers to leave alone.

    Returns:
        The copy, and what was chosen for each layer. A copy that does not run, or gives other outputs, is a
        `TrainError`.

    >>> layer = nn.Linear(8, 8)
    >>> skip_zeros(layer, torch.ones(1, 8)).layers[0].why
    'too few of its weights are zero'
    """
    bare = bare_model(model)
    fast = copy.deepcopy(bare, detached(bare)).eval()
    layers = {name: layer for name, layer in _candidates(fast).items() if name not in ignore}
    seen, outputs = _inputs_of(fast, layers, example)
    choices = []
    for name, layer in layers.items():
        choice, made = _chosen(name, layer, seen.get(name), threads, rounds)
        choices.append(choice)
        if not choice.skips:
            continue
        if layer is fast:
            fast = made
        for place in [n for n, part in fast.named_modules(remove_duplicate=False) if part is layer]:
            fast.set_submodule(place, made)
    _check_same(fast, example, outputs)
    return Skipping(fast, tuple(choices))
