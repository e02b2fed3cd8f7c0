"""The numbers that are written in a call, as they must be where its tensors are smaller."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._ops import OpOverload

from ..core.errors import GroupError
from .foretold import Foretold
from .recording import Call
from .trial import Made

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Written:
    """One call of a graph: what it calls, with which arguments, which of its results become which tensors.

    ``alone`` says that the operator gives one tensor, where the recorded one gave several.
    """

    op: OpOverload
    args: Mapping[str, Any]
    shapes: Sequence[Shape | None]
    alone: bool = False


@dataclass(frozen=True, eq=False)
class _Site:
    call: Call
    made: Made
    foretold: Foretold
    outs: Sequence[Shape | None]

    def shape(self, name: str) -> Shape:
        return self.foretold.shape_of(self.call.args[name])

    def out(self) -> Shape:
        shape = self.outs[0]
        assert shape is not None, self.call.op
        return shape

    def with_args(self, **changed: Any) -> Written:
        return Written(self.call.op, {**self.call.args, **changed}, self.outs)


def _plain(site: _Site) -> Written:
    return site.with_args()


def _reshaped(site: _Site) -> Written:
    if "size" not in site.call.args and "shape" not in site.call.args:
        return _plain(site)  # a view as another type
    # Not view: at other sizes memory may lie so that a copy is needed.
    args = {"self": site.call.args["self"], "shape": list(site.out())}
    return Written(torch.ops.aten.reshape.default, args, site.outs)


def _sized(site: _Site) -> Written:
    return site.with_args(size=list(site.out())) if "size" in site.call.args else _plain(site)


def _repeated(site: _Site) -> Written:
    own = site.shape("self")
    own = (1,) * (len(site.out()) - len(own)) + own
    times = [new // old if old else 1 for new, old in zip(site.out(), own, strict=True)]
    return site.with_args(repeats=times)


def _sliced(site: _Site) -> Written:
    args, ref = site.call.args, site.call.args["self"]
    axes = site.foretold.walk.tracked(ref).axes
    dim = int(args.get("dim", 0)) % len(axes)
    start, _, step = slice(args.get("start"), args.get("end"), args.get("step", 1)).indices(axes[dim].size)
    end = args.get("end")
    ids, count = axes[dim].ids, site.out()[dim]
    if step == 1 and ids is not None:
        start = int((~site.foretold.gone[ids[:start]]).sum())
    if end is None or end >= axes[dim].size:
        end = torch.iinfo(torch.int64).max  # to the end, however long
    else:
        end = start + (count - 1) * step + 1 if count else start
    return Written(site.call.op, {"self": ref, "dim": dim, "start": start, "end": end, "step": step}, site.outs)


def _split(site: _Site) -> Written:
    ref = site.call.args["self"]
    dim = int(site.call.args.get("dim", 0)) % len(site.shape("self"))
    sizes = [shape[dim] for shape in site.outs if shape is not None]
    # Where recurrent cells write on the pieces, autograd wants them apart.
    apart = "unsafe" in site.call.op._schema.name
    op = torch.ops.aten.unsafe_split_with_sizes if apart else torch.ops.aten.split_with_sizes
    return Written(op.default, {"self": ref, "split_sizes": sizes, "dim": dim}, site.outs)


def _convolution(site: _Site) -> Written:
    groups = int(site.call.args.get("groups", 1))
    weight, inputs = site.shape("weight"), site.shape("input")
    if groups > 1:
        channels = (site.out() if site.call.args.get("transposed") else inputs)[len(inputs) - len(weight) + 1]
        groups = channels // weight[1]
    return site.with_args(groups=groups)


def _group_norm(site: _Site) -> Written:
    batch, channels, *rest = site.shape("input")
    sums = site.outs[1]
    assert sums is not None
    return site.with_args(N=batch, C=channels, HxW=math.prod(rest), group=sums[1])


def _layer_norm(site: _Site) -> Written:
    count = len(site.call.args["normalized_shape"])
    return site.with_args(normalized_shape=list(site.shape("input")[-count:]))


def _shuffled(site: _Site) -> Written:
    axes = site.made.axes[0]
    assert axes is not None
    if site.foretold.size(axes[1]) == axes[1].size:
        return _plain(site)
    if len(axes[1].parts) != 2:
        raise GroupError(
            f"a shuffle of channels in {site.call.module!r} loses some, and how many groups stay cannot be told; leave "
            "the groups of this module whole"
        )
    return site.with_args(groups=site.foretold.size(axes[1].parts[1]))


def _attention(site: _Site) -> Written:
    # The one for any device, which picks its kernel where it runs.
    given = site.call.args
    shared = site.shape("query")[-3] != site.shape("key")[-3] if len(site.shape("query")) > 3 else False
    args = {name: given[name] for name in ("query", "key", "value")}
    args |= {"attn_mask": given.get("attn_mask", given.get("attn_bias")), "dropout_p": 0.0}
    args |= {"is_causal": given.get("is_causal", False), "scale": given.get("scale"), "enable_gqa": shared}
    return Written(torch.ops.aten.scaled_dot_product_attention.default, args, site.outs, alone=True)


def _copied(site: _Site) -> Written:
    # A constant is copied at each pass, since the pass may write on it.
    return Written(torch.ops.aten.clone.default, dict(site.call.args), site.outs)


_WRITERS: list[tuple[str, Callable[[_Site], Written]]] = [
    ("view _unsafe_view reshape view_copy _reshape_alias", _reshaped),
    ("expand full zeros ones empty new_zeros new_ones new_full new_empty", _sized),
    ("repeat", _repeated),
    ("slice", _sliced),
    ("split unsafe_split split_with_sizes unsafe_split_with_sizes", _split),
    ("convolution _convolution", _convolution),
    ("native_group_norm", _group_norm),
    ("native_layer_norm _fused_rms_norm", _layer_norm),
    ("channel_shuffle native_channel_shuffle", _shuffled),
    (
        "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention "
        "_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention "
        "_scaled_dot_product_fused_attention_overrideable",
        _attention,
    ),
    ("lift_fresh", _copied),
]
_BY_NAME = {f"aten::{name}": writer for names, writer in _WRITERS for name in names.split()}


def written(foretold: Foretold, made: Made) -> Written:
    """One recorded call, at the sizes foretold.

    Args:
        foretold: the pass that it belongs to.
        made: which call it is, and what it gave.

    Returns:
        The call to write into a graph, with a `Ref` wherever a tensor stands.
    """
    call = foretold.walk.recording.calls[made.place]
    outs = [None if axes is None else foretold.shape(axes) for axes in made.axes]
    return _BY_NAME.get(call.op._schema.name, _plain)(_Site(call, made, foretold, outs))
