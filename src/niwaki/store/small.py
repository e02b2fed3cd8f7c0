"""Smaller models in a folder: ``model.safetensors`` and ``plan.json``, no pickle, whole at every moment.

The tensors are written first, under a name that holds their digest; then ``plan.json``, which vouches for them, is
replaced in one step; only then do the tensors take their plain name. Whatever moment a process dies at, plan and
tensors of one model are there, and `load` finds them.
"""

from __future__ import annotations

import contextlib
import hashlib
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from .. import __version__
from ..core.computed import compute_anew
from ..core.cut import Cut, cut_of, mark_cut
from ..core.errors import GroupError, NiwakiError, StoreError, said
from ..core.names import bare_model
from ..structure.cutting import owner_of
from ..structure.rewritten import FIXED
from ..structure.shrink import apply_cut, copied
from .architecture import Description, check_architecture, describe_dense, digest, extra_states, named_tensors
from .encode import decode, encode
from .files import WRITING, beside, check_empty, settle, sweep, write_file
from .plan import pack, unpack
from .signed import Format, damaged, read_signed, read_tensors, signed
from .zeros import with_zeros, without_zeros

PLAN, TENSORS = "plan.json", "model.safetensors"
_FORMAT = Format(
    "niwaki-small-model",
    1,
    "saved model",
    missing="check the folder, or save the model again",
    damaged="take another copy of it, or save the model again",
)
_UNSETTLED = re.compile(r"model-[0-9a-f]{16}\.safetensors")


def _digest_name(sha256: str) -> str:
    return f"model-{sha256[:16]}.safetensors"


