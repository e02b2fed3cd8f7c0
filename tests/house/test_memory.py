"""The memory that a sparsifier takes is what `docs/concepts/sparsifier.md` says."""

from __future__ import annotations

import gc
import inspect
import re
from collections import defaultdict

import pytest
import torch
from torch import nn

from niwaki import methods
from niwaki.structure.declare import weights
from tests.house.source import ROOT

SIDE = 200
ROW = re.compile(r"^\| (?P<names>`\w+`(?:, `\w+`)*) \| (?P<train>\d+) \| (?P<sgd>\d*) *\| (?P<adam>\d*) *\|$", re.M)


def stated() -> dict[str, list[str]]:
    text = (ROOT / "docs" / "concepts" / "sparsifier.md").read_text(encoding="utf-8")
    rows = ROW.finditer(text.partition("## Memory")[2])
    return {name: [row["train"], row["sgd"], row["adam"]] for row in rows for name in re.findall(r"\w+", row["names"])}


@pytest.fixture(autouse=True)
def _only_new_objects():
    gc.freeze()  # what is there already is left out of the search, which is slow
    yield
    gc.unfreeze()


def _bytes() -> int:
    """All memory in new tensors, by looking at every object there is."""
    gc.collect()
    # `type`, not `isinstance`: asking a deprecated object of torch for its class warns.
    alive = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
    storages = [tensor.untyped_storage() for tensor in alive if tensor.layout == torch.strided]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def _measured(method: str, *, adam: bool) -> dict[str, float]:
    """The most bytes per weight in each stage."""
    switches = {
        "iee": {"H": 3, "J": 2, "Q": 2},
        "static": {},
        "acdc": {"compress": [0.2, 0.6], "decompress": [0.4]},
    }.get(method, {"every": 5})
    model = nn.Linear(SIDE, SIDE, bias=False)
    optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    if adam:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = torch.randn(2, SIDE)

    def step():
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    step()
    before = _bytes()
    sparsifier = getattr(methods, method)(model, weights(model), density=0.1, steps=40, **switches).attach(optimizer)
    most: dict[str, float] = defaultdict(float)
    for _ in range(40):
        step()
        most[sparsifier.stage] = max(most[sparsifier.stage], (_bytes() - before) / SIDE**2)
    return most


# Those that know no density prune channels within a cost, and `last` cuts at once.
_METHODS = [
    name
    for name in methods.__all__
    if name not in ("dense", "last") and "density" in inspect.signature(getattr(methods, name)).parameters
]


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("adam", [False, True], ids=["sgd", "adam"])
def test_memory_is_what_the_docs_say(method, adam):
    train, *explore = stated()[method]
    measured = _measured(method, adam=adam)
    trains = max(most for stage, most in measured.items() if stage != "explore")
    assert int(train) - 1 < trains <= int(train) + 0.1
    if "explore" in measured:
        assert int(explore[adam]) - 1 < measured["explore"] <= int(explore[adam]) + 0.1
