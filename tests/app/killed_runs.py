"""Runs the same short training again and again, each time killed somewhere else, resumed, and compared.

Started as a process of its own, so that it may fork: the children share the loaded libraries and cost no start-up.
Writes one line of JSON per kill: how it was killed, after which step, in which stage, and what differs in the end.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import sklearn.datasets  # noqa: F401  (loaded here once, for all children)
import torch
from safetensors.torch import load_file

from niwaki.app.progress import Silent
from niwaki.app.run import resume, train
from niwaki.app.settings import Settings

STEPS = 64
SETTINGS = Settings(
    "zoo:mlp",
    "digits",
    method="iee",
    density=0.1,
    steps=STEPS,
    batch=32,
    lr=0.05,
    threads=1,
    checkpoint_every=5,
    switches={"H": 6, "J": 5, "Q": 5},
)


class DiesAt(Silent):
    """Kills its own process, as a power cut would, once a step is done."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.at = step

    def step(self, done: int, facts: Mapping[str, str] | None = None) -> None:
        if done == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def forked(work) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def tensors(out: Path) -> dict[str, torch.Tensor]:
    (found,) = out.glob("tensors-*.safetensors")
    return load_file(found)


def stage_at(step: int) -> str:
    at = step % 16
    return "train" if step >= 48 else "estimate" if at < 6 else "improve" if at < 11 else "explore"


def compare(out: Path, whole: Path) -> list[str]:
    expected, now = tensors(whole), tensors(out)
    if expected.keys() != now.keys():
        return sorted(expected.keys() ^ now.keys())
    # Nobody seeds or uses numpy's global generator here: it starts differently in every process.
    expected = {name: value for name, value in expected.items() if not name.startswith("random/numpy")}
    different = [name for name, value in expected.items() if not torch.equal(value, now[name])]
    one, other = (json.loads((folder / "result.json").read_text()) for folder in (out, whole))
    different += [f"result.json:{key}" for key in one if key != "seconds" and one[key] != other[key]]
    lines = [
        [
            {k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in (folder / "metrics.jsonl").read_text().splitlines()
        ]
        for folder in (out, whole)
    ]
    return different + (["metrics.jsonl"] if lines[0] != lines[1] else [])


def moments(chance: random.Random, lasted: float) -> Iterator[tuple[str, float]]:
    """Three steps of every stage, then moments of the clock, which also fall into the writing of checkpoints."""
    by_stage: dict[str, list[int]] = {}
    for step in range(1, STEPS):
        by_stage.setdefault(stage_at(step), []).append(step)
    for steps in by_stage.values():
        yield from (("step", float(step)) for step in chance.sample(steps, 3))
    for _ in range(8):
        yield "clock", chance.uniform(0.05, 0.95) * lasted


def kill(out: Path, kind: str, when: float) -> None:
    """Begin a run and kill it; one that was too quick for the clock is begun again and killed sooner."""
    killed = False
    while not killed:
        shutil.rmtree(out, ignore_errors=True)
        progress = DiesAt(int(when)) if kind == "step" else Silent()
        child = forked(lambda progress=progress: train(SETTINGS, out, progress=progress))
        if kind == "clock":
            time.sleep(when)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        when = when / 2 if kind == "clock" else when


def main() -> None:
    folder, chance = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
    torch.set_num_threads(1)
    whole = folder / "whole"
    begun = time.perf_counter()
    os.waitpid(forked(lambda: train(SETTINGS, whole)), 0)
    lasted = time.perf_counter() - begun
    for number, (kind, when) in enumerate(moments(chance, lasted)):
        out = folder / f"run-{number}"
        kill(out, kind, when)
        given = {"model": SETTINGS.model, "data": SETTINGS.data}
        if not (out / "config.json").exists():
            given = vars(SETTINGS)
        _, status = os.waitpid(forked(lambda out=out, given=given: resume(out, given)), 0)
        record = {"kind": kind, "when": when, "stage": stage_at(int(when)) if kind == "step" else None}
        record["different"] = compare(out, whole) if status == 0 else ["no result"]
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
