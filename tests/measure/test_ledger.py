"""The cost of a step, checked against closed forms of published accounts, and the ledger of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.core import StoreError
from niwaki.measure import Entry, Ledger, ModelFlops, peak_memory, step_flops

# Three prunable tensors and one that is in no group.
FLOPS = ModelFlops({"a": 600.0, "b": 300.0, "c": 100.0, "free": 50.0}, other=20.0, batch=8)
KEPT = {"a": 0.1, "b": 0.3, "c": 1.0}
DENSE = FLOPS.total  # 1070
SPARSE = 60.0 + 90.0 + 100.0 + 50.0 + 20.0  # 320


def of(flops, share):
    """A model of one tensor with this share kept, for the published figures, which know only f = f_S / f_D."""
    return ModelFlops({"w": flops}, other=0.0, batch=1), {"w": share}


def test_a_dense_step_is_three_forward_passes():
    assert step_flops(FLOPS, {}, {}) == 3 * DENSE


def test_a_static_sparse_step_is_three_sparse_forward_passes():
    assert step_flops(FLOPS, KEPT, KEPT) == pytest.approx(3 * SPARSE)


def test_a_step_that_grows_by_gradient():
    # Forward and activation gradient sparse, the gradient of every weight; attention's products take part in all.
    assert step_flops(FLOPS, KEPT, KEPT, dense_gradient=True) == pytest.approx(2 * SPARSE + DENSE)


def test_an_exploring_step_trains_only_what_is_not_kept():
    explored = {name: 1 - share for name, share in KEPT.items()}
    # All act, the kept ones and the free tensor are frozen: 3 f_D - f_S, save attention's own gradient products (20).
    found = step_flops(FLOPS, {}, explored, default_train=0.0)
    assert found == pytest.approx(3 * DENSE - SPARSE + FLOPS.other)


def test_frozen_tensors_cost_no_weight_gradient():
    assert step_flops(FLOPS, {}, {"a": 0.0}) == 3 * DENSE - 600
    assert step_flops(FLOPS, {}, {}, default_train=0.0) == 2 * DENSE + FLOPS.other


def test_names_without_a_product_are_passed_over():
    assert step_flops(FLOPS, {"bias": 0.5}, {"bias": 0.5}) == 3 * DENSE


@pytest.mark.parametrize(
    ("share", "iee", "rigl"), [(0.414, 0.526, 0.416), (0.242, 0.411, 0.244), (0.122, 0.331, 0.125)]
)
def test_published_check_values(share, iee, rigl):
    flops, kept = of(1000.0, share)
    rest = {"w": 1 - share}
    # IEE: 75 of every 100 steps in cycles of equal thirds, of which one explores.
    stages = ["estimate", "improve", "explore"] * 25 + ["train"] * 25
    spent = sum(
        step_flops(flops, {}, rest, default_train=0.0) if stage == "explore" else step_flops(flops, kept, kept)
        for stage in stages
    )
    assert spent / len(stages) / (3 * flops.total) == pytest.approx(iee, abs=1e-3)
    # RigL: after 100 ordinary steps one that needs all gradients.
    spent = sum(step_flops(flops, kept, kept, dense_gradient=step == 100) for step in range(101))
    assert spent / 101 / (3 * flops.total) == pytest.approx(rigl, abs=1e-3)


@given(st.floats(0.01, 1), st.integers(1, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 20))
def test_iee_by_the_closed_form(share, estimate, improve, explore, after):
    flops, kept = of(1.0, share)
    cheap, dear = step_flops(flops, kept, kept), step_flops(flops, {}, {"w": 1 - share}, default_train=0.0)
    steps = estimate + improve + explore + after
    update = (estimate + improve + explore) / steps
    rho = explore / (estimate + improve + explore)
    closed = (3 * share * (1 - update * rho) + (3 - share) * update * rho) / 3
    assert (cheap * (steps - explore) + dear * explore) / steps / 3 == pytest.approx(closed)


@given(st.floats(0.01, 1), st.integers(1, 200))
def test_rigl_by_the_closed_form(share, period):
    flops, kept = of(1.0, share)
    spent = period * step_flops(flops, kept, kept) + step_flops(flops, kept, kept, dense_gradient=True)
    assert spent / (period + 1) == pytest.approx((3 * share * period + 2 * share + 1) / (period + 1))


def test_acdc_by_hand():
    # Of 100 epochs half are dense: 10 at first, 5 before each of six compressions, and 10 before the last.
    flops, kept = of(1.0, 0.1)
    dense_spans = [(0, 10), (15, 20), (25, 30), (35, 40), (45, 50), (55, 60), (65, 70), (75, 85)]
    dense = [any(a <= epoch < b for a, b in dense_spans) for epoch in range(100)]
    assert sum(dense) == 50
    spent = sum(step_flops(flops, {} if d else kept, {} if d else kept) for d in dense)
    assert spent / 300 == pytest.approx(0.5 * 1 + 0.5 * 0.1)


def test_adding_gives_a_new_ledger():
    empty = Ledger(dense_step_flops=30.0)
    one = empty.add("train", steps=3, flops=9.0, seconds=1.5)
    two = one.add("train", flops=3.0, seconds=0.5).add("explore", flops=20.0, seconds=1.0)
    assert empty.stages == {}
    assert one.stages == {"train": Entry(3, 9.0, 1.5)}
    assert two.stages == {"train": Entry(4, 12.0, 2.0), "explore": Entry(1, 20.0, 1.0)}
    assert (two.steps, two.flops, two.seconds) == (5, 32.0, 3.0)
    assert two.dense_runs() == pytest.approx(32 / 150)
    assert two.dense_runs(10) == pytest.approx(32 / 300)


def test_unknown_flops_stay_unknown():
    ledger = Ledger(dense_step_flops=30.0).add("train", flops=9.0, seconds=1).add("explore", flops=None, seconds=1)
    assert ledger.flops is None
    assert ledger.dense_runs() is None
    ledger = ledger.add("explore", flops=5.0, seconds=1)
    assert ledger.stages["explore"] == Entry(2, None, 2)
    assert ledger.as_dict()["stages"]["explore"]["flops"] is None
    assert Ledger().add("train", flops=9.0, seconds=1).dense_runs() is None


def test_an_empty_ledger():
    assert (Ledger().flops, Ledger().steps, Ledger(dense_step_flops=1.0).dense_runs()) == (0, 0, None)


def test_the_larger_peak_stays():
    assert Ledger().seen_memory(5).seen_memory(3).peak_memory == 5


def test_to_json_and_back():
    ledger = Ledger(dense_step_flops=0.1).add("train", steps=7, flops=1e18 / 3, seconds=0.1).seen_memory(2**40)
    ledger = ledger.add("explore", flops=None, seconds=0.2)
    text = json.dumps(ledger.as_dict())
    assert set(json.loads(text)) == {"stages", "dense_step_flops", "peak_memory"}
    assert Ledger.from_dict(json.loads(text)) == ledger


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"stages": 3},
        {"stages": {"a": {}}, "dense_step_flops": 1, "peak_memory": 0},
        {"stages": {}, "peak_memory": 0},
    ],
)
def test_other_data_is_no_ledger(data):
    with pytest.raises(
        StoreError, match="this is not a training ledger .* it needs stages with steps, flops and seconds"
    ):
        Ledger.from_dict(data)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the oracle is Linux's")
def test_memory_on_the_cpu_is_in_bytes_and_at_least_the_kernels_own_mark():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    mark = int(status["VmHWM"].split()[0]) * 1024
    assert 0.95 * mark <= peak_memory("cpu") < 512 * mark


def test_memory_on_the_cpu_grows_with_use():
    before = peak_memory("cpu")
    blocks: list[bytes] = []
    while peak_memory("cpu") == before and len(blocks) < 64:
        blocks.append(b"x" * 2**27)
    assert peak_memory("cpu") > before


@pytest.mark.accelerator
def test_memory_on_cuda_is_what_was_allocated():
    import torch

    torch.cuda.reset_peak_memory_stats()
    before = peak_memory("cuda")
    block = torch.empty(2**26, dtype=torch.uint8, device="cuda")
    assert peak_memory("cuda") - before >= block.numel()
