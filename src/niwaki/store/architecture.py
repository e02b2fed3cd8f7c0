"""Which dense model a smaller one was cut from: its modules, and the names, shapes and dtypes of its tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from ..core.cut import Cut
from ..core.errors import StoreError
from ..core.names import plain_name
from .fingerprint import digest_of

Description = dict[str, dict[str, str]]
_SHOWN = 5


def named_tensors(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, Tensor]]:
    """Every parameter and buffer under every name it has: plain name, module, attribute, tensor.

    Buffers that are no part of the state dict are included.
    """
    for prefix, module in model.named_modules(remove_duplicate=False):
        for held in (module._parameters, module._buffers):
            for attribute, tensor in held.items():
                if tensor is not None:
                    yield plain_name(f"{prefix}.{attribute}" if prefix else attribute), module, attribute, tensor


def extra_states(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that keep state besides tensors, by the name that state dicts give it."""
    for prefix, module in model.named_modules():
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            yield plain_name(f"{prefix}._extra_state" if prefix else "_extra_state"), module


def _shape_of(names: list[str], tensor: Tensor, cut: Cut) -> list[int]:
    for name in names:
        if name in cut.shapes:
            return list(cut.shapes[name])
        if name in cut.kept:
            raise StoreError(
                f"the model's cut keeps a part of {name!r} but does not know its dense shape; cut models with "
                "`shrink`, or give `Cut(..., shapes=...)`"
            )
    return list(tensor.shape)


def describe_dense(model: nn.Module, cut: Cut) -> Description:
    """The architecture of the dense model that a model was cut from.

    Args:
        model: the smaller model; with an empty cut, the dense one.
        cut: how it was cut.

    Returns:
        ``modules``: the class of each module; ``tensors``: dtype and dense shape of each tensor, or which one it is
        tied to.

    >>> import torch
    >>> describe_dense(nn.Linear(3, 2), Cut())["tensors"]
    {'weight': 'float32[2, 3]', 'bias': 'float32[2]'}
    >>> describe_dense(nn.Linear(3, 2), Cut({"bias": {0: torch.tensor([0, 2])}}, shapes={"bias": (5,)}))["tensors"]
    {'weight': 'float32[2, 3]', 'bias': 'float32[5]'}
    """
    places: dict[int, list[str]] = {}
    tensors: dict[str, str] = {}
    for name, _, _, tensor in named_tensors(model):
        places.setdefault(id(tensor), []).append(name)
    for name, _, _, tensor in named_tensors(model):
        first, *_ = names = places[id(tensor)]
        kind = str(tensor.dtype).removeprefix("torch.")
        tensors[name] = f"{kind}{_shape_of(names, tensor, cut)}" if name == first else f"tied to {first!r}"
    modules = {
        plain_name(name): type(module).__name__
        for name, module in model.named_modules()
        if not isinstance(getattr(module, "_orig_mod", None), nn.Module)
    }
    return {"modules": modules, "tensors": tensors}


def digest(described: Description) -> str:
    """The fingerprint of a description; the order of names does not matter."""
    return digest_of(
        {f"{part}: {name}": what for part in sorted(described) for name, what in sorted(described[part].items())}
    )


def _remedy(there: Mapping[str, str], here: Mapping[str, str]) -> str:
    shapes = [{name: text.partition("[")[2] for name, text in side.items()} for side in (there, here)]
    if there == here or shapes[0] != shapes[1]:
        return "build it as it was when the smaller model was cut"
    return "only dtypes differ: convert it as the smaller model was converted, such as `.to(torch.bfloat16)`"


def check_architecture(model: nn.Module, there: Description, where: str) -> None:
    """Check that a dense model is the one that a smaller model was cut from.

    Args:
        model: the dense model at hand.
        there: the description in the file.
        where: the file.

    Raises:
        StoreError: tensors or module classes differ; the first few are listed.

    >>> check_architecture(nn.Linear(3, 2), describe_dense(nn.Linear(4, 2), Cut()), "plan.json")
    Traceback (most recent call last):
    ...
    niwaki.core.errors.StoreError: plan.json was made from another dense model, 1 of 2 tensors differ: 'weight' is \
float32[2, 4] there and float32[2, 3] here; build it as it was when the smaller model was cut
    """
    here = describe_dense(model, Cut())
    for part in ("tensors", "modules"):
        old, new = there[part], here[part]
        names = list(dict.fromkeys([*old, *new]))
        different = [
            f"{name or 'the model'!r} is {old.get(name, 'absent')} there and {new.get(name, 'absent')} here"
            for name in names
            if old.get(name) != new.get(name)
        ]
        if different:
            more = ", ..." if len(different) > _SHOWN else ""
            raise StoreError(
                f"{where} was made from another dense model, {len(different)} of {len(names)} {part} differ: "
                f"{', '.join(different[:_SHOWN])}{more}; {_remedy(there['tensors'], here['tensors'])}"
            )
