"""Short runs, how they are stopped, and what it means that two are the same."""

from __future__ import annotations

import json

import safetensors.torch
import torch

from niwaki.app.progress import Silent
from niwaki.app.settings import Settings

SHORT = {"model": "zoo:mlp?widths=64,16,10", "data": "digits", "steps": 44, "batch": 32, "checkpoint_every": 5}
IEE = {"method": "iee", "switches": {"H": 4, "J": 3, "Q": 3}}


class Stopped(Exception):
    """Stands for whatever ends a process."""


class StopAt(Silent):
    def __init__(self, step, how=None):
        super().__init__()
        self.at, self.how = step, how

    def step(self, done, facts=None):
        if done == self.at:
            if self.how is None:
                raise Stopped
            self.how()


class Notes(Silent):
    """Keeps what a run says."""

    def __init__(self):
        super().__init__()
        self.said = []

    def note(self, text):
        self.said.append(text)


def settings(**changed):
    return Settings(**{**SHORT, **changed})


def records(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def tensors(folder):
    (file,) = folder.glob("tensors-*.safetensors")
    return safetensors.torch.load_file(file)


def assert_same_run(a, b):
    assert records(a) == records(b)
    one, other = (json.loads((folder / "result.json").read_text()) for folder in (a, b))
    assert {**one, "seconds": 0} == {**other, "seconds": 0}
    left, right = tensors(a), tensors(b)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []
    ledgers = [json.loads((folder / "ledger.json").read_text())["stages"] for folder in (a, b)]
    counts = [{stage: (entry["steps"], entry["flops"]) for stage, entry in stages.items()} for stages in ledgers]
    assert counts[0] == counts[1]
