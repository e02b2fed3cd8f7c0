"""Smaller models of transformers in folders for ``from_pretrained``."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import StoreError, said
from ..core.gaps import gap, largest
from ..core.names import bare_model
from .decoders import FAMILIES
from .files import WRITING, beside, check_empty, settle, sweep
from .modes import REMEDY, Mode, described
from .uneven import PREFIX, register, stock_class, stock_config, stock_name, uneven_class

_CONFIG = "config.json"
_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?")


def _transformers() -> Any:
    try:
        found = importlib.import_module("transformers")
    except ImportError as error:
        raise StoreError("transformers is needed here and not installed: pip install 'niwaki[models]'") from error
    if int(found.__version__.partition(".")[0]) < 5:
        # Before, another dtype than the stored one came back, and configurations did not check themselves.
        raise StoreError(
            f"transformers {found.__version__} is too old for this, it needs 5 or later: pip install -U it"
        )
    return found


def _check_fits(made: nn.Module, state: Mapping[str, Tensor], mode: Mode) -> None:
    wanted = {name: list(tensor.shape) for name, tensor in made.state_dict().items()}
    found = {name: list(tensor.shape) for name, tensor in state.items()}
    wrong = [
        f"{name!r} is {found.get(name, 'absent')} here and {wanted.get(name, 'absent')} there"
        for name in dict.fromkeys([*wanted, *found])
        if wanted.get(name) != found.get(name)
    ]
    if wrong:
        remedy = REMEDY if mode != "heterogeneous" else "cut models with `shrink`, which writes down what it keeps"
        raise StoreError(
            f"the model that mode={mode!r} describes differs in {len(wrong)} tensors: {', '.join(wrong[:5])}"
            f"{', ...' if len(wrong) > 5 else ''}; {remedy}"
        )


def _logits(model: Any) -> Tensor:
    device, count = next(model.parameters()).device, min(5, int(model.config.vocab_size))
    with torch.no_grad():
        return torch.as_tensor(model(torch.arange(count, device=device)[None], use_cache=False)[0])


def _check_same(model: Any, loaded: Any, state: Mapping[str, Tensor], *, runs: bool) -> None:
    for name, tensor in loaded.state_dict().items():
        if tensor.dtype != state[name].dtype or not torch.equal(tensor, state[name].to(tensor.device)):
            raise StoreError(f"{name!r} did not come back as it was written; nothing was saved. Report the model")
    if not runs:
        return
    was_training = model.training
    try:
        wanted, found = _logits(model.eval()), _logits(loaded.eval())
    finally:
        model.train(was_training)
    allowed = max(1e-4, 16 * torch.finfo(model.dtype).eps) * max(1.0, largest(wanted))
    apart = gap(wanted, found)
    if not apart <= allowed:
        raise StoreError(
            f"the model that was to be saved computes outputs up to {apart:.3g} away from "
            f"those of {type(model).__name__}; nothing was saved. Report the model"
        )


def _settle_all(temporary: Path, folder: Path) -> None:
    # Without its configuration a folder holds no model: at no moment do old and new files make one together.
    (folder / _CONFIG).unlink(missing_ok=True)
    names = {path.name for path in temporary.iterdir()}
    for path in folder.iterdir():
        if _WEIGHTS.fullmatch(path.name) and path.name not in names:
            path.unlink()
    for name in sorted(names, key=lambda name: name == _CONFIG):
        settle(temporary / name, folder / name)


def save_pretrained(
    model: nn.Module, folder: str | Path, *, mode: Mode = "uniform", multiple_of: int = 1, overwrite: bool = False
) -> None:
    """Store a smaller model of transformers so that ``from_pretrained`` loads it.

    Three modes. ``uniform``: every layer has the same sizes, which go into the configuration; the stock class loads it.
    ``padded``: zeros fill every layer up to the largest one, or to a number of heads that the class accepts; the
    function is the same, the stock class loads it. ``heterogeneous``: every size is kept; `load_pretrained` loads it,
    as the Auto classes do after `register_pretrained`. The first two know LLaMA, Mistral, Qwen2, Qwen3, Gemma, OPT,
    GPT-2 and BLOOM, the third every model that `shrink` cut.

    Before anything is put in its place, the model is loaded again: tensors must be equal bit for bit, and logits be the
    same. An interrupted save into an empty folder leaves no ``config.json``, so no half of a model can be loaded.

    Args:
        model: the smaller model.
        folder: where; made if it does not exist.
        mode: one of the three.
        multiple_of: in ``padded``, what the number of inner channels shall be a multiple of.
        overwrite: replace the model in a folder that is not empty. Other files in it stay.

    Raises:
        StoreError: this mode cannot say the model's sizes, which the message explains, or it cannot be written.
    """
    folder, transformers, model = Path(folder), _transformers(), bare_model(model)
    if not isinstance(model, transformers.PreTrainedModel):
        raise StoreError(f"{type(model).__name__} is no model of transformers; use `save`")
    check_empty(folder, overwrite=overwrite)
    stock, dense = stock_class(model), stock_config(model.config)
    config, state = described(model, dense, stock, mode=mode, multiple_of=multiple_of)
    kind = uneven_class(stock) if mode == "heterogeneous" else stock
    with torch.device("meta"):
        made = kind(config).to(model.dtype)
    _check_fits(made, state, mode)
    made.generation_config = getattr(model, "generation_config", None)
    with beside(folder, sum(tensor.nbytes for tensor in state.values())) as temporary:
        made.save_pretrained(temporary, state_dict=dict(state))
        # BLOOM without some of its heads runs only in the class that keeps the others' slopes.
        whole = dense.model_type != "bloom" or type(model) is not stock or _has_all_heads(model)
        text = model.main_input_name == "input_ids" and not model.config.is_encoder_decoder
        _check_same(model, kind.from_pretrained(temporary, use_safetensors=True), state, runs=whole and text)
        _settle_all(temporary, folder)
    sweep(folder, WRITING)


def _has_all_heads(model: Any) -> bool:
    return all(getattr(module, "num_heads", model.config.n_head) == model.config.n_head for module in model.modules())


def load_pretrained(folder: str | Path, **settings: Any) -> Any:
    """Load what `save_pretrained` stored, in any mode.

    Args:
        folder: the folder.
        **settings: what ``from_pretrained`` takes besides, such as ``dtype`` or ``device_map``.

    Returns:
        The model, of the stock class or, with unequal layers, of one that stands on it.

    Raises:
        StoreError: no such folder, or what is in it is damaged or no such model.
    """
    folder, transformers = Path(folder), _transformers()
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        architecture = stock_name(str(config["architectures"][0]))
        stock = getattr(transformers, architecture)
    except FileNotFoundError as error:
        raise StoreError(f"no model in {folder}: {_CONFIG} is missing; check the folder, or save it again") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OSError) as error:
        raise StoreError(
            f"{folder / _CONFIG} describes no model of transformers ({said(error)}); save it again"
        ) from error
    kind = stock
    if str(config.get("model_type")).startswith(PREFIX):
        register(transformers, stock)
        kind = uneven_class(stock)
    try:
        model, info = kind.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **settings)
    except Exception as error:
        raise StoreError(f"{architecture} cannot be loaded from {folder} ({said(error)}); take another copy") from error
    wrong = {what: sorted(map(str, names))[:5] for what, names in info.items() if names}
    if wrong:
        raise StoreError(f"the weights in {folder} are not those of its configuration: {wrong}; take another copy")
    return model


def register_pretrained(*model_types: str) -> None:
    """Let ``AutoModelForCausalLM.from_pretrained`` load models with unequal layers, in this process.

    Args:
        *model_types: types as transformers calls them; without any, all those that `save_pretrained` knows.
    """
    transformers = _transformers()
    for name in model_types or tuple(FAMILIES):
        config = transformers.CONFIG_MAPPING[name]
        register(transformers, transformers.MODEL_MAPPING[config])
        register(transformers, transformers.MODEL_FOR_CAUSAL_LM_MAPPING[config])
