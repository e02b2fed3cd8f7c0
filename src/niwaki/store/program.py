"""Programs: a model as a graph of operators in `torch.export`'s own format, to be run without its code.

The format may hold pickled tensors, objects and example inputs, which `torch.export.load` would unpickle without
limits. Programs written here hold none, and `load_program` refuses those that do before torch sees them. It also finds
every record that was changed by accident. What it cannot do is make a program from a stranger harmless: the graph names
operators and carries expressions that torch evaluates as Python.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import re
import zipfile
from pathlib import Path
from types import MethodType

import torch
from torch import nn

from .. import __version__
from ..core.errors import StoreError, said
from .calling import Example, exported, quiet
from .files import write_file
from .parity import Parity, arrays_of, check_parity, compare
from .signed import Format, damaged, opened, parsed, signed

PROGRAM = "program.pt2"
_RECORD = "extra/niwaki.json"
_PLAIN = re.compile(r"(weight|tensor)_\d+")
_KNOWN = re.compile(
    r"models/model\.json|data/(weights|constants)/((weight|tensor)_\d+|model_\w+_config\.json)|data/sample_inputs/model\.pt|"
    r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)|extra/niwaki\.json"
)
_FORMAT = Format(
    "niwaki-program",
    1,
    "program",
    missing="check the path, or save the program again",
    damaged="take another copy of it, or save the program again",
)


def _path(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".pt2" and not path.is_dir() else path / PROGRAM


def _check_plain(archive: zipfile.ZipFile, path: Path) -> None:
    names = archive.namelist()
    if len(set(names)) != len(names) or len({name.partition("/")[0] for name in names}) != 1:
        raise StoreError(damaged(_FORMAT, path, "it holds a record twice, or more than one program"))
    for name in names:
        inner = name.partition("/")[2]
        if not _KNOWN.fullmatch(inner) or (inner.startswith("data/sample_inputs/") and archive.read(name)):
            raise StoreError(
                f"{path} holds the record {name[:80]!r}, which may be pickled or compiled and run any code when it is "
                "loaded; programs consist of a graph and plain tensors only"
            )
        for tensor, about in json.loads(archive.read(name))["config"].items() if inner.endswith("_config.json") else ():
            if about.get("use_pickle") is not False or not _PLAIN.fullmatch(str(about.get("path_name"))):
                raise StoreError(
                    f"{path} holds {tensor[:80]!r} as a pickled object, which could run any code when it is loaded; "
                    "programs consist of a graph and plain tensors only"
                )


def _digests(archive: zipfile.ZipFile) -> dict[str, str]:
    """The checksum of every record but our own, by its name below the archive's top folder."""
    names = [name for name in archive.namelist() if not name.endswith(_RECORD)]
    return {name.partition("/")[2]: hashlib.sha256(archive.read(name)).hexdigest() for name in names}


def _archive(program: torch.export.ExportedProgram, path: Path) -> bytes:
    # Example inputs would be pickled, and they are the user's data.
    program.example_inputs = None
    data = io.BytesIO()
    torch.export.save(program, data)
    with zipfile.ZipFile(data, "a") as archive:
        _check_plain(archive, path)
        versions = {"niwaki": __version__, "torch": torch.__version__, "python": platform.python_version()}
        record = signed(_FORMAT, {"versions": versions, "records": _digests(archive)})
        archive.writestr(f"{archive.namelist()[0].partition('/')[0]}/{_RECORD}", record)
    return data.getvalue()


def save_program(
    model: nn.Module,
    path: str | Path,
    example: Example,
    *,
    dynamic_batch: bool = True,
    tolerance: float = 1e-4,
    overwrite: bool = False,
) -> Parity:
    """Write a model as a program that runs without the model's code, if it computes the same.

    The file is one that `torch.export.load` reads as well. The example is not stored.

    Args:
        model: the model, in eval mode, smaller or not.
        path: a file ``*.pt2``, or a folder, which gets ``program.pt2``.
        example: inputs to call it with: a tensor, a tuple, or a mapping of keyword inputs.
        dynamic_batch: whether the program takes any number of examples, or as many as ``example`` has.
        tolerance: the largest difference of any output allowed, relative to outputs larger than one.
        overwrite: replace a file that is there.

    Returns:
        The file, and how far the program is from the model over several batch sizes: zero as a rule.

    Raises:
        StoreError: the model cannot be written as a program, the outputs differ, the file cannot be written or is there
            already.

    >>> import tempfile
    >>> layer = nn.Linear(3, 2).eval()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     difference = save_program(layer, folder, torch.ones(2, 3)).difference
    ...     program = load_program(folder)
    >>> difference, torch.equal(program(torch.ones(5, 3)), layer(torch.ones(5, 3)))
    (0.0, True)
    """
    path = _path(path)
    if path.exists() and not overwrite:
        raise StoreError(f"{path} is there already; choose another name, or say overwrite=True")
    program, plain, call = exported(model, example, dynamic_batch=dynamic_batch)
    data = _archive(program, path)
    with torch.no_grad():
        again = _module(data, path)
        parity = compare(
            plain,
            call,
            path,
            lambda this: arrays_of(again(*this.args, **this.kwargs)),
            runtime=f"torch {torch.__version__}",
            dynamic_batch=dynamic_batch,
        )
    check_parity(parity, tolerance)
    write_file(path, data)
    return parity


def _checked(data: bytes, path: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_plain(archive, path)
            ours = [name for name in archive.namelist() if name.endswith(f"/{_RECORD}")]
            if not ours:
                raise StoreError(f"{path} was not written by save_program; write it anew, or use torch.export.load")
            contents = parsed(_FORMAT, path, archive.read(ours[0]))
            records, digests = contents.get("records"), _digests(archive)
    except (
        zipfile.BadZipFile,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        EOFError,
        NotImplementedError,
    ) as error:
        raise StoreError(damaged(_FORMAT, path, f"it cannot be read ({said(error)})")) from error
    if records != digests:
        changed = [name for name in digests if not isinstance(records, dict) or records.get(name) != digests[name]]
        raise StoreError(damaged(_FORMAT, path, f"records that changed or are missing: {', '.join(changed[:5])}"))


def _stay(module: nn.Module, mode: bool = False) -> nn.Module:
    """For ``train`` and ``eval`` of a program, which torch lets fail: there is nothing to switch."""
    return module


def _module(data: bytes, path: Path) -> nn.Module:
    try:
        with quiet():
            module = torch.export.load(io.BytesIO(data)).module()
    except Exception as error:
        raise StoreError(
            f"{path} is whole, but this torch ({torch.__version__}) cannot read it ({said(error)}); "
            "load it with the torch that wrote it, or write it anew"
        ) from error
    for switch in ("train", "eval"):
        setattr(module, switch, MethodType(_stay, module))
    for each in module.modules():
        each.training = False  # torch says otherwise, of a graph of the evaluation
    return module


def load_program(path: str | Path) -> nn.Module:
    """Load a program that `save_program` wrote. The code of the model is not needed.

    Checksums find what was damaged, and nothing is unpickled. Still, open only programs from people you trust: the
    graph of a forged one may hold expressions that torch evaluates as Python. A file that is missing, damaged, foreign,
    or not readable by this torch gives a `StoreError`.

    Args:
        path: the file, or the folder that it is in.

    Returns:
        A module to call as the model was called, in eval mode for good: ``train()`` changes nothing.
    """
    path = _path(path)
    with opened(_FORMAT, path) as file:
        data = file.read()
    _checked(data, path)
    return _module(data, path)
