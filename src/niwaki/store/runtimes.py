"""Models for other runtimes, ONNX and OpenVINO: nothing is written that does not compute what the model computes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.errors import StoreError, said
from .calling import Call, Example, exported, quiet
from .files import WRITING, beside, settle, sweep
from .parity import Parity, arrays_of, check_parity, compare


def _needed(*names: str) -> list[Any]:
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise StoreError(
            f"{error.name or names[0]} is needed here and not installed: pip install 'niwaki[export]'"
        ) from error


def _check_free(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise StoreError(f"{path} is there already; choose another name, or say overwrite=True")


def _bytes(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])


def _converted(model: nn.Module, kind: str, convert: Callable[[], Any]) -> Any:
    try:
        with quiet(), torch.no_grad():
            return convert()
    except Exception as error:
        raise StoreError(
            f"{type(model).__name__} cannot be written as {kind} ({said(error)}); it may use operators that {kind} "
            "does not have: try another opset, or `save_program`"
        ) from error


def _settle_both(file: Path, weights: Path, path: Path) -> None:
    # Without its graph the old weights are no model: at no moment do both belong to different ones.
    path.unlink(missing_ok=True)
    settle(weights, path.with_name(weights.name))
    settle(file, path)


def export_onnx(
    model: nn.Module,
    path: str | Path,
    example: Example,
    *,
    opset: int | None = None,
    dynamic_batch: bool = True,
    tolerance: float = 1e-4,
    overwrite: bool = False,
) -> Parity:
    """Write a model as ONNX, if onnxruntime computes the same from it.

    The largest difference is written into the file's metadata as well. Weights of more than 2 GB go to a second file,
    ``PATH.data``. A package that is missing, a model that cannot be written as ONNX and outputs that differ give a
    `StoreError`; what was at the path before is untouched then.

    Args:
        model: the model, in eval mode, smaller or not.
        path: the file, ``*.onnx``.
        example: inputs to call it with: a tensor, a tuple, or a mapping of keyword inputs.
        opset: the version of ONNX's operators; the exporter's own choice, if not given.
        dynamic_batch: whether the file takes any number of examples, or as many as ``example`` has.
        tolerance: the largest difference of any output allowed, relative to outputs larger than one.
        overwrite: replace a file that is there.

    Returns:
        How far onnxruntime is from the model, over several batch sizes.
    """
    path = Path(path)
    _check_free(path, overwrite=overwrite)
    onnxruntime, *_ = _needed("onnxruntime", "onnx", "onnxscript")
    program, plain, call = exported(model, example, dynamic_batch=dynamic_batch)
    written = _converted(
        model, "ONNX", lambda: torch.onnx.export(program, dynamo=True, opset_version=opset, verbose=False)
    )
    with beside(path.parent, _bytes(model)) as temporary:
        file, weights = temporary / path.name, temporary / f"{path.name}.data"
        written.save(file)
        parity = _compared(onnxruntime, plain, call, file, path, dynamic_batch=dynamic_batch)
        check_parity(parity, tolerance)
        written.model.metadata_props["niwaki.max_abs_difference"] = repr(parity.difference)
        written.model.metadata_props["niwaki.compared_with"] = parity.runtime
        written.save(file)
        if weights.exists():
            _settle_both(file, weights, path)
        else:
            settle(file, path)
            path.with_name(weights.name).unlink(missing_ok=True)
    return parity


def _compared(onnxruntime: Any, model: nn.Module, call: Call, file: Path, path: Path, *, dynamic_batch: bool) -> Parity:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors come back as exceptions; its warnings on stderr help nobody
    session = _converted(
        model,
        "ONNX",
        lambda: onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]),
    )
    names = [entry.name for entry in session.get_inputs()]
    return compare(
        model,
        call,
        path,
        lambda this: session.run(None, dict(zip(names, arrays_of(this.tensors), strict=True))),
        runtime=f"onnxruntime {onnxruntime.__version__}",
        dynamic_batch=dynamic_batch,
    )


def export_openvino(
    model: nn.Module,
    folder: str | Path,
    example: Example,
    *,
    dynamic_batch: bool = True,
    tolerance: float = 1e-4,
    overwrite: bool = False,
) -> Parity:
    """Write a model for OpenVINO, ``model.xml`` and ``model.bin``, if OpenVINO computes the same from it.

    Weights keep their precision; outputs are compared in full precision on the CPU. The largest difference is written
    into ``model.xml`` as well. A package that is missing, a model that cannot be written for OpenVINO and outputs that
    differ give a `StoreError`; what was in the folder before is untouched then.

    Args:
        model: the model, in eval mode, smaller or not.
        folder: where; made if it does not exist.
        example: inputs to call it with: a tensor, a tuple, or a mapping of keyword inputs.
        dynamic_batch: whether the model takes any number of examples, or as many as ``example`` has.
        tolerance: the largest difference of any output allowed, relative to outputs larger than one.
        overwrite: replace a model that is there.

    Returns:
        How far OpenVINO is from the model, over several batch sizes.
    """
    folder = Path(folder)
    path = folder / "model.xml"
    _check_free(path, overwrite=overwrite)
    (openvino,) = _needed("openvino")
    program, plain, call = exported(model, example, dynamic_batch=dynamic_batch)
    written = _converted(model, "OpenVINO", lambda: openvino.convert_model(program))
    with beside(folder, _bytes(model)) as temporary:
        file = temporary / path.name
        _converted(model, "OpenVINO", lambda: openvino.save_model(written, file, compress_to_fp16=False))
        core = openvino.Core()
        # A mapped file could not be moved everywhere; left to itself the CPU may compute in bfloat16.
        core.set_property({"ENABLE_MMAP": False})
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = _converted(model, "OpenVINO", lambda: core.compile_model(core.read_model(file), "CPU", settings))
        parity = compare(
            plain,
            call,
            path,
            lambda this: list(compiled(arrays_of(this.tensors)).values()),
            runtime=f"OpenVINO {openvino.__version__}",
            dynamic_batch=dynamic_batch,
        )
        check_parity(parity, tolerance)
        written.set_rt_info(repr(parity.difference), ["niwaki", "max_abs_difference"])
        openvino.save_model(written, file, compress_to_fp16=False)
        _settle_both(file, file.with_suffix(".bin"), path)
    sweep(folder, WRITING)
    return parity
