"""Interpolation against hand-worked numbers and the law that longer is never cheaper."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.measure.grid import Grid, grid_of, ladder, points_of, stairs


def test_between_two_axes_by_hand() -> None:
    # Corners 1, 3 / 5, 11; in the middle their mean; a quarter along the second axis from (2, 4): 1 + (3 - 1) / 4.
    grid = grid_of({(2, 4): 1.0, (2, 8): 3.0, (6, 4): 5.0, (6, 8): 11.0})
    assert grid.at(np.array([4.0]), np.array([6.0])).tolist() == [5.0]
    assert grid.at(np.array([2.0]), np.array([5.0])).tolist() == [1.5]
    assert grid.at(np.array([1.0, 9.0]), np.array([0.0, 9.0])).tolist() == [1.0, 11.0]


def test_a_bump_is_halved_on_both_sides() -> None:
    # 1, 6, 4, 9: rising above 1, 6, 6, 9, rising below 1, 4, 4, 9.
    assert Grid(((1, 2, 3, 4),), np.array([1.0, 6.0, 4.0, 9.0])).rising.tolist() == [1, 5, 5, 9]


def test_a_cost_without_lengths_is_a_number() -> None:
    assert float(grid_of({(): 2.5}).at()) == 2.5


def test_a_hole_in_the_grid_is_seen() -> None:
    with pytest.raises(ValueError, match=r"no value at \(1, 4\)"):
        grid_of({(1, 2): 1.0, (3, 4): 1.0, (3, 2): 1.0})


def _blocks(inputs: int, outputs: int) -> float:
    """A kernel that works in blocks of 16 both ways."""
    return float(-(-inputs // 16) * -(-outputs // 16))


def test_steps_along_the_axes_hold_everywhere() -> None:
    points = points_of([64, 64], [1, 1], stepped=True)
    grid = grid_of({at: _blocks(*at) for at in points})
    everywhere = list(itertools.product(range(8, 65, 4), range(8, 65, 4)))
    found = grid.at(*np.array(everywhere, dtype=float).T)
    assert found.tolist() == pytest.approx([_blocks(*at) for at in everywhere])
    # Where only crossings are known, 20 of 64 channels are thought to cost less than the 32 they are computed as.
    straight = grid_of({at: _blocks(*at) for at in points_of([64, 64], [1, 1])})
    assert float(straight.at(np.array(64.0), np.array(20.0))) < 0.8 * _blocks(64, 20)


def test_a_flat_line_between_crossings_rises_at_the_next_one() -> None:
    points = {(2, 2): 1.0, (2, 4): 2.0, (4, 2): 5.0, (4, 4): 5.0, (4, 3): 5.0, (3, 4): 5.0}
    grid = grid_of(points)
    assert grid.axes == ((2, 4), (2, 4))
    assert grid.at(np.array([4.0, 4.0, 2.0, 2.0]), np.array([2.0, 3.0, 3.0, 4.0])).tolist() == [5.0, 5.0, 1.0, 2.0]
    assert grid.at(np.array([3.0]), np.array([4.0])).tolist() == [5.0]


_costs = st.lists(st.floats(0, 1e3), min_size=12, max_size=12)


@given(_costs, st.tuples(st.integers(0, 40), st.integers(0, 40)), st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_longer_is_never_cheaper(costs: list[float], at: tuple[int, int], more: tuple[int, int]) -> None:
    points = dict(zip(itertools.product((1, 8, 16, 32), (2, 12, 30)), costs, strict=True))
    grid = grid_of(points)
    low, high = (grid.at(*map(np.asarray, where)) for where in (at, (at[0] + more[0], at[1] + more[1])))
    assert float(low) <= float(high) + 1e-9
    finer = grid_of(points | {(32, n): cost for n, cost in zip((3, 11, 20), costs, strict=False)})
    low, high = (finer.at(*map(np.asarray, where)) for where in (at, (at[0] + more[0], at[1] + more[1])))
    assert float(low) <= float(high) + 1e-9


@given(st.integers(1, 5000), st.sampled_from([1, 2, 3, 8, 32]))
def test_ladders_begin_whole_and_fall_in_steps(size: int, multiple: int) -> None:
    found = ladder(size * multiple, multiple=multiple)
    assert found[0] == size * multiple
    assert found == sorted(set(found), reverse=True)
    assert all(n % multiple == 0 and n > 0 for n in found)
    assert set(ladder(size * multiple, multiple=multiple, coarse=True)) <= set(found) | {found[-1]}


@given(st.integers(1, 5000), st.sampled_from([1, 2, 3, 8, 32]))
def test_stairs_begin_whole_and_fall_in_steps(size: int, multiple: int) -> None:
    found = stairs(size * multiple, multiple=multiple)
    assert found[0] == size * multiple
    assert found == sorted(set(found), reverse=True)
    assert all(n % multiple == 0 and n > 0 for n in found)
    assert len(found) <= 32


def test_all_crossings_the_whole_first() -> None:
    assert points_of([2, 3], [1, 1]) == [(2, 3), (2, 2), (2, 1), (1, 3), (1, 2), (1, 1)]
    assert points_of([], []) == [()]


def _depthwise(channels: int) -> float:
    """A kernel for channels by four, and a slow way for all others."""
    return channels * (1.0 if channels % 4 == 0 else 5.0)


@pytest.mark.parametrize("size", [24, 30, 96, 130])
def test_lengths_that_are_no_multiples_of_four_may_cost_more(size: int) -> None:
    grid = grid_of({at: _depthwise(*at) for at in points_of([size], [1], stepped=True)})
    lengths = np.arange(5, size - 1)
    assert grid.odd == pytest.approx(5.0)
    assert grid.at(lengths).tolist() == pytest.approx([_depthwise(n) for n in lengths])


def test_what_is_a_little_dearer_at_odd_lengths_is_no_law() -> None:
    points = {(n,): n * (1.2 if n % 4 else 1.0) for (n,) in points_of([64], [1], stepped=True)}
    grid = grid_of(points)
    assert grid.odd == 1.0
    assert np.all(np.diff(grid.at(np.arange(1, 65))) >= 0)


def test_odd_lengths_are_measured_where_there_are_any() -> None:
    assert {n for (n,) in points_of([64], [1], stepped=True) if n % 4} == {31, 15}
    assert {n for (n,) in points_of([64], [2], stepped=True) if n % 4} == {30, 14}
    assert not any(n % 4 for (n,) in points_of([64], [4], stepped=True))
    assert not any(n % 4 for (n,) in points_of([64], [1]))
