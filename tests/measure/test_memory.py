"""Memory that stays with the process while it is timed, by the system's own count of pages fetched."""

from __future__ import annotations

import resource
import sys

import pytest
import torch

from niwaki.measure.memory import _library, kept_memory
from niwaki.measure.timing import time_in_turns

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or _library() is None, reason="needs the C library that gives memory back and can be told"
)
# Larger than what the library ever keeps by itself.
X = torch.zeros(16 << 20)
PAGES = X.numel() * X.element_size() // resource.getpagesize()


def fetched() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def pages_of(calls: int) -> float:
    """Pages fetched by each call of something that makes a large tensor and drops it."""
    before = fetched()
    for _ in range(calls):
        X + 1
    return (fetched() - before) / calls


@pytest.fixture(autouse=True)
def _plain_pages():
    # Where the system hands out huge pages there are few to count.
    X + 1
    if pages_of(3) < PAGES / 2:
        pytest.skip("here a large tensor comes without its pages being fetched one by one")


# Something small may come to lie in what was freed, so that it is fetched once more; never at every call.
def test_freed_memory_stays_inside_and_goes_back_afterwards():
    with kept_memory():
        X + 1
        assert pages_of(5) < PAGES / 4
    assert pages_of(5) > PAGES / 2


def test_nested_it_ends_with_the_outer_one():
    with kept_memory():
        with kept_memory():
            X + 1
        assert pages_of(5) < PAGES / 4


def test_it_ends_when_something_is_raised():
    with pytest.raises(ZeroDivisionError), kept_memory():
        1 / 0  # noqa: B018
    assert pages_of(5) > PAGES / 2


def test_timings_fetch_no_pages_after_the_first_call():
    found: list[int] = []

    def call():
        before = fetched()
        X + 1
        found.append(fetched() - before)

    time_in_turns({"one": call}, rounds=5, warmup=1)
    assert sorted(found[1:])[2] < PAGES / 100
