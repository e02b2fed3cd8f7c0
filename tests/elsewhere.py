"""Devices that are pretended: their tensors lie in this memory, and what real devices refuse is refused here too.

Every operator computes on the CPU, so that a run elsewhere must give the very numbers of a run here. Tensors of two
places in one operator, and random numbers of one place drawn for another, are errors as they are on a real device; so
is float64 on one of the two, as on graphics processors of Apple.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

# Of a kind that torch knows by name and that no machine has.
ELSEWHERE, SINGLE = torch.device("lazy", 0), torch.device("lazy", 1)
"""A device, and one without float64."""

pretended = pytest.mark.parametrize("place", [ELSEWHERE, SINGLE], ids=["elsewhere", "single"])

_INDEXED = {"index", "index_put", "index_put_", "_unsafe_index", "_index_put_impl_"}
_CPU = torch.device("cpu")


class Far(Tensor):
    """A tensor that says of itself that it lies elsewhere."""

    place: torch.device

    @staticmethod
    def __new__(cls, plain: Tensor, place: torch.device) -> Far:
        if place == SINGLE and plain.dtype in (torch.float64, torch.complex128):
            raise TypeError(f"cannot have {plain.dtype} on {place}")
        made: Any = Tensor._make_subclass(
            cls, plain.detach(), False, dispatch_device=True, device_for_backend_keys=place
        )
        made.place = place
        return made  # type: ignore[no-any-return]

    def tolist(self) -> Any:
        return self.cpu().tolist()

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _call(func, args, kwargs or {})


class Pretended(TorchDispatchMode):
    """Within it ``device=ELSEWHERE`` makes tensors there, and ``.to(ELSEWHERE)`` takes them there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(func, args, kwargs or {})


def _plain(tensor: Any) -> Any:
    # Made anew each time: `tensor.data = ...` exchanges what a tensor holds without telling it.
    if not isinstance(tensor, Far):
        return tensor
    with torch._C._DisableTorchDispatch():
        empty = torch.empty(0, dtype=tensor.dtype)
        return empty.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.shape, tensor.stride())


def _check_places(func: Any, args: Any, kwargs: Any) -> None:
    name = func._schema.name.removeprefix("aten::")
    if name in ("_to_copy", "copy_"):
        return
    indices = tree_iter(args[1]) if name in _INDEXED and isinstance(args[0], Far) else ()
    from_here = {id(index) for index in indices}  # these may come from the CPU
    tensors = [t for t in tree_iter((args, kwargs)) if isinstance(t, Tensor) and id(t) not in from_here]
    there = {t.place for t in tensors if isinstance(t, Far)}
    here = [t for t in tensors if not isinstance(t, Far)]
    # Single numbers may come from the CPU as well, but for one that is to be changed.
    mixed = there and (any(t.dim() for t in here) or (func._schema.is_mutable and here and here[0] is tensors[0]))
    if mixed or len(there) > 1:
        raise RuntimeError(f"{name}: expected all tensors to be on the same device, found {there} and the CPU")


def _place(func: Any, args: Any, kwargs: Any) -> torch.device:
    """Where the result will lie."""
    if kwargs.get("device") is not None:
        return torch.device(kwargs["device"])
    given = args[:1] if func._schema.name == "aten::copy_" else tree_iter((args, kwargs))
    return next((t.place for t in given if isinstance(t, Far)), _CPU)


def _call(func: Any, args: Any, kwargs: Any) -> Any:
    if func is torch.ops.prim.device.default:
        return args[0].place
    _check_places(func, args, kwargs)
    place = _place(func, args, kwargs)
    is_far = place.type == ELSEWHERE.type
    generator = kwargs.get("generator")
    if is_far and generator is not None:
        raise RuntimeError(f"expected a generator on {place}, found one on {generator.device}")
    if is_far and kwargs.get("device") is not None:
        kwargs = {**kwargs, "device": _CPU}
    out = func(*tree_map(_plain, args), **tree_map(_plain, kwargs))
    if func._schema.is_mutable and isinstance(out, Tensor):
        assert (out.shape, out.stride()) == (args[0].shape, args[0].stride()), f"{func} changes shapes in place"
        return args[0]  # what an operator writes to is what it gives back
    return tree_map(lambda t: Far(t, place) if isinstance(t, Tensor) else t, out) if is_far else out
