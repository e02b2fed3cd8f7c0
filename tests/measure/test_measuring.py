"""Measuring by a clock that only moves when something computes: what is kept, taken up again, refused and warned of."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import niwaki as nw
from niwaki.measure import build_table
from niwaki.measure.environment import Environment, cache_folder, differences, this_environment
from niwaki.measure.layer_table import LatencyTable
from niwaki.measure.measuring import Care
from niwaki.measure.replay import Ready
from niwaki.measure.variables import Varied

from .machine import Machine

_EXAMPLE = torch.zeros(1, 3, 16, 16)


def _model(width: int = 24) -> nn.Module:
    ends = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5)
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, width, 3, padding=1), *ends).eval()


def _table(machine: Machine, monkeypatch: pytest.MonkeyPatch, cache: Path | bool, **how: Any) -> LatencyTable:
    monkeypatch.setattr(build_table, "_BACKENDS", {"eager": lambda device, threads: machine})
    care = Care(rounds=3, warmup=0, clock=machine.clock)
    return nw.latency_table(how.pop("model", None) or _model(), _EXAMPLE, cache=cache, care=care, **how)


class Interrupted(Machine):
    """Is switched off after a number of operators."""

    left = 20

    def ready(self, it: Varied, lengths: Sequence[int], device: torch.device, copies: int) -> Ready:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().ready(it, lengths, device, copies)


def test_interrupted_measuring_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _table(Machine(), monkeypatch, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        _table(Interrupted(), monkeypatch, tmp_path / "cut")
    told: list[tuple[int, int]] = []
    resumed = _table(Machine(), monkeypatch, tmp_path / "cut", progress=lambda done, total: told.append((done, total)))
    everything = sum(map(len, whole.points.values()))
    assert told[-1][0] == told[-1][1] < everything
    assert everything - told[-1][1] > 10
    assert {key: {at: p.seconds for at, p in found.items()} for key, found in resumed.points.items()} == {
        key: {at: pytest.approx(p.seconds) for at, p in found.items()} for key, found in whole.points.items()
    }


def test_what_is_known_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _table(Machine(), monkeypatch, tmp_path)
    again = Machine()
    _table(again, monkeypatch, tmp_path)
    assert again.calls == 0
    other = Machine()
    _table(other, monkeypatch, tmp_path, threads=torch.get_num_threads() + 1)
    assert other.calls > 0
    assert len(list(tmp_path.glob("eager-cpu-*.json"))) == 2


def test_a_coarse_table_takes_its_points_from_a_fine_one_and_is_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = _table(Machine(), monkeypatch, tmp_path)
    machine = Machine()
    coarse = _table(machine, monkeypatch, tmp_path, coarse=True)
    assert machine.calls == 0
    assert sum(map(len, coarse.points.values())) < sum(map(len, fine.points.values()))


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "something else"}', "damaged"])
def test_a_damaged_cache_is_named_and_measured_anew(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _table(Machine(), monkeypatch, tmp_path)
    (file,) = tmp_path.glob("*.json")
    if content == "damaged":
        data = json.loads(file.read_text())
        content = json.dumps(data | {"points": {key: [[1]] for key in data["points"]}})
    file.write_text(content)
    with pytest.warns(UserWarning, match="is passed over and will be measured anew"):
        after = _table(Machine(), monkeypatch, tmp_path)
    assert after.points.keys() == before.points.keys()
    assert json.loads(file.read_text())["points"].keys() == before.points.keys()


def test_the_cache_lies_where_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "niwaki" / "latency"
    _table(Machine(), monkeypatch, cache=True)
    assert len(list((tmp_path / "niwaki" / "latency").iterdir())) == 1


def test_a_table_of_another_machine_is_used_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _table(Machine(seconds=2.0), monkeypatch, tmp_path)
    phone = replace(made, environment=replace(made.environment, machine="a phone", threads=7, dtype="float16"))
    phone.save(tmp_path / "phone.json")
    with pytest.warns(UserWarning, match="machine a phone instead of") as told:
        found = _table(Machine(), monkeypatch, tmp_path, table=tmp_path / "phone.json")
    text = str(told[0].message)
    assert f"threads 7 instead of {made.environment.threads}" in text
    assert "dtype float16 instead of float32" in text
    assert found.environment.machine == "a phone"
    assert found.cost([]).dense == made.cost([]).dense


def test_machines_of_one_name_differ_by_their_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(instructions: str) -> Environment:
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
        return this_environment("eager", torch.device("cpu"), 1, torch.float32)

    old, new = here("AVX2"), here("AVX512")
    assert old.code != new.code
    (said,) = differences(new, old)
    assert said.startswith("machine ")
    assert said.removeprefix("machine ").replace("AVX512", "AVX2").split(" instead of ") == [old.machine] * 2


def test_a_table_of_this_machine_is_used_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _table(Machine(), monkeypatch, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = _table(Machine(), monkeypatch, tmp_path, table=made)
    assert found.rows == made.rows


def test_a_layer_that_a_shipped_table_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _table(Machine(), monkeypatch, tmp_path).save(tmp_path / "table.json")
    expected = r"no layer like '2' .*its key is 'conv2d\(float32\[1,a,16,16\], float32\[b,a,3,3\].* a=16 b=40'"
    with pytest.raises(nw.StoreError, match=expected):
        _table(Machine(), monkeypatch, tmp_path, table=tmp_path / "table.json", model=_model(40))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "{", "cannot be read as a latency table"),
        (lambda text: "{}", "is not a latency table"),
        (lambda text: text.replace('"rows"', '"lines"'), "is a damaged latency table"),
    ],
)
def test_damaged_shipped_tables_are_refused(
    change: Callable[[str], str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "table.json"
    _table(Machine(), monkeypatch, tmp_path / "cache").save(file)
    file.write_text(change(file.read_text()))
    with pytest.raises(nw.StoreError, match=message):
        LatencyTable.read(file)
    with pytest.raises(nw.StoreError, match="there is no latency table"):
        LatencyTable.read(tmp_path / "none.json")


class Restless(Machine):
    """One convolution takes now its time and now three times as long."""

    def ready(self, it: Varied, lengths: Sequence[int], device: torch.device, copies: int) -> Ready:
        calm = super().ready(it, lengths, device, copies)
        if it.operation.name != "2":
            return calm
        turns: Iterator[int] = itertools.cycle([1, 3])
        return Ready(lambda: [calm.call() for _ in range(next(turns))], calm.before)


def test_timings_too_noisy_to_rank_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.warns(UserWarning, match=r"the timings of 1 layer are too noisy to rank .*: 2 \(\d+%\)"):
        table = _table(Restless(), monkeypatch, tmp_path)
    assert table.dense_measured == 1.0  # noise is said, and no error


class Narrow(Machine):
    """Runs no convolution of fewer than 16 channels."""

    def ready(self, it: Varied, lengths: Sequence[int], device: torch.device, copies: int) -> Ready:
        if it.operation.kind == "conv2d" and min(lengths) < 16:
            raise RuntimeError("too narrow")
        return super().ready(it, lengths, device, copies)


def test_an_operator_that_does_not_run_narrow_costs_what_it_costs_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = _table(Narrow(seconds=1.0), monkeypatch, tmp_path)
    assert table.unmeasured == {"0": "RuntimeError: too narrow", "2": "RuntimeError: too narrow"}
    groups = nw.channels(_model(), _EXAMPLE)
    # All but the linear layer: 24 * 5 of 16 * 16 * 9 * (3 * 16 + 16 * 24) + 24 * 5 multiplications fall.
    total = 16 * 16 * 9 * (3 * 16 + 16 * 24) + 24 * 5
    counts = {group.name: group.size // 2 for group in groups}
    assert table.cost(groups)(counts) == pytest.approx(1 - 12 * 5 / total)
