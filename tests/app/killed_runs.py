"""Runs the same short training again and again, each time killed somewhere else, resumed, and compared.

Started as a process of its own, so that it may fork: the children share the loaded libraries and cost no start-up.
Called with a folder and what to kill at: ``moments`` (a seed follows) or ``files``, every kind of change to a file.
Writes one line of JSON per kill: how it was killed, when, in which stage, and what differs in the end.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import sklearn.datasets  # noqa: F401  (loaded here once, for all children)
import torch
import torch._dynamo  # noqa: F401  (an optimizer loads it, which takes longer than the whole run)
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


class Changes:
    """Sees every change to files under a folder, and kills its own process before one of them."""

    WATCHED = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")

    def __init__(self, out: Path, at: int | None = None) -> None:
        self.out, self.at = str(out), at
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, given: tuple[object, ...]) -> None:
        flags = given[2] if event == "open" else None
        opened = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
        if (opened or event in self.WATCHED) and str(given[0]).startswith(self.out):
            self.seen.append(f"{event} {re.sub('[0-9a-f]{16}|[0-9]+', '*', str(given[0])[len(self.out) :])}")
            if len(self.seen) == self.at:
                os.kill(os.getpid(), signal.SIGKILL)


def forked(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except Exception:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return child


def waited(child: int) -> int:
    return os.waitpid(child, 0)[1]


def tensors(out: Path) -> dict[str, torch.Tensor]:
    (found,) = out.glob("tensors-*.safetensors")
    return load_file(found)


def stage_at(step: int) -> str:
    at = step % 16
    return "train" if step >= 48 else "estimate" if at < 6 else "improve" if at < 11 else "explore"


def compare(out: Path, whole: Path) -> list[str]:
    if len(superseded := sorted(path.name for path in out.glob("tensors-*"))) != 1:
        return superseded
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


def listed(out: Path) -> list[str]:
    return sorted(re.sub("[0-9a-f]{16}", "*", str(path.relative_to(out))) for path in out.rglob("*"))


def moments(chance: random.Random, lasted: float) -> Iterator[tuple[str, float]]:
    """Three steps of every stage, then moments of the clock."""
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
        child = forked(partial(train, SETTINGS, out, progress=progress))
        if kind == "clock":
            time.sleep(when)
            os.kill(child, signal.SIGKILL)
        status = waited(child)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        when = when / 2 if kind == "clock" else when


def gone_on(out: Path, whole: Path) -> list[str]:
    """Go on with a run that was killed; says what differs in the end."""
    begun = (out / "config.json").exists()  # nothing but model and data need be said again
    given = {"model": SETTINGS.model, "data": SETTINGS.data} if begun else vars(SETTINGS)
    return compare(out, whole) if waited(forked(lambda: resume(out, given))) == 0 else ["no result"]


def at_moments(folder: Path, seed: int) -> None:
    whole = folder / "whole"
    begun = time.perf_counter()
    waited(forked(lambda: train(SETTINGS, whole)))
    lasted = time.perf_counter() - begun
    for number, (kind, when) in enumerate(moments(random.Random(seed), lasted)):
        out = folder / f"run-{number}"
        kill(out, kind, when)
        record = {"kind": kind, "when": when, "stage": stage_at(int(when)) if kind == "step" else None}
        print(json.dumps({**record, "different": gone_on(out, whole)}), flush=True)


def at_files(folder: Path) -> None:
    """Kill before the first and before the last change of every kind; nothing may lie about afterwards either."""
    whole = folder / "whole"

    def watched() -> None:
        changes = Changes(whole)
        train(SETTINGS, whole)
        (folder / "changes.json").write_text(json.dumps(changes.seen))

    def doomed() -> None:
        Changes(out, at)
        train(SETTINGS, out)

    waited(forked(watched))
    seen = json.loads((folder / "changes.json").read_text())
    last = {change: number for number, change in enumerate(seen, 1)}
    for at in sorted({*last.values(), *(seen.index(change) + 1 for change in last)}):
        out = folder / f"run-{at}"
        status = waited(forked(doomed))
        assert os.WIFSIGNALED(status), (at, status)
        different = gone_on(out, whole)
        if listed(out) != listed(whole):
            different += sorted({*listed(out)} ^ {*listed(whole)})
        print(json.dumps({"kind": "file", "when": seen[at - 1], "different": different}), flush=True)
        shutil.rmtree(out)


if __name__ == "__main__":
    torch.set_num_threads(1)
    place, what = Path(sys.argv[1]), sys.argv[2]
    if what == "files":
        at_files(place)
    else:
        at_moments(place, int(sys.argv[3]))
