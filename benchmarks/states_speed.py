"""Seconds and memory of state-space models whose states were cut, for sequences of 1,024, 4,096 and 16,384 steps.

One sequence, no gradients, one thread. The dense and the smaller models are timed in turns; memory is
how much the resident size of a process of its own grows at most while the sequence runs (Linux). With ``--scans`` three
ways to run the recurrence of a layer are timed instead.

    python benchmarks/states_speed.py
    python benchmarks/states_speed.py --scans
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from record import write
from torch import Tensor, nn

import niwaki as nw
from niwaki import zoo
from niwaki.measure.timing import time_in_turns
from niwaki.zoo.scan import scan

TIMES, DENSITIES = (1024, 4096, 16384), (1.0, 0.67, 0.5, 0.25, 0.1)


def smaller(kind: str, density: float) -> nn.Module:
    """The untrained network; which states go matters neither for time nor for memory, only how many."""
    chance = torch.Generator().manual_seed(0)
    if kind == "s5":
        model: nn.Module = zoo.s5(width=64, states=256, layers=4, generator=chance)
    elif kind == "s5, bidirectional":
        model = zoo.s5(width=64, states=256, layers=4, bidirectional=True, generator=chance)
    else:
        model = zoo.s4d(width=64, states=64, layers=4, generator=chance)
    groups = nw.states(model.eval())
    keep = nw.last(model, groups, density=density, criterion=nw.HInfinity(), allocator=nw.Uniform())
    return nw.shrink(model, groups, keep)


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def peak(kind: str, density: float, time: int) -> int:
    """Bytes by which the resident size of this process grows at most during a forward pass."""
    model, x = smaller(kind, density), torch.randn(1, time, 1)
    with torch.no_grad():
        model(x[:, :64])
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
        before = _status("VmRSS")
        model(x)
    return _status("VmHWM") - before


def memory(kind: str) -> dict[str, int]:
    # What is freed goes back to the system at once, or later tensors would be given room that is already counted. That
    # takes time, so it happens in a process of its own.
    asked, environment = [sys.executable, __file__, "--memory", kind], os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    found: dict[str, int] = json.loads(
        subprocess.run(asked, check=True, capture_output=True, text=True, env=environment).stdout
    )
    return found


@torch.no_grad()
def rows(kind: str, rounds: int) -> list[dict[str, Any]]:
    models, taken = {density: smaller(kind, density) for density in DENSITIES}, memory(kind)
    found = []
    for time in TIMES:
        x = torch.randn(1, time, 1)
        calls = {str(density): partial(model, x) for density, model in models.items()}
        seconds = time_in_turns(calls, rounds=rounds, warmup=2)
        for density, model in models.items():
            mine, dense = (statistics.median(seconds[str(d)]) for d in (density, 1.0))
            row = {
                "model": kind, "time": time, "density": density, "seconds": mine, "speed": dense / mine,
                "bytes": taken[f"{density} {time}"], "parameters": sum(p.numel() for p in model.parameters()),
            }  # fmt: skip
            found.append(row)
            print(row, flush=True)
    return found


def _by_loop(decay: Tensor, drive: Tensor) -> Tensor:
    state, found = torch.zeros_like(drive[:, 0]), []
    for t in range(drive.shape[1]):
        state = decay * state + drive[:, t]
        found.append(state)
    return torch.stack(found, 1)


def _by_fft(decay: Tensor, drive: Tensor) -> Tensor:
    time = drive.shape[1]
    kernel = decay ** torch.arange(time)[:, None]
    spectrum = torch.fft.fft(drive, n=2 * time, dim=1) * torch.fft.fft(kernel, n=2 * time, dim=0)
    found: Tensor = torch.fft.ifft(spectrum, dim=1)
    return found[:, :time]


WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"scan": scan, "FFT": _by_fft, "loop": _by_loop}


def _learn(way: Callable[[Tensor, Tensor], Tensor], decay: Tensor, drive: Tensor) -> None:
    way(decay.clone().requires_grad_(), drive.clone().requires_grad_()).abs().sum().backward()


def scans(rounds: int) -> list[dict[str, Any]]:
    found = []
    for time in TIMES:
        chance = torch.Generator().manual_seed(0)
        drive = torch.randn(1, time, 32, dtype=torch.complex64, generator=chance)
        decay = torch.polar(0.6 + 0.39 * torch.rand(32, generator=chance), 3 * torch.rand(32, generator=chance))

        ways = {name: way for name, way in WAYS.items() if name != "loop" or time == TIMES[0]}
        with torch.no_grad():
            calls = {name: partial(way, decay, drive) for name, way in ways.items()}
            forward = time_in_turns(calls, rounds=rounds, warmup=2)
        learning = {name: partial(_learn, way, decay, drive) for name, way in ways.items()}
        both = time_in_turns(learning, rounds=rounds, warmup=1)
        for name in ways:
            ahead, back = statistics.median(forward[name]), statistics.median(both[name])
            found.append({"way": name, "time": time, "states": 32, "forward": ahead, "forward_and_backward": back})
            print(found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--scans", action="store_true")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.memory:
        print(json.dumps({f"{d} {t}": peak(given.memory, d, t) for d in DENSITIES for t in TIMES}))
    elif given.scans:
        print(write("states_scans", {"rounds": given.rounds, "rows": scans(given.rounds)}))
    else:
        found = [row for kind in ("s5", "s5, bidirectional", "s4d") for row in rows(kind, given.rounds)]
        print(write("states_speed", {"rounds": given.rounds, "rows": found}))


if __name__ == "__main__":
    main()
