"""Whether tensors are finite: the quick look at norms must never say otherwise than a look at every element."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from niwaki.core.finite import not_finite

BROKEN = st.sampled_from([0.0, -1.5, 3e38, -3e38, 1e20, 6e4, math.inf, -math.inf, math.nan])
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.complex64]


@given(st.lists(st.lists(BROKEN, max_size=4), max_size=4), st.sampled_from(DTYPES))
def test_the_first_that_is_not_finite_is_named(rows, dtype):
    tensors = {f"t{number}": torch.tensor(row).to(dtype) for number, row in enumerate(rows)}
    wanted = [name for name, tensor in tensors.items() if not all(torch.isfinite(x) for x in tensor)]
    assert not_finite(tensors) == (wanted[0] if wanted else None)


@pytest.mark.parametrize("dtype", DTYPES[:4])
def test_large_numbers_whose_squares_overflow_are_finite(dtype):
    assert not_finite({"large": torch.full((100,), torch.finfo(dtype).max, dtype=dtype)}) is None


def test_whole_numbers_are_finite_and_mixtures_are_looked_at():
    mixed = {"whole": torch.arange(3), "double": torch.ones(2, dtype=torch.float64), "half": torch.ones(2).half()}
    assert not_finite(mixed) is None
    assert not_finite({"whole": torch.arange(3)}) is None and not_finite({}) is None
    assert not_finite({**mixed, "odd": torch.tensor(math.nan, dtype=torch.bfloat16)}) == "odd"
