"""Joining and deciding, against connected components of SciPy and against all choices of units."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from niwaki.structure.axes import Note, Product, Space
from niwaki.structure.resolve import joined, resolve


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 40), edges=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=60))
def test_joined_finds_connected_components(count, edges):
    edges = [(a % count, b % count) for a, b in edges]
    pairs = [(np.array([a]), np.array([b])) for a, b in edges[::2]]
    rest = np.array(edges[1::2], dtype=np.int64).reshape(-1, 2)
    roots = joined(np.arange(count), [*pairs, (rest[:, 0], rest[:, 1])])
    rows, cols = np.array(edges, dtype=int).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(edges)), (rows, cols)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    for place in range(count):  # the least of each component stands for it
        assert roots[place] == np.flatnonzero(labels == labels[place])[0]


def test_joined_goes_on_from_roots():
    first = joined(np.arange(6), [(np.array([4]), np.array([5]))])
    assert joined(first, [(np.array([5]), np.array([1]))]).tolist() == [0, 1, 2, 3, 1, 1]


@pytest.mark.parametrize("length", [2, 1000])
def test_joined_follows_a_long_chain_in_any_order(length):
    order = np.random.default_rng(0).permutation(length - 1)
    assert not joined(np.arange(length), [(order, order + 1)]).any()


def spaces(draw):
    """A few axes, products of them, axes that are joined to pieces of others, notes on some."""
    space = Space()
    axes = [space.fresh(draw(st.integers(2, 4))) for _ in range(draw(st.integers(2, 4)))]
    for _ in range(draw(st.integers(1, 3))):
        one, two = draw(st.sampled_from(axes)), draw(st.sampled_from(axes))
        if one.size * two.size > 16:
            continue
        if draw(st.booleans()):
            axes.append(space.merge([one, two]))
        elif one.size == 4:
            axes.extend(space.split(one, 2))
    for _ in range(draw(st.integers(0, 3))):
        one, two = draw(st.sampled_from(axes)), draw(st.sampled_from(axes))
        size = min(one.size, two.size)
        space.unify(space.part(one, slice(size)), space.part(two, slice(size)))
    if draw(st.booleans()):
        space.frozen.append(Note(draw(st.sampled_from(axes)).ids, "frozen"))
    if draw(st.booleans()):
        space.batches.append(draw(st.sampled_from(axes)).ids)
    return space


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_any_choice_of_units_respects_all_that_was_said(data):
    space = spaces(data.draw)
    units = resolve(space)
    roots = units.roots
    frozen = {int(r) for note in space.frozen for r in roots[note.ids]}
    free = [root for root in np.unique(roots).tolist() if units.frozen[root] < 0]
    assert not frozen & set(free)
    for left, right in space.pairs:
        assert np.array_equal(roots[left], roots[right])
    for choice in itertools.islice(itertools.product([True, False], repeat=len(free)), 4096):
        stays = np.ones(space.count, bool)
        stays[free] = choice
        stays = stays[roots]
        for product in space.products:
            assert np.array_equal(stays[product.whole], np.outer(stays[product.outer], stays[product.inner]))


def one_product(outer=3, inner=4):
    space = Space()
    whole = space.fresh(outer * inner)
    first, second = space.split(whole, outer)
    return space, whole, first, second


def free(units, axis):
    return len({int(r) for r in units.roots[axis.ids] if units.frozen[r] < 0})


def test_of_two_factors_the_finer_one_is_cut():
    space, whole, outer, inner = one_product()
    units = resolve(space)
    assert (free(units, whole), free(units, outer), free(units, inner)) == (4, 0, 4)
    assert units.notes[units.frozen[units.roots[outer.ids[0]]]].why == "lies inside an axis that is cut as a whole"


def test_a_factor_that_is_held_leaves_the_other():
    space, whole, outer, inner = one_product()
    space.freeze(inner, "held")
    units = resolve(space)
    assert (free(units, whole), free(units, outer), free(units, inner)) == (3, 3, 0)


def test_heads_are_cut_before_what_lies_inside_them():
    space, whole, outer, inner = one_product()
    space.batches.append(outer.ids)
    units = resolve(space)
    assert (free(units, whole), free(units, outer), free(units, inner)) == (3, 3, 0)
    assert units.whole[units.roots[outer.ids]].all()


def test_a_factor_under_a_norm_is_the_worse_one():
    space, whole, outer, inner = one_product()
    space.blur(inner, "a norm")
    assert free(resolve(space), outer) == 3


def test_a_whole_that_is_held_holds_both_factors():
    space, whole, outer, inner = one_product()
    space.freeze(whole, "held")
    units = resolve(space)
    assert free(units, outer) == free(units, inner) == 0
    assert units.notes[units.frozen[units.roots[inner.ids[0]]]].why == "held"


def test_the_first_reason_is_told():
    space = Space()
    axis = space.fresh(3)
    space.freeze(axis, "one")
    space.freeze(axis, "two")
    units = resolve(space)
    assert units.notes[units.frozen[0]].why == "one"


def test_a_product_with_itself_stays_whole():
    space = Space()
    axis = space.fresh(3)
    space.merge([axis, axis])
    assert isinstance(space.products[0], Product)
    assert free(resolve(space), axis) == 0
