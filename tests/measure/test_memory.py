"""Memory that stays with the process while it is timed, by the system's own count of pages fetched."""

from __future__ import annotations

import resource
import statistics
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


def pages() -> int:
    """Pages fetched by something that makes a large tensor and drops it."""
    before = fetched()
    X + 1
    return fetched() - before


def stays() -> bool:
    """Whether its memory soon stays: three calls in a row that fetch nothing.

    Not at once: something small may come to lie in what was freed, and then the tensor goes elsewhere.
    """
    calm = 0
    for _ in range(30):
        calm = calm + 1 if pages() < PAGES / 100 else 0
        if calm == 3:
            return True
    return False


@pytest.fixture(autouse=True)
def _plain_pages():
    # What is free from before is given back. Where the system hands out huge pages there are few to count.
    _library().malloc_trim(0)
    if pages() < PAGES / 2:
        pytest.skip("here a large tensor comes without its pages being fetched one by one")


def test_freed_memory_stays_inside_and_goes_back_afterwards():
    with kept_memory():
        assert stays()
    assert pages() > PAGES / 2


def test_nested_it_ends_with_the_outer_one():
    with kept_memory():
        with kept_memory():
            assert stays()
        assert pages() < PAGES / 2
    assert pages() > PAGES / 2


def test_it_ends_when_something_is_raised():
    with pytest.raises(ZeroDivisionError), kept_memory():
        assert stays()
        1 / 0  # noqa: B018
    assert pages() > PAGES / 2


def test_timings_fetch_no_pages_after_the_first_calls():
    found: list[int] = []
    time_in_turns({"one": lambda: found.append(pages())}, rounds=15, warmup=1)
    assert statistics.median(found) < PAGES / 100
