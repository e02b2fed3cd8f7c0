"""Models by address: ``zoo:``, ``timm:``, ``torchvision:``, ``hf:``, ``python:``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from .. import zoo
from ..core.errors import AddressError
from .addresses import Address, call, near, needed, parse, python_function


def _zoo(address: Address, hints: Mapping[str, object]) -> Any:
    names = [name for name in zoo.__all__ if name.islower()]
    if address.rest not in names:
        raise AddressError(f"{address.text!r}: the zoo has no {address.rest!r}; {near(address.rest, names)}")
    return call(getattr(zoo, address.rest), address, **hints)


def _timm(address: Address, hints: Mapping[str, object]) -> Any:
    timm = needed("timm", "models", address.text)
    if not timm.is_model(address.rest):
        raise AddressError(f"{address.text!r}: timm has no such model; {_some(address.rest, timm.list_models())}")
    return call(timm.create_model, _with_classes(address, hints), address.rest)


def _torchvision(address: Address, hints: Mapping[str, object]) -> Any:
    models = needed("torchvision.models", "models", address.text)
    if address.rest not in models.list_models():
        known = _some(address.rest, models.list_models())
        raise AddressError(f"{address.text!r}: torchvision has no such model; {known}")
    return call(models.get_model, _with_classes(address, hints), address.rest)


def _some(name: str, known: list[str]) -> str:
    # These collections hold hundreds of names; the list itself would hide the hint.
    return near(name, known).split("Known: ")[0] or f"it has {len(known)} others"


def _with_classes(address: Address, hints: Mapping[str, object]) -> Address:
    usual = {"num_classes": hints["classes"]} if "classes" in hints else {}
    return replace(address, options={**usual, **address.options})


def _hf(address: Address, hints: Mapping[str, object]) -> Any:
    transformers = needed("transformers", "models", address.text)
    config = call(transformers.AutoConfig.from_pretrained, replace(address, options={}), address.rest)
    name = (config.architectures or ["AutoModel"])[0]
    return call(getattr(transformers, name, transformers.AutoModel).from_pretrained, address, address.rest)


def _python(address: Address, hints: Mapping[str, object]) -> Any:
    return call(python_function(address), address, **hints)


_SCHEMES = {"zoo": _zoo, "timm": _timm, "torchvision": _torchvision, "hf": _hf, "python": _python}
_FORMS = (
    "zoo:resnet20",
    "zoo:mlp?widths=784,300,10",
    "timm:NAME",
    "torchvision:NAME",
    "hf:PATH",
    "python:module:function",
)


def _load_weights(model: nn.Module, path: str, text: str) -> None:
    try:
        state = safetensors.torch.load_file(Path(path))
        model.load_state_dict(state)
    except (OSError, SafetensorError) as error:
        raise AddressError(f"{text!r}: cannot read the weights {path} ({error}); give a .safetensors file") from error
    except RuntimeError as error:
        why = " ".join(str(error).split())[:500]
        raise AddressError(f"{text!r}: the weights in {path} do not fit the model: {why}") from error


def load_model(text: str, *, classes: int | None = None, channels: int | None = None) -> nn.Module:
    """The model at an address.

    Options after ``?`` go to the function that makes the model. ``weights=FILE`` loads a safetensors file into a model
    of the zoo.

    Args:
        text: the address.
        classes: how many classes the data have; used if the address does not say otherwise.
        channels: how many channels the pictures have; likewise.

    Returns:
        The model, initialised from torch's global generator.

    Raises:
        AddressError: an unknown scheme, name or option, a package that is not installed, or no model came out.

    >>> load_model("zoo:mlp?widths=4,3,2").widths
    (4, 3, 2)
    """
    address = parse(text)
    if address.scheme not in _SCHEMES or not address.rest:
        what = "names no model" if address.scheme in _SCHEMES else f"has the unknown scheme {address.scheme!r}"
        what = what if ":" in text else "is no address: that begins with a scheme and a colon"
        raise AddressError(f"the model {text!r} {what}; {near(text, _FORMS)}")
    weights = None
    if address.scheme == "zoo":
        weights = address.options.get("weights")
        address = replace(address, options={k: v for k, v in address.options.items() if k != "weights"})
    hints = {"classes": classes, "channels": channels}
    model = _SCHEMES[address.scheme](address, {key: value for key, value in hints.items() if value is not None})
    if not isinstance(model, nn.Module):
        raise AddressError(f"{text!r} gave a {type(model).__name__}, not a torch.nn.Module")
    if weights is not None:
        _load_weights(model, str(weights), text)
    return model
