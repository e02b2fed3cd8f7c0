"""What a latency depends on besides the layer: the machine, the runtime and how it is set."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Environment:
    """Where a table holds.

    Args:
        machine: the name of the processor, or of the graphics card.
        device: ``cpu`` or ``cuda``.
        backend: ``eager``, ``compile`` or ``onnxruntime``.
        threads: of the CPU.
        dtype: of the model's parameters.
        versions: of what computes.
    """

    machine: str
    device: str
    backend: str
    threads: int
    dtype: str
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """A short name of this environment, for a file."""
        text = json.dumps(asdict(self), sort_keys=True)
        return f"{self.backend}-{self.device}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def processor() -> str:
    """The processor's name, and the instructions that torch uses: processors of one name may differ in them."""
    return f"{_name()} ({torch.backends.cpu.get_cpu_capability()})"


def _name() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def device_of(model: nn.Module, tensors: Any) -> torch.device:
    """Where a model lies; without parameters, where its inputs lie."""
    for tensor in [*model.parameters(), *model.buffers(), *tensors]:
        return torch.device(tensor.device)
    return torch.device("cpu")


def dtype_of(model: nn.Module) -> torch.dtype:
    """The type that a model computes in: that of its first parameter; without parameters, torch's own choice."""
    return next((p.dtype for p in model.parameters()), torch.get_default_dtype())


def this_environment(backend: str, device: torch.device, threads: int, dtype: torch.dtype) -> Environment:
    """The machine that this runs on."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    versions = {"torch": str(torch.__version__)}
    if backend == "onnxruntime":
        versions["onnxruntime"] = version("onnxruntime")
    return Environment(name, device.type, backend, threads, str(dtype).removeprefix("torch."), versions)


def differences(have: Environment, want: Environment) -> list[str]:
    """What differs between two environments, in words that name both."""
    old, new = asdict(have), asdict(want)
    return [f"{name} {old[name]} instead of {new[name]}" for name in old if old[name] != new[name]]


def cache_folder() -> Path:
    """Where this user's tables are kept: ``XDG_CACHE_HOME``, or what stands for it on this system."""
    home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(home) if home else Path.home() / ".cache") / "niwaki" / "latency"
