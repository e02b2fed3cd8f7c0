"""The best so many of a row, ties by index."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from niwaki.core import BudgetError, SignalError
from niwaki.core.top import top

FEW_VALUES = st.lists(
    st.sampled_from([-float("inf"), -1.0, -0.0, 0.0, 0.5, 2.0, float("inf")]), min_size=1, max_size=40
)


def by_sorting(values, count):
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    chosen = set(order[:count])
    return [i in chosen for i in range(len(values))]


@given(FEW_VALUES, st.data())
def test_it_is_the_head_of_a_stable_sort(values, data):
    count = data.draw(st.integers(0, len(values)))
    assert top(torch.tensor(values), count).tolist() == by_sorting(values, count)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8])
def test_every_real_dtype(dtype):
    scores = torch.tensor([3, 1, 3, 2, 3]).to(dtype)
    assert top(scores, 2).tolist() == [True, False, True, False, False]


def test_scores_are_left_as_they_were():
    scores = torch.tensor([3.0, 1.0, 2.0])
    before = scores.clone()
    top(scores, 3)[0] = False
    top(scores, 2)
    assert torch.equal(scores, before)


@pytest.mark.parametrize("count", [-1, 4])
def test_a_count_out_of_range_is_an_error(count):
    with pytest.raises(BudgetError, match=f"{count} of 3 units cannot be kept; ask for a count from 0"):
        top(torch.zeros(3), count)


def test_nan_is_an_error():
    with pytest.raises(SignalError, match="hold NaN and cannot be ranked"):
        top(torch.tensor([1.0, float("nan")]), 1)


def test_a_matrix_is_an_error():
    with pytest.raises(SignalError, match=r"shape \(2, 2\) are not one row; flatten"):
        top(torch.zeros(2, 2), 1)


@pytest.mark.slow
@pytest.mark.parametrize("ties", [False, True])
def test_twenty_five_million_take_seconds_at_most(ties):
    scores = torch.rand(25_000_000)
    if ties:
        scores[scores < 0.9] = 0  # most units removed, as in a sparse network
    start = time.perf_counter()
    mask = top(scores, 5_000_000)
    seconds = time.perf_counter() - start
    assert int(mask.sum()) == 5_000_000
    assert seconds < 5, seconds


@pytest.mark.accelerator
@given(FEW_VALUES, st.data())
def test_on_cuda_the_same_units_are_chosen(values, data):
    count = data.draw(st.integers(0, len(values)))
    mask = top(torch.tensor(values, device="cuda"), count)
    assert mask.is_cuda
    assert mask.tolist() == by_sorting(values, count)
