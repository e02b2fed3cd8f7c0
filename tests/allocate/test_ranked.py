"""One ranking over all groups."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from niwaki.allocate import ErdosRenyi, Global, Patterned, RowWise, Uniform, ranked
from niwaki.core import BudgetError, SignalError
from tests.allocate.nets import row

VALUES = st.sampled_from([-2.0, -0.5, 0.0, 0.25, 1.0, 3.0])
NETS = st.lists(st.lists(VALUES, min_size=1, max_size=12), min_size=1, max_size=4)


def lists(keep):
    return {name: mask.int().tolist() for name, mask in keep.items()}


def by_sorting(rows, count, floors):
    """First the best of each row up to its floor, then the best of the rest in one stable sort."""
    kept = set()
    for g, values in enumerate(rows):
        order = sorted(range(len(values)), key=lambda u: (-values[u], u))
        kept |= {(g, u) for u in order[: floors[g]]}
    rest = sorted(
        ((g, u) for g, values in enumerate(rows) for u in range(len(values)) if (g, u) not in kept),
        key=lambda at: (-rows[at[0]][at[1]], at),
    )
    kept |= set(rest[: count - len(kept)])
    return {f"g{g}": [int((g, u) in kept) for u in range(len(values))] for g, values in enumerate(rows)}


@given(NETS, st.floats(0.05, 1.0), st.sampled_from([0.0, 0.2, 0.5]))
def test_it_is_one_stable_sort_after_the_floors(rows, density, min_share):
    groups = [row(f"g{i}", len(values)) for i, values in enumerate(rows)]
    scores = {f"g{i}": torch.tensor(values) for i, values in enumerate(rows)}
    count = round(density * sum(map(len, rows)))
    floors = [max(1, math.ceil(min_share * len(values))) for values in rows]
    if count < sum(floors):
        with pytest.raises(BudgetError, match="but the groups can keep"):
            Global(min_share=min_share)(groups, scores, density)
        return
    assert lists(Global(min_share=min_share)(groups, scores, density)) == by_sorting(rows, count, floors)


@pytest.mark.parametrize(
    ("normalise", "kept"),
    [
        # a = [3, 4], b = [30, 10, 20, 1]; three of six stay, one of each group in any case.
        ("none", {"a": [0, 1], "b": [1, 0, 1, 0]}),  # 20 > 3
        ("l2", {"a": [1, 1], "b": [1, 0, 0, 0]}),  # norms 5 and 37.4: 3 / 5 = 0.6 > 20 / 37.4 = 0.53
        ("mean", {"a": [0, 1], "b": [1, 0, 1, 0]}),  # means 3.5 and 15.25: 3 / 3.5 = 0.86 < 20 / 15.25 = 1.3
        ("max", {"a": [1, 1], "b": [1, 0, 0, 0]}),  # 3 / 4 > 20 / 30
        ("sum", {"a": [1, 1], "b": [1, 0, 0, 0]}),  # 3 / 7 > 20 / 61
        ("zscore", {"a": [0, 1], "b": [1, 0, 1, 0]}),  # 3 is below its mean, 20 above
    ],
)
def test_normalised_by_hand(normalise, kept):
    groups = [row("a", 2), row("b", 4)]
    scores = {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([30.0, 10.0, 20.0, 1.0])}
    assert lists(Global(normalise=normalise)(groups, scores, 0.5)) == kept


def test_removed_units_do_not_enter_the_norm():
    groups = [row("a", 3), row("b", 3)]
    scores = {"a": torch.tensor([4.0, 3.0, -math.inf]), "b": torch.tensor([12.0, 5.0, 1.0])}
    # Norms 5 and 13.04: a 0.8, 0.6; b 0.92, 0.38.
    assert lists(Global(normalise="l2")(groups, scores, 0.5)) == {"a": [1, 1, 0], "b": [1, 0, 0]}


@pytest.mark.parametrize("normalise", ["none", "l2", "mean", "max", "sum", "zscore"])
def test_scores_of_zero_everywhere_still_give_the_count(normalise):
    groups = [row("a", 4), row("b", 4)]
    keep = Global(normalise=normalise)(groups, {"a": torch.zeros(4), "b": torch.ones(4)}, 0.5)
    assert sum(int(k.sum()) for k in keep.values()) == 4


def test_normalising_keeps_close_scores_apart():
    # Eight neighbours in float32 just below 2, which divided by a mean of 1.85 lie closer than float32 can tell.
    close = torch.cat([1.9 + torch.arange(8) * 2**-23, torch.full((8,), 1.8)])
    assert len(set(close.tolist())) == 9
    for count in range(1, 9):
        keep = Global(normalise="mean")([row("a", 16)], {"a": close}, count / 16)
        assert lists(keep) == {"a": [0] * (8 - count) + [1] * count + [0] * 8}


def test_whole_numbers_and_halves_meet_without_loss():
    groups = [row("a", 2), row("b", 2), row("c", 2)]
    scores = {
        "a": torch.tensor([2**30 + 2, 2**30 + 3]),
        "b": torch.tensor([0.5, 1.0], dtype=torch.bfloat16),
        "c": torch.tensor([2.0**30 + 1, 2.0**30 + 4], dtype=torch.float64),
    }
    # In float32 the whole numbers would be 2 ** 30, below the first of c.
    assert lists(Global()(groups, scores, 4 / 6)) == {"a": [1, 1], "b": [0, 1], "c": [0, 1]}


@given(
    st.lists(st.tuples(st.integers(1, 24), st.sampled_from([1, 2, 4, 8])), min_size=1, max_size=4),
    st.integers(0, 1000),
    st.booleans(),
)
def test_multiples_are_kept_nest_and_never_exceed(rows, seed, ties):
    groups = [row(f"g{i}", n, multiple_of=m) for i, (n, m) in enumerate(rows)]
    generator = torch.Generator().manual_seed(seed)
    scores = {g.name: torch.randn(g.size, generator=generator) for g in groups}
    if ties:
        scores = {name: s.round() for name, s in scores.items()}
    units = sum(g.size for g in groups)
    least = sum(min(g.size, g.multiple_of) for g in groups)
    smaller = None
    for count in range(least, units + 1):
        keep = Global()(groups, scores, count / units)
        kept = {g.name: int(keep[g.name].sum()) for g in groups}
        assert all(kept[g.name] % g.multiple_of == 0 or kept[g.name] == g.size for g in groups)
        assert count - max(g.multiple_of for g in groups) < sum(kept.values()) <= count
        assert smaller is None or all(bool((keep[g.name] | ~smaller[g.name]).all()) for g in groups)
        smaller = keep
    assert all(bool(k.all()) for k in keep.values())


def test_portions_compete_by_their_mean():
    groups = [row("a", 4, multiple_of=2), row("b", 3)]
    scores = {"a": torch.tensor([9.0, 0.0, 8.0, 5.0]), "b": torch.tensor([3.0, 4.0, 2.0])}
    # Floors: a keeps 9 and 8, b keeps 4. Then b's 3, then a's (5 + 0) / 2 = 2.5 twice, then b's 2.
    assert lists(Global()(groups, scores, 4 / 7)) == {"a": [1, 0, 1, 0], "b": [1, 1, 0]}
    assert lists(Global()(groups, scores, 5 / 7)) == {"a": [1, 0, 1, 0], "b": [1, 1, 0]}
    assert lists(Global()(groups, scores, 6 / 7)) == {"a": [1, 1, 1, 1], "b": [1, 1, 0]}


def test_more_than_may_be_kept():
    groups = [row("a", 3), row("b", 3)]
    scores = {"a": torch.tensor([1.0, -math.inf, -math.inf]), "b": torch.tensor([1.0, 2.0, -math.inf])}
    assert lists(Global()(groups, scores, 0.5)) == {"a": [1, 0, 0], "b": [1, 1, 0]}
    with pytest.raises(BudgetError, match="asks for 4 of 6 units, but the groups can keep 2 to 3"):
        Global()(groups, scores, 0.67)


def test_a_floor_that_may_not_be_kept():
    scores = {"a": torch.tensor([1.0, -math.inf, -math.inf, -math.inf])}
    with pytest.raises(BudgetError, match="group 'a' is to keep at least 2 units, but only 1 of 4 may be kept"):
        Global(min_share=0.5)([row("a", 4)], scores, 0.5)


def test_options_out_of_range():
    with pytest.raises(BudgetError, match="normalise='L2' is unknown; choose from none, l2, mean"):
        Global(normalise="L2")
    with pytest.raises(BudgetError, match=r"min_share=1\.5 is outside \[0, 1\]"):
        Global(min_share=1.5)


def test_lamp_scores_never_empty_a_layer():
    # Hand-made LAMP scores: the largest of each layer is exactly 1, whatever the layer's scale.
    groups = [row("a", 3), row("b", 3)]
    scores = {"a": torch.tensor([0.1, 0.5, 1.0]), "b": torch.tensor([1.0, 0.9, 0.8])}
    assert lists(Global()(groups, scores, 1 / 3)) == {"a": [0, 0, 1], "b": [1, 0, 0]}
    assert lists(Global()(groups, scores, 2 / 3)) == {"a": [0, 0, 1], "b": [1, 1, 1]}


def test_no_groups_no_masks():
    assert Global()([], {}, 0.5) == {}


def test_infinite_scores_are_refused_by_name():
    with pytest.raises(SignalError, match=r"1 of 2 scores of group 'b' are NaN or \+inf"):
        Global()([row("a", 2), row("b", 2)], {"a": torch.ones(2), "b": torch.tensor([1.0, math.inf])}, 0.5)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"w": [1.0, 2.0, 3.0, 4.0]}, "the scores of group 'w' are of type list; give a tensor with a value for"),
        ({"w": torch.ones(4).numpy()}, "the scores of group 'w' are of type ndarray; give a tensor"),
        ({"w": torch.ones(4, device="meta")}, "the scores of group 'w' are on the meta device; give a tensor .* its 4"),
        ([torch.ones(4)], "scores needs tensors by group name, as nw.score gives them, not a list"),
        (torch.ones(4), "scores needs tensors by group name, as nw.score gives them, not a Tensor"),
    ],
)
@pytest.mark.parametrize("allocator", [Global(), Uniform(), ErdosRenyi(), RowWise(), Patterned()])
def test_scores_that_are_no_tensors_by_name_are_refused(allocator, scores, message):
    groups = [row("w", 4, shape=(2, 2))]
    for allocate in (allocator, lambda groups, scores, density: ranked(groups, scores, density=density)):
        with pytest.raises(SignalError, match=message):
            allocate(groups, scores, 0.5)
