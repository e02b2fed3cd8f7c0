"""Operators and models as onnxruntime runs them."""

from __future__ import annotations

import importlib
import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..core.errors import TrainError, said
from ..core.names import bare_model
from .folding import folded_in_onnxruntime
from .onnx_nodes import Site, Sketch, nodes_for
from .replay import Ready
from .tape import Operation, split_example
from .variables import Varied, arguments_at, shapes_at

_OPSET, _FORMAT = 18, 10


def _needed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise TrainError(f"{name} is needed to measure with onnxruntime: pip install 'niwaki[export]'") from error


class OnnxRuntime:
    """onnxruntime with a number of threads, on the CPU or a CUDA device.

    Args:
        device: where.
        threads: within an operator.
    """

    def calling(self, model: nn.Module, example: Any, clock: Callable[[], float]) -> float:
        """Nothing: no Python calls its operators."""
        return 0.0

    def __init__(self, device: torch.device, threads: int) -> None:
        self._runtime, self._onnx = _needed("onnxruntime"), _needed("onnx")
        self._device, self._threads = device, threads
        self._provider = "CUDAExecutionProvider" if device.type == "cuda" else "CPUExecutionProvider"
        if self._provider not in self._runtime.get_available_providers():
            raise TrainError(
                f"this onnxruntime cannot compute on {device.type}: it lacks {self._provider}; "
                "install onnxruntime-gpu, or move the model to the CPU"
            )

    def ready(self, it: Varied, lengths: Sequence[int], device: torch.device, copies: int) -> Ready:
        """One operator at given lengths.

        A convolution is timed as the difference between two of them, added up, and one: what it takes to enter and
        leave its layout in memory happens once in a model, and not at every layer.
        """
        twice = it.operation.kind.startswith("conv")
        given = arguments_at(it, lengths, device)
        call, before = _turns(self._bound(it, lengths, given, times=1, copies=copies))
        if not twice:
            return Ready(call, before)
        both, _ = _turns(self._bound(it, lengths, given, times=2, copies=copies))
        return Ready(both, before, call)

    def nothing(self) -> Callable[[], object]:
        """A graph that gives back what it got."""
        sketch, shape = Sketch(), (1, 1)
        out = sketch.add("Identity", ["x"])
        return self._sessions(sketch, {"x": torch.zeros(shape)}, out, shape, copies=1)[0]

    def kept(self, operations: Sequence[Operation]) -> list[Operation]:
        """Those that are not folded into a convolution."""
        return folded_in_onnxruntime(operations)

    def whole(self, model: nn.Module, example: Any) -> Callable[[], object]:
        """The model as ONNX."""
        args, kwargs = split_example(example)
        session = self._opened(exported(model, example))
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        return self._call(session, dict(zip((i.name for i in session.get_inputs()), tensors, strict=True)))

    def _bound(
        self, it: Varied, lengths: Sequence[int], given: Any, *, times: int, copies: int
    ) -> list[Callable[[], object]]:
        """Sessions that do an operator once, or several times with weights of their own, and add up."""
        from onnx import numpy_helper

        sketch = Sketch()
        args, kwargs = given
        held = it.operation.held
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        shapes = tuple(shapes_at(it, lengths))
        inputs = {f"x{i}": t for i, (h, t) in enumerate(zip(held, tensors, strict=True)) if not h.name}
        out_shape = tuple(it.operation.op(*args, **kwargs).shape)
        outs = []
        for time in range(times):
            names = []
            for i, (h, t) in enumerate(zip(held, tensors, strict=True)):
                name = f"w{i}_{time}" if h.name else f"x{i}"
                if h.name:
                    sketch.constants.append(numpy_helper.from_array(_spoiled(t, time), name))
                names.append(name)
            dtype = _array(tensors[0]).dtype
            outs.append(
                nodes_for(it.operation.kind, sketch, Site(tuple(names), shapes, args, kwargs, out_shape, dtype))
            )
        total = outs[0]
        for more in outs[1:]:
            total = sketch.add("Add", [total, more])
        return self._sessions(sketch, inputs, total, out_shape, copies=copies)

    def _sessions(
        self, sketch: Sketch, inputs: dict[str, Tensor], out: str, shape: Sequence[int], *, copies: int
    ) -> list[Callable[[], object]]:
        helper = self._onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(next(iter(_array(t).dtype for t in inputs.values())))
        given = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(_array(t).dtype), list(t.shape))
            for n, t in inputs.items()
        ]
        made = [helper.make_tensor_value_info(out, kind, list(shape))]
        graph = helper.make_graph(sketch.nodes, "operator", given, made, sketch.constants)
        opset = [helper.make_opsetid("", _OPSET)]
        content = helper.make_model(graph, opset_imports=opset, ir_version=_FORMAT).SerializeToString()
        return [self._call(self._opened(content), inputs) for _ in range(copies)]

    def _call(self, session: Any, inputs: dict[str, Tensor]) -> Callable[[], object]:
        binding = self._binding(session, inputs)
        return lambda: session.run_with_iobinding(binding)

    def _opened(self, content: bytes) -> Any:
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        options.log_severity_level = 4
        return self._runtime.InferenceSession(content, options, providers=[self._provider])

    def _binding(self, session: Any, inputs: dict[str, Tensor]) -> Any:
        binding = session.io_binding()
        for name, tensor in inputs.items():
            value = self._runtime.OrtValue.ortvalue_from_numpy(
                _array(tensor), self._device.type, self._device.index or 0
            )
            binding.bind_ortvalue_input(name, value)
        for made in session.get_outputs():
            binding.bind_output(made.name, self._device.type)
        return binding


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = tensor.detach().cpu().contiguous().numpy()
    return array


def _spoiled(tensor: Tensor, time: int) -> np.ndarray[Any, Any]:
    # The same weights twice would be made one by the runtime's own cleaning.
    whole = _array(tensor)
    return np.asarray(whole * (1.0 + 0.5 * time), dtype=whole.dtype)


def _turns(calls: Sequence[Callable[[], object]]) -> tuple[Callable[[], object], Callable[[], object]]:
    turns = itertools.cycle(calls)
    return lambda: next(turns)(), lambda: None


def exported(model: nn.Module, example: Any) -> bytes:
    """A model as ONNX, in evaluation mode.

    Args:
        model: the model.
        example: what its forward takes.

    Returns:
        The file's content.

    Raises:
        TrainError: it cannot be written as ONNX.
    """
    _needed("onnxscript")
    args, kwargs = split_example(example)
    bare = bare_model(model)
    training = [part for part in bare.modules() if part.training]
    for part in training:
        part.training = False
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # the exporter's own affairs
            program = torch.onnx.export(bare, args, kwargs=kwargs, dynamo=True, verbose=False)
        content: bytes = program.model_proto.SerializeToString()  # type: ignore[union-attr]
        return content
    except Exception as error:  # whatever the exporter may raise
        raise TrainError(
            f"{type(model).__name__} cannot be written as ONNX ({said(error)}); measure it with backend='eager'"
        ) from error
    finally:
        for part in training:
            part.training = True
