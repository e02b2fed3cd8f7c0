"""Whole models on the runtimes that are timed: eager, compiled, onnxruntime."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import AddressError, TrainError, said
from ..measure import Timings, latency
from ..signals.forward import evaluating
from ..store import export_onnx
from ..structure.shrink import copied
from .addresses import near

BACKENDS = ("eager", "compile", "onnxruntime")
"""What `niwaki bench`, `prune` and `train` can time."""


def check_backend(name: str, known: Sequence[str] = BACKENDS) -> None:
    """Check that a backend can be used here, before anything takes time.

    Args:
        name: of the backend.
        known: those there are.

    Raises:
        AddressError: there is no such backend, or its packages are not installed.
    """
    if name not in known:
        raise AddressError(f"the backend {name!r} is unknown; {near(name, known)}")
    needed = ("onnxruntime", "onnx", "onnxscript") if name == "onnxruntime" else ()
    missing = [package for package in needed if importlib.util.find_spec(package) is None]
    if missing:
        raise AddressError(f"the backend {name} needs {', '.join(missing)}: pip install 'niwaki[export]'")


def _session(model: nn.Module, inputs: Tensor, threads: int) -> Callable[[object], object]:
    onnxruntime = importlib.import_module("onnxruntime")
    whole = copied(model).cpu()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        export_onnx(whole, file, inputs.cpu(), dynamic_batch=False)
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: inputs.cpu().numpy()}
    return lambda _: session.run(None, feed)


def on_backend(name: str, model: nn.Module, inputs: Tensor, *, threads: int) -> Callable[[Any], object]:
    """A model as a backend runs it, for the shape of these inputs.

    Args:
        name: of the backend.
        model: the model, in eval mode.
        inputs: what it will be called with.
        threads: of the CPU.

    Returns:
        What is called with the inputs.
    """
    if name == "onnxruntime":
        return _session(model, inputs, threads)
    return torch.compile(model, dynamic=False) if name == "compile" else model


def time_models(
    models: Mapping[str, nn.Module],
    inputs: Tensor,
    *,
    backend: str,
    threads: int | None = None,
    rounds: int = 30,
    warmup: int = 5,
) -> Timings:
    """Time models in turns on a backend; the first is what the others are compared with.

    Args:
        models: by name, on the device of the inputs.
        inputs: one batch.
        backend: a name of `BACKENDS`.
        threads: of the CPU; as many as torch has now, if not given.
        rounds: how often each is timed.
        warmup: rounds before that.

    Returns:
        The timings.

    Raises:
        TrainError: the backend cannot run one of them.
    """
    check_backend(backend)
    count = threads or torch.get_num_threads()
    if backend == "compile":
        torch.compiler.reset()  # what was compiled for other models of this code counts against a limit
    ready: dict[str, Callable[[Any], object]] = {}
    for name, model in models.items():
        try:
            with evaluating(model), torch.inference_mode(backend != "onnxruntime"):
                ready[name] = on_backend(backend, model, inputs, threads=count)
                ready[name](inputs)
        except Exception as error:  # a compiler may fail in any way
            if backend != "compile":
                raise
            raise TrainError(f"torch.compile cannot compile {name} ({said(error)}); take --backend eager") from error
    return latency(ready, inputs, threads=count, rounds=rounds, warmup=warmup)
