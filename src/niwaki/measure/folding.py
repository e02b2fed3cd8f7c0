"""Which operators a runtime does along with the one before: they cost next to nothing of their own."""

from __future__ import annotations

from collections.abc import Sequence

from .tape import Held, Operation

PRODUCTS = frozenset(
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear matmul mm bmm addmm baddbmm".split()
)
_ACTIVATIONS = frozenset("relu hardtanh leaky_relu sigmoid tanh".split())
_CONVOLUTIONS = frozenset("conv1d conv2d conv3d".split())
_PASSES = frozenset(
    "relu hardtanh leaky_relu sigmoid tanh silu gelu hardswish hardsigmoid elu softplus add sub mul div neg exp sqrt "
    "clamp batch_norm".split()
)


def _readers(operations: Sequence[Operation]) -> dict[int, int]:
    count: dict[int, int] = {}
    for operation in operations:
        for held in operation.held:
            count[held.number] = count.get(held.number, 0) + 1
    return count


def _made(operation: Operation) -> int:
    return operation.outs[0].number if len(operation.outs) == 1 else -1


def _streams(operation: Operation) -> list[Held]:
    return [held for held in operation.held if not held.name]


def folded_in_onnxruntime(operations: Sequence[Operation]) -> list[Operation]:
    """Without what onnxruntime folds into a convolution: its norm, one sum, and then its activation."""
    readers, left = _readers(operations), []
    state: dict[int, int] = {}  # what was made by a convolution and may take more: 0 norm, 1 sum, 2 activation
    for operation in operations:
        mine, kind = _streams(operation), operation.kind
        steps = [state[h.number] for h in mine if h.number in state and readers[h.number] == 1]
        step = {"batch_norm": 0, "add": 1}.get(kind, 2 if kind in _ACTIVATIONS else -1)
        if steps and max(steps) <= step:
            state[_made(operation)] = step + 1
            continue
        if kind in _CONVOLUTIONS:
            state[_made(operation)] = 0
        left.append(operation)
    return left


def folded_when_compiled(operations: Sequence[Operation]) -> list[Operation]:
    """Without what the compiler does in the same pass: of a run of element-wise operators the widest stays."""
    readers = _readers(operations)
    runs: dict[int, list[Operation]] = {}
    gone: set[int] = set()
    for operation in operations:
        if operation.kind not in _PASSES:
            continue
        before = [runs[h.number] for h in _streams(operation) if h.number in runs and readers[h.number] == 1]
        run = before[0] if before else []
        run.append(operation)
        runs[_made(operation)] = run
    for run in {id(run): run for run in runs.values()}.values():
        widest = max(run, key=lambda operation: len(_streams(operation)))
        gone.update(id(operation) for operation in run if operation is not widest)
    return [operation for operation in operations if id(operation) not in gone]