def _write_tensors(folder: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    # Under the name of their digest; says what was written.
    size = sum(tensor.nbytes for tensor in tensors.values())
    with beside(folder, size) as temporary:
        path = temporary / TENSORS
        safetensors.torch.save_file(dict(tensors), path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        about = {"sha256": sha256, "bytes": path.stat().st_size}
        settle(path, folder / _digest_name(sha256))
    return about


def _contents(model: nn.Module) -> dict[str, Any]:
    contents: dict[str, Any] = {name: tensor for name, _, _, tensor in named_tensors(model)}
    for name, module in extra_states(model):
        contents[name] = module.get_extra_state()
    return contents


def _check_code(model: nn.Module) -> None:
    if isinstance(model, torch.fx.GraphModule) and FIXED in model.meta:
        raise StoreError(
            "the model is a graph of operators, which load could not rebuild from the dense model's code; "
            "nw.save_program(model, path, example) stores it whole"
        )


def save(model: nn.Module, folder: str | Path, *, overwrite: bool = False, compact: bool = False) -> None:
    """Store a model that `shrink` made smaller, so that `load` rebuilds it from the dense model's code.

    ``model.safetensors`` holds its parameters and buffers, also those that no state dict has, and tied ones once;
    ``plan.json`` what was kept of the dense model, the dense model's architecture, and checksums of both files. A model
    that was never cut is stored as it is. An interrupted save leaves what was in the folder before.

    A folder that is not empty or cannot be written, a full disk, a graph of `shrink_graph`, and a model that holds what
    cannot be stored give a `StoreError`.

    Args:
        model: the smaller model; wrappers do not matter.
        folder: where; made if it does not exist.
        overwrite: replace the model in a folder that is not empty. Other files in it stay.
        compact: leave zeros out of the file, where that makes it smaller: single weights that were removed take next to
            no room. `load` puts them back; other readers of safetensors see places and values.

    >>> import tempfile
    >>> layer = nn.Linear(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(layer, folder)
    ...     torch.equal(load(nn.Linear(3, 2), folder).weight, layer.weight)
    True
    """
    folder, model = Path(folder), bare_model(model)
    _check_code(model)
    check_empty(folder, overwrite=overwrite)
    cut = cut_of(model)
    dense = describe_dense(model, cut)
    structure, tensors = encode(_contents(model))
    plan = {
        "versions": {"niwaki": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "fingerprint": digest(dense),
        "dense": dense,
        "cut": pack(cut),
        "structure": structure,
    }
    if compact:
        tensors, plan["without_zeros"] = without_zeros(tensors)
    plan["tensors"] = about = _write_tensors(folder, tensors)
    write_file(folder / PLAN, signed(_FORMAT, plan))
    with contextlib.suppress(OSError):
        # The model is stored already; a plain name and less rubbish are all that could still fail.
        settle(folder / _digest_name(about["sha256"]), folder / TENSORS)
        for path in folder.iterdir():
            if _UNSETTLED.fullmatch(path.name):
                path.unlink()
        sweep(folder, f"{re.escape(PLAN)}|{WRITING}")


def _part(plan: Mapping[str, Any], key: str, kind: type, where: Path) -> Any:
    if not isinstance(plan.get(key), kind):
        raise StoreError(f"{where} says {str(plan.get(key))[:40]!r} under {key!r}; {_FORMAT.damaged}")
    return plan[key]


def _description(plan: Mapping[str, Any], where: Path) -> Description:
    dense = _part(plan, "dense", dict, where)
    found = {part: _part(dense, part, dict, where) for part in ("tensors", "modules")}
    lines = [line for part in found.values() for line in part.values()]
    if not all(isinstance(line, str) for line in lines) or digest(found) != plan.get("fingerprint"):
        raise StoreError(damaged(_FORMAT, where, "its fingerprint is not that of the model it describes"))
    return found


def _read_contents(folder: Path, plan: Mapping[str, Any]) -> dict[str, Any]:
    about = _part(plan, "tensors", dict, folder / PLAN)
    sha256, _ = _part(about, "sha256", str, folder / PLAN), _part(about, "bytes", int, folder / PLAN)
    # Under its digest if the process died before it took its plain name.
    path = folder / _digest_name(sha256)
    if not re.fullmatch("[0-9a-f]{64}", sha256) or not path.exists():
        path = folder / TENSORS
    tensors = read_tensors(_FORMAT, path, about, PLAN)
    try:
        tensors = with_zeros(tensors, plan.get("without_zeros", {}))
    except StoreError as error:
        raise StoreError(damaged(_FORMAT, path, str(error))) from error
    contents = decode(_part(plan, "structure", dict, folder / PLAN), tensors)
    if not isinstance(contents, dict):
        raise StoreError(f"{folder / PLAN} holds no names of tensors; {_FORMAT.damaged}")
    return contents


def _skeleton(model: nn.Module) -> nn.Module:
    # Parameters and buffers without contents: nothing of the dense model's values can remain in the smaller one, and
    # the dense model may be on the meta device as well.
    memo: dict[int, Any] = {}
    for _, _, _, tensor in named_tensors(model):
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
        vars(memo[id(tensor)]).update(vars(tensor))  # marks such as "no weight decay"
    try:
        return copied(model, memo)
    except GroupError as error:
        why = error.__cause__
        raise StoreError(f"{type(model).__name__} cannot be copied ({why}); build it anew before loading") from why


def _check_sizes(model: nn.Module, cut: Cut, where: Path) -> None:
    for key, new in cut.sizes.items():
        path, _, attribute = key.rpartition(".")
        old = getattr(owner_of(model, path), attribute, None)
        parts = [*old] if isinstance(old, tuple | list) else [old]
        fits = len(parts) == (len(new) if isinstance(new, tuple) else 1) and all(type(part) is int for part in parts)
        if not fits or isinstance(new, tuple) != isinstance(old, tuple | list):
            raise StoreError(f"{where} sets {key!r} to {new}, which is {str(old)[:40]!r} here; {_FORMAT.damaged}")


def _shaped(model: nn.Module, plan: Mapping[str, Any], where: Path) -> nn.Module:
    # The smaller model without contents.
    cut = unpack(plan.get("cut"), {name: tuple(tensor.shape) for name, _, _, tensor in named_tensors(model)})
    small = _skeleton(model)
    try:
        _check_sizes(small, cut, where)
        small = apply_cut(small, cut)
    except NiwakiError as error:
        raise StoreError(f"{where} does not fit {type(model).__name__}: {error}") from error
    mark_cut(small, cut)
    return small


def _kind(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def _check_contents(small: nn.Module, contents: Mapping[str, Any], where: Path) -> None:
    wanted: dict[str, str] = {name: _kind(tensor) for name, _, _, tensor in named_tensors(small)}
    found = {name: _kind(value) for name, value in contents.items()}
    for name, _ in extra_states(small):
        wanted[name] = found.get(name, "extra state")  # of whatever kind
    wrong = [
        f"{name!r} is {found.get(name, 'absent')} there, the model needs {wanted.get(name, 'nothing of that name')}"
        for name in dict.fromkeys([*wanted, *found])
        if wanted.get(name) != found.get(name)
    ]
    if wrong:
        raise StoreError(
            f"the tensors that {where} describes do not fit the model, {len(wrong)} of {len(wanted)} differ: "
            f"{', '.join(wrong[:5])}{', ...' if len(wrong) > 5 else ''}; {_FORMAT.damaged}"
        )


def _fill(small: nn.Module, contents: Mapping[str, Any], devices: Mapping[str, torch.device]) -> None:
    made: dict[int, Tensor] = {}
    for name, module, attribute, empty in list(named_tensors(small)):
        if id(empty) not in made:
            tensor = contents[name].to(devices[name])
            parameter = isinstance(empty, nn.Parameter)
            made[id(empty)] = nn.Parameter(tensor, empty.requires_grad) if parameter else tensor
            vars(made[id(empty)]).update(vars(empty))
        setattr(module, attribute, made[id(empty)])
    compute_anew(small)
    for module in small.modules():
        for attribute, value in vars(module).items():
            if isinstance(value, Tensor) and value.is_meta:
                raise StoreError(
                    f"{type(module).__name__} holds the tensor {attribute!r} as neither parameter nor buffer, and no "
                    "file has its values; build the dense model on a device that is not meta"
                )
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()
    for name, module in extra_states(small):
        try:
            module.set_extra_state(contents[name])
        except Exception as error:
            raise StoreError(f"{name!r} was refused by its module ({said(error)})") from error


def load(model: nn.Module, folder: str | Path) -> nn.Module:
    """Rebuild a model that `save` stored.

    Both files are verified, the dense model is checked against the architecture in the plan, and every tensor must be
    there, with the right shape and dtype, before a model is returned. No code in the files is run.

    Args:
        model: the dense model, built by the same code as then. Its values do not matter: it may be on the meta device.
            It is never changed.
        folder: what `save` wrote.

    Returns:
        A new module of the same class, with the stored sizes and values, on the dense model's devices (the CPU for
        those on meta); in training mode, with hooks and gradients switched on or off, as the dense model is.
    """
    folder = Path(folder)
    plan = read_signed(_FORMAT, folder / PLAN)
    model = bare_model(model)
    check_architecture(model, _description(plan, folder / PLAN), str(folder / PLAN))
    small = _shaped(model, plan, folder / PLAN)
    contents = _read_contents(folder, plan)
    _check_contents(small, contents, folder / PLAN)
    cpu = torch.device("cpu")
    _fill(small, contents, {n: cpu if t.is_meta else t.device for n, _, _, t in named_tensors(model)})
    return small
