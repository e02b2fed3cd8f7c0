"""Three ways for a configuration of transformers to say the sizes of a smaller model: equal, padded, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from .. import __version__
from ..core.cut import cut_of
from ..core.errors import StoreError, said
from .decoders import FAMILIES, Family, Sizes, common, largest, padded_state
from .plan import pack
from .uneven import ENTRY, kept_heads, uneven_config

Mode = Literal["uniform", "padded", "heterogeneous"]
REMEDY = 'use mode="heterogeneous", which keeps every size'


def _family(config: Any) -> Family:
    if config.model_type not in FAMILIES:
        raise StoreError(
            f"how sizes of models of type {config.model_type!r} are said in their configuration is not known, only for "
            f"{', '.join(FAMILIES)}; {REMEDY}"
        )
    return FAMILIES[config.model_type]


def _with(config: Any, family: Family, sizes: Sizes, model: Any) -> Any:
    """The configuration with other sizes; ValueError where its class refuses them."""
    changes: dict[str, Any] = {name: sizes[kind] for kind, name in family.fields.items()}
    if "kv" in family.fields:
        # Otherwise it would be taken for the hidden size over the number of heads.
        changes["head_dim"] = next(m.head_dim for m in model.modules() if hasattr(m, "num_key_value_groups"))
    return type(config).from_dict({**config.to_dict(), **changes})


def _dense_sizes(config: Any, stock: Any, family: Family) -> Sizes:
    with torch.device("meta"):
        return next(iter(common(stock(config), family).values()))


def _uniform(model: Any, config: Any, stock: Any) -> tuple[Any, Mapping[str, Tensor]]:
    family = _family(config)
    (first, sizes), *rest = common(model, family).items()
    for name, others in rest:
        if others != sizes:
            raise StoreError(
                f"{first} keeps {sizes} and {name} keeps {others}: no configuration says that. Keep the same numbers "
                f'in every layer, use mode="padded" (zeros up to the largest), or {REMEDY}'
            )
    dense = _dense_sizes(config, stock, family)
    for kind, why in family.fixed.items():
        if sizes[kind] != dense[kind]:
            raise StoreError(
                f"{sizes[kind]} of {dense[kind]} units of kind {kind!r} stay, which the configuration cannot say: "
                f'{why}. Use mode="padded" (zeros in their place), or {REMEDY}'
            )
    try:
        return _with(config, family, sizes, model), model.state_dict()
    except Exception as error:
        raise StoreError(
            f'the configuration refuses {sizes} ({said(error)}); use mode="padded" (zeros up to a number that it '
            f"accepts), or {REMEDY}"
        ) from error


def _allowed(config: Any, family: Family, wanted: Sizes, dense: Sizes, model: Any) -> tuple[Any, Sizes]:
    # The least number of heads from the wanted one on that the configuration's class accepts.
    share, most = wanted["head"] // wanted["kv"], dense["head"] // dense["kv"]
    counts = [(kv, r) for kv in range(wanted["kv"], dense["kv"] + 1) for r in range(share, most + 1)]
    reason = "none fits"
    for kv, r in sorted(counts, key=lambda pair: pair[0] * (pair[1] + 2)):
        sizes = {**wanted, "kv": kv, "head": kv * r}
        try:
            return _with(config, family, sizes, model), sizes
        except Exception as error:
            reason = said(error)
    raise StoreError(f"the configuration refuses every number of heads up to the dense one ({reason}); {REMEDY}")


def _padded(model: Any, config: Any, stock: Any, multiple_of: int) -> tuple[Any, Mapping[str, Tensor]]:
    family = _family(config)
    dense = _dense_sizes(config, stock, family)
    wanted = largest(list(common(model, family).values()), multiple_of)
    wanted |= {kind: dense[kind] for kind in family.fixed}
    cut = cut_of(model)

    def heads(name: str) -> Tensor | None:
        return kept_heads(cut, name, config) if family.heads_keep_their_place else None

    if "kv" in wanted:
        padded, wanted = _allowed(config, family, wanted, dense, model)
    else:
        padded = _with(config, family, wanted, model)
    return padded, padded_state(model, family, wanted, heads)


def _uneven(model: Any, config: Any) -> tuple[Any, Mapping[str, Tensor]]:
    entries = {key: value for key, value in config.to_dict().items() if key != "model_type"}
    kind: Any = type(config)
    ours = uneven_config(kind)
    packed = {**pack(cut_of(model)), "niwaki": __version__}
    return ours.from_dict({**entries, ENTRY: packed}), model.state_dict()


def described(model: Any, config: Any, stock: Any, *, mode: Mode, multiple_of: int) -> tuple[Any, Mapping[str, Tensor]]:
    """The configuration and the tensors of a smaller model in one of the modes.

    Args:
        model: the smaller model.
        config: the dense one's configuration.
        stock: its class in transformers.
        mode: ``uniform``, ``padded`` or ``heterogeneous``.
        multiple_of: in ``padded``, what the number of inner channels shall be a multiple of.

    Returns:
        Configuration and tensors by name.

    Raises:
        StoreError: the mode cannot say these sizes, or is none of the three.
    """
    match mode:
        case "uniform":
            return _uniform(model, config, stock)
        case "padded":
            return _padded(model, config, stock, multiple_of)
        case "heterogeneous":
            return _uneven(model, config)
    raise StoreError(f"mode={mode!r} is not known; modes are 'uniform', 'padded' and 'heterogeneous'")
