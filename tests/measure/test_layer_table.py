"""Latency tables on a machine of known speed, against what really shrunk models multiply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import niwaki as nw
from niwaki.core.group import Group
from niwaki.measure import build_table
from niwaki.measure.layer_table import LatencyTable
from niwaki.measure.measuring import Care

from .machine import Machine, products

_EXAMPLE = torch.zeros(2, 3, 64, 64)


class Small(nn.Module):
    """A stem, a depthwise and a grouped convolution, a residual sum, a concatenation, a flat end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1)
        self.deep = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.BatchNorm2d(32), nn.ReLU())
        self.wide = nn.Conv2d(32, 48, 1)
        self.sets = nn.Conv2d(48, 64, 3, padding=1, groups=4)
        self.back = nn.Conv2d(64, 32, 1)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.last = nn.Linear((32 + 64) * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.deep(x)
        sets = self.sets(self.wide(x).relu())
        x = torch.cat([self.back(sets) + x, sets], 1)
        out: torch.Tensor = self.last(self.pool(x).flatten(1))
        return out


def on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_table, "_BACKENDS", {"eager": lambda device, threads: machine})


def table_of(model: nn.Module, machine: Machine, example: torch.Tensor = _EXAMPLE) -> LatencyTable:
    return nw.latency_table(model, example, cache=False, care=Care(rounds=2, warmup=0, clock=machine.clock))


def kept(groups: nw.Groups, share: float) -> dict[str, torch.Tensor]:
    """The first units of each group, no fewer than every group needs."""
    keep = {}
    for group in groups:
        count = max(group.min_keep, group.multiple_of, int(group.size * share) // group.multiple_of * group.multiple_of)
        keep[group.name] = torch.arange(group.size) < count
    return keep


def counts_of(keep: dict[str, torch.Tensor]) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in keep.items()}


def macs(model: nn.Module, example: torch.Tensor) -> float:
    return sum(nw.count_flops(model, (example,)).per_tensor.values()) / 2


@pytest.mark.parametrize("share", [1.0, 0.75, 0.5, 0.3])
def test_predictions_are_what_shrunk_models_multiply(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    model, machine = Small().eval(), Machine()
    on(machine, monkeypatch)
    groups = nw.channels(model, _EXAMPLE)
    machine.seconds = macs(model, _EXAMPLE) * 1e-9
    table = table_of(model, machine)
    keep = kept(groups, share)
    expected = macs(nw.shrink(model, groups, keep), _EXAMPLE) * 1e-9
    assert not table.unmeasured
    assert table.cost(groups)(counts_of(keep)) == pytest.approx(expected, rel=1e-6)


_SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("resnext50_32x4d", "densenet121", "vit_b_16")]


