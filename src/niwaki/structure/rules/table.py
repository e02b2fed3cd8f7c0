"""Which rule belongs to which operator. Whatever bears torch's tag ``pointwise`` is element by element."""

from __future__ import annotations

import torch
from torch._ops import OpOverload

from . import contraction, convolution, elementwise, joining, lookup, norms, reduction, shaping, spatial
from .callsite import Rule

_SAME = (
    "_to_copy to contiguous alias detach lift_fresh lift lift_fresh_copy _conj conj resolve_conj resolve_neg positive"
)
_POINTWISE = (
    "hardswish dropout alpha_dropout feature_dropout threshold _safe_softmax_mask relu6 rrelu bernoulli "
    "leaky_relu celu elu selu hardsigmoid hardtanh"  # torch 2.11 does not tag these, or not in place
)
_FILLED = (
    "zeros ones full empty new_zeros new_ones new_full new_empty zeros_like ones_like full_like empty_like fill zero"
)
_NUMBERED = (
    "arange linspace eye tril triu randn rand randint randperm tril_indices normal uniform multinomial rand_like "
    "randn_like one_hot"
)
_SUMS = "sum nansum"
_REDUCTIONS = (
    "mean amax amin max min var std var_mean linalg_vector_norm norm prod logsumexp argmax argmin any all std_mean"
)
_ALONG = "_softmax softmax _log_softmax log_softmax _safe_softmax"
_ORDERED = "cumsum cumprod cummax cummin sort topk argsort logcumsumexp kthvalue median mode"
_POOLED = (
    "max_pool2d_with_indices max_pool3d_with_indices max_pool1d avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d "
    "adaptive_max_pool1d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d max_pool2d "
    "upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d "
    "upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa "
    "_upsample_bicubic2d_aa _upsample_nearest_exact3d"
)
_PADDED = (
    "constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d "
    "replication_pad3d"
)

_GROUPS: list[tuple[str, Rule]] = [
    (_SAME, elementwise.same),
    (_POINTWISE, elementwise.elementwise),
    ("copy", elementwise.overwritten),
    ("glu", elementwise.gated),
    ("prelu _prelu_kernel", elementwise.channelwise),
    (_FILLED, elementwise.filled),
    (_NUMBERED, elementwise.numbered),
    ("view _unsafe_view reshape view_copy _reshape_alias", shaping.view),
    ("transpose t", shaping.transpose),
    ("permute", shaping.permute),
    ("unsqueeze", shaping.unsqueeze),
    ("squeeze", shaping.squeeze),
    ("view_as_real view_as_complex", shaping.paired),
    ("expand", shaping.expand),
    ("repeat", shaping.repeat),
    ("flip", shaping.flip),
    ("roll", shaping.roll),
    ("cat concatenate", joining.concatenate),
    ("stack", joining.stack),
    ("split unsafe_split", joining.split),
    ("split_with_sizes unsafe_split_with_sizes", joining.split_with_sizes),
    ("unbind", joining.unbind),
    ("select", joining.select),
    ("slice", joining.narrow),
    ("mm bmm", contraction.matrix),
    ("addmm baddbmm", contraction.biased),
    ("mv dot vdot", contraction.vector),
    ("linear", contraction.linear),
    (
        "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention "
        "_scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention "
        "_scaled_dot_product_fused_attention_overrideable scaled_dot_product_attention",
        contraction.attention,
    ),
    ("convolution _convolution", convolution.convolution),
    ("native_batch_norm _native_batch_norm_legit_no_training cudnn_batch_norm", norms.batch_norm),
    ("native_layer_norm layer_norm _fused_rms_norm rms_norm", norms.layer_norm),
    ("native_group_norm group_norm", norms.group_norm),
    (_SUMS, reduction.summed),
    (_REDUCTIONS, reduction.reduced),
    (_ALONG, reduction.along),
    (_ORDERED, reduction.ordered),
    (_POOLED, spatial.pooled),
    (_PADDED, spatial.padded),
    ("pixel_shuffle pixel_unshuffle", spatial.shuffled),
    ("im2col", spatial.unfolded),
    ("col2im", spatial.folded),
    ("unfold", spatial.windows),
    ("channel_shuffle native_channel_shuffle", spatial.channels_shuffled),
    ("embedding", lookup.embedding),
    ("index", lookup.indexed),
    ("index_select", lookup.index_selected),
    ("gather", lookup.gathered),
]
RULES: dict[str, Rule] = {f"aten::{name}": rule for names, rule in _GROUPS for name in names.split()}


def rule_of(op: OpOverload) -> Rule | None:
    """The rule of an operator, in place or not; ``None`` if it has none."""
    name = op._schema.name
    found = RULES.get(name) or RULES.get(name.removesuffix("_"))
    if found is None and torch.Tag.pointwise in op.tags:
        return elementwise.elementwise
    return found
