"""Models of transformers whose layers have unequal sizes: a configuration and a model class for each stock one.

The configuration is the dense model's with one more entry, ``niwaki_cut``. The model builds the dense layers (on the
meta device, when it is loaded), cuts them, and is filled as every model of transformers is; it saves and loads itself.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core.cut import Cut
from ..structure.shrink import apply_cut
from .architecture import named_tensors
from .decoders import FAMILIES, layers_of
from .plan import unpack

PREFIX = "niwaki_"
ENTRY = "niwaki_cut"
_NAME = "Uneven"


def stock_name(architecture: str) -> str:
    """The class of transformers that a class of ours stands on."""
    return architecture.removeprefix(_NAME)


def stock_class(model: nn.Module) -> Any:
    """The class of transformers that a model is of."""
    kind = type(model)
    return kind.__mro__[1] if kind.__name__.startswith(_NAME) else kind


def stock_config(config: Any) -> Any:
    """The dense configuration behind one of ours."""
    if not config.model_type.startswith(PREFIX):
        return config
    entries = {key: value for key, value in config.to_dict().items() if key not in {ENTRY, "model_type"}}
    stock: Any = type(config).__mro__[1]
    return stock.from_dict(entries)


def kept_heads(cut: Cut, name: str, config: Any) -> Tensor:
    """Which heads of the dense model a BLOOM layer keeps."""
    kept = cut.kept.get(f"{name}.self_attention.query_key_value.weight", {}).get(0)
    heads = torch.arange(config.n_head, device="cpu")
    return heads if kept is None else torch.unique(kept // (3 * config.hidden_size // config.n_head))


def _keep_slopes(model: Any, cut: Cut) -> None:
    # The bias of a head depends on its place among all heads of the dense model, and is made once for all layers.
    for name, layer in layers_of(model, FAMILIES["bloom"]).items():
        attention: Any = layer.self_attention
        kept = kept_heads(cut, name, model.config)
        if len(kept) == model.config.n_head:
            continue

        def chosen(
            module: nn.Module, args: Any, kwargs: Mapping[str, Any], kept: Tensor = kept
        ) -> tuple[Any, dict[str, Any]]:
            alibi = kwargs["alibi"]
            rows = alibi.unflatten(0, (-1, model.config.n_head))[:, kept.to(alibi.device)].flatten(0, 1)
            return args, {**kwargs, "alibi": rows}

        attention.register_forward_pre_hook(chosen, with_kwargs=True)


@functools.cache
def uneven_config(stock: Any) -> Any:
    """The configuration class for unequal layers beside a stock one."""
    entries = {"model_type": f"{PREFIX}{stock.model_type}", "__doc__": stock.__doc__}
    return type(f"{_NAME}{stock.__name__}", (stock,), entries)


@functools.cache
def uneven_class(stock: Any) -> Any:
    """The model class for unequal layers beside a stock one."""

    def __init__(self: Any, config: Any, *args: Any, **kwargs: Any) -> None:
        stock.__init__(self, config, *args, **kwargs)
        cut = unpack(getattr(config, ENTRY), {name: tuple(t.shape) for name, _, _, t in named_tensors(self)})
        # The copy that is cut becomes this model; of the dense one nothing stays.
        vars(self).update(vars(apply_cut(self, cut)))
        if config.model_type == f"{PREFIX}bloom":
            _keep_slopes(self, cut)

    entries = {"config_class": uneven_config(stock.config_class), "__init__": __init__, "__doc__": stock.__doc__}
    return type(f"{_NAME}{stock.__name__}", (stock,), entries)


def register(transformers: Any, stock: Any) -> None:
    """Make the Auto classes know the class for unequal layers beside a stock one."""
    config, model = uneven_config(stock.config_class), uneven_class(stock)
    transformers.AutoConfig.register(config.model_type, config, exist_ok=True)
    for auto, mapping in (
        (transformers.AutoModel, transformers.MODEL_MAPPING),
        (transformers.AutoModelForCausalLM, transformers.MODEL_FOR_CAUSAL_LM_MAPPING),
    ):
        if mapping.get(stock.config_class, None) is stock:
            auto.register(config, model, exist_ok=True)