@pytest.mark.parametrize("name", ["mobilenet_v2", *_SLOW])
def test_predictions_on_networks_of_others(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torchvision = pytest.importorskip("torchvision")
    model, machine = getattr(torchvision.models, name)(weights=None).eval(), Machine()
    example = torch.zeros(1, 3, 224, 224)
    on(machine, monkeypatch)
    groups = nw.discover(model, example)
    machine.seconds = macs(model, example) * 1e-9
    table, keep = table_of(model, machine, example), kept(groups, 0.4)
    expected = macs(nw.shrink(model, groups, keep), example) * 1e-9
    assert table.cost(groups)(counts_of(keep)) == pytest.approx(expected, rel=1e-6)


def test_one_group_at_a_time_falls_where_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    model, machine = Small().eval(), Machine()
    on(machine, monkeypatch)
    groups = nw.channels(model, _EXAMPLE)
    machine.seconds = macs(model, _EXAMPLE) * 1e-9
    cost = table_of(model, machine).cost(groups)
    assert len(groups) > 1
    for group in groups:
        keep = {group.name: torch.arange(group.size) < group.size // 2}
        expected = macs(nw.shrink(model, groups, keep), _EXAMPLE) * 1e-9
        assert cost(counts_of(keep)) == pytest.approx(expected, rel=1e-6), group.name


def test_predictions_are_scaled_to_the_whole_model(monkeypatch: pytest.MonkeyPatch) -> None:
    model, machine = Small().eval(), Machine(seconds=3.0)
    on(machine, monkeypatch)
    table = table_of(model, machine)
    assert table.dense_measured == pytest.approx(3.0)
    assert table.dense_predicted == pytest.approx(macs(model, _EXAMPLE) * 1e-9)
    assert table.cost(nw.channels(model, _EXAMPLE)).dense == pytest.approx(3.0)


def test_calling_the_operators_is_what_never_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    model, machine = Small().eval(), Machine(seconds=3.0)
    machine.outside = 1.3
    on(machine, monkeypatch)
    groups = nw.channels(model, _EXAMPLE)
    table = table_of(model, machine)
    alone = macs(model, _EXAMPLE) * 1e-9
    assert table.overhead == pytest.approx(1.3)
    keep = kept(groups, 0.5)
    left = macs(nw.shrink(model, groups, keep), _EXAMPLE) * 1e-9
    assert table.cost(groups)(counts_of(keep)) == pytest.approx(1.3 + left * (3.0 - 1.3) / alone)


def test_a_table_comes_back_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, machine = Small().eval(), Machine(seconds=2.0)
    on(machine, monkeypatch)
    groups = nw.channels(model, _EXAMPLE)
    table = table_of(model, machine)
    table.save(tmp_path / "table.json")
    again = LatencyTable.read(tmp_path / "table.json")
    counts = counts_of(kept(groups, 0.4))
    assert again.environment == table.environment
    assert again.cost(groups)(counts) == table.cost(groups)(counts)


def test_a_backend_that_does_not_exist() -> None:
    with pytest.raises(nw.TrainError, match="no backend 'tpu'; choose one of eager, compile, onnxruntime"):
        nw.latency_table(nn.Linear(2, 2), torch.zeros(1, 2), backend="tpu")


def test_groups_that_reach_nothing_leave_all_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    model, machine = Small().eval(), Machine(seconds=2.0)
    on(machine, monkeypatch)
    cost = table_of(model, machine).cost([Group("elsewhere", 4, ())])
    assert not cost.layers
    assert cost.fixed == pytest.approx(2.0)


def _dear_at_odd_widths(kind: str, shapes: list[tuple[int, ...]], args: tuple[Any, ...]) -> float:
    slow = kind == "conv2d" and shapes[1][1] == 1 and shapes[1][0] % 4
    return products(kind, shapes, args) * (8.0 if slow else 1.0)


def test_a_plan_avoids_widths_that_a_kernel_is_slow_at(monkeypatch: pytest.MonkeyPatch) -> None:
    model, machine = Small().eval(), Machine(_dear_at_odd_widths)
    on(machine, monkeypatch)
    groups = nw.channels(model, _EXAMPLE)
    machine.seconds = macs(model, _EXAMPLE) * 1e-9
    table = table_of(model, machine)
    (deep,) = [g for g in groups if any(where.tensor == "deep.0.weight" for where in g.slices)]
    cost, whole = table.cost(groups), {g.name: g.size for g in groups}
    for count in (16, 17, 20):
        small = nw.shrink(model, groups, {deep.name: torch.arange(deep.size) < count})
        depthwise = small.get_submodule("deep.0").weight.shape[0] * 9 * 2 * 64 * 64
        expected = (macs(small, _EXAMPLE) + (7 * depthwise if count % 4 else 0)) * 1e-9
        assert cost(whole | {deep.name: count}) == pytest.approx(expected, rel=1e-6)
    scores = {g.name: torch.rand(g.size, generator=torch.Generator().manual_seed(0)) for g in groups}
    keep = nw.knapsack(groups, scores, nw.Latency(0.45, table))
    assert counts_of(keep)[deep.name] % 4 == 0
    assert 0 < counts_of(keep)[deep.name] < deep.size
