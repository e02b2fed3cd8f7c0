"""Densities fixed beforehand: the published values, exact totals, and what cannot be met."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from niwaki.allocate import ErdosRenyi, ErdosRenyiKernel, Uniform, check_density, keep_top
from niwaki.core import BudgetError, Group, GroupError, Slice
from niwaki.structure.declare import blocks
from tests.allocate.nets import Layer, groups_of, lenet, resnet20, resnet50, row


def flops_share(layers, densities):
    return sum(layer.macs * densities[layer.name] for layer in layers) / sum(layer.macs for layer in layers)


def factor_of(layers, densities):
    """The common factor, read off a layer that is not dense."""
    layer = max(layers, key=lambda each: each.size)
    return densities[layer.name] * layer.size / sum(layer.shape)


def test_the_nets_have_the_published_sizes():
    assert sum(layer.size for layer in resnet20()) == 268_336
    assert sum(layer.macs for layer in resnet20()) / 1e6 == pytest.approx(40.55, abs=0.005)
    assert sum(layer.size for layer in resnet50()) / 1e6 == pytest.approx(25.50, abs=0.005)
    assert sum(layer.macs for layer in resnet50()) / 1e9 == pytest.approx(4.09, abs=0.005)


@pytest.mark.parametrize(
    ("density", "factor", "expected"),
    [
        (0.10, 17.264, (0.0796, 0.2302, 1.0)),
        (0.05, 8.350, (0.0385, 0.1113, 0.9185)),
        (0.02, 3.340, (0.0154, 0.0445, 0.3674)),
    ],
)
def test_erk_of_lenet(density, factor, expected):
    found = ErdosRenyiKernel().densities(groups_of(lenet()), density)
    assert tuple(found.values()) == pytest.approx(expected, abs=1e-4)
    assert factor_of(lenet(), found) == pytest.approx(factor, abs=1e-3)


RESNET20_LAYERS = ("conv1", "stage0.1", "stage1.0", "stage1.1", "stage2.0", "stage2.1", "fc")


@pytest.mark.parametrize(
    ("density", "factor", "expected", "share"),
    [
        (0.10, 18.349, (1.0, 0.3026, 0.2150, 0.1394, 0.1015, 0.0667, 1.0), 0.186),
        (0.05, 8.941, (0.5174, 0.1475, 0.1048, 0.0679, 0.0495, 0.0325, 1.0), 0.091),
        (0.02, 3.571, (0.2066, 0.0589, 0.0418, 0.0271, 0.0198, 0.0130, 0.4129), 0.036),
    ],
)
def test_erk_of_resnet20(density, factor, expected, share):
    found = ErdosRenyiKernel().densities(groups_of(resnet20()), density)
    assert tuple(found[name] for name in RESNET20_LAYERS) == pytest.approx(expected, abs=1e-4)
    assert factor_of(resnet20(), found) == pytest.approx(factor, abs=1e-3)
    assert flops_share(resnet20(), found) == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize(
    ("density", "factor", "dense", "shares", "flops"),
    [
        (0.20, 99.56, 8, {"conv1": 0.857, "fc": 0.148, "layer4.1.conv2": 0.0435}, 0.414),
        (0.10, 48.79, 1, {"conv1": 0.420, "fc": 0.0726, "layer4.1.conv2": 0.0213}, 0.242),
        (0.05, 24.37, 0, {"conv1": 0.210, "fc": 0.0363, "layer4.1.conv2": 0.0106}, 0.122),
    ],
)
def test_erk_of_resnet50(density, factor, dense, shares, flops):
    found = ErdosRenyiKernel().densities(groups_of(resnet50()), density)
    assert sum(d == 1.0 for d in found.values()) == dense
    assert {name: found[name] for name in shares} == pytest.approx(shares, abs=5e-4)
    assert factor_of(resnet50(), found) == pytest.approx(factor, abs=1e-2)
    assert flops_share(resnet50(), found) == pytest.approx(flops, abs=1e-3)


@pytest.mark.parametrize(("density", "share"), [(0.20, 0.223), (0.10, 0.126), (0.05, 0.077)])
def test_uniform_resnet50_with_a_dense_first_layer(density, share):
    found = Uniform(dense=("conv1",)).densities(groups_of(resnet50()), density)
    assert found["conv1"] == 1.0
    assert len(set(found.values())) == 2
    assert flops_share(resnet50(), found) == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize("net", [lenet, resnet20, resnet50])
@pytest.mark.parametrize("density", [0.02, 0.1, 0.5, 0.973])
@pytest.mark.parametrize("law", [Uniform(), ErdosRenyi(), ErdosRenyiKernel(), ErdosRenyiKernel(power=0.5)])
def test_counts_are_whole_exact_and_near_the_densities(net, density, law):
    groups = groups_of(net())
    counts, densities = law.counts(groups, density), law.densities(groups, density)
    assert sum(counts.values()) == round(density * sum(g.size for g in groups))
    assert all(1 <= counts[g.name] <= g.size for g in groups)
    # Each layer is rounded on its own, and what is over or missing falls on the layers in proportion to their units.
    assert all(abs(counts[g.name] - densities[g.name] * g.size) <= len(groups) for g in groups)


def test_erdos_renyi_disregards_the_kernel():
    groups = groups_of([Layer("a", (4, 6, 3, 3)), Layer("b", (8, 12))])
    densities = ErdosRenyi().densities(groups, 0.2)
    # raw: 10 / 24 and 20 / 96, so twice the density in a, although a has 216 weights and b 96.
    assert densities["a"] / densities["b"] == pytest.approx(2.0)
    assert densities["a"] * 216 + densities["b"] * 96 == pytest.approx(0.2 * 312)


def test_a_power_of_zero_is_uniform():
    groups = groups_of(resnet20())
    assert ErdosRenyiKernel(power=0.0).counts(groups, 0.1) == Uniform().counts(groups, 0.1)


def test_vectors_have_a_weight_too():
    groups = groups_of([Layer("a", (10,)), Layer("b", (5, 8))])
    # raw: 1 for the vector, 13 / 40 for the matrix; 10 e + 13 e = 10.
    found = ErdosRenyiKernel().densities(groups, 0.2)
    assert found == pytest.approx({"a": 10 / 23, "b": 10 / 23 * 13 / 40})


def test_blocks_count_as_units_and_weigh_by_the_tensor():
    model = torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.Linear(16, 8))
    groups = blocks(model, (4, 4))  # 32 blocks and 8 blocks
    # raw: 48 / 512 and 24 / 128, so twice the density in the second; 32 d + 8 * 2 d = 12.
    assert ErdosRenyiKernel().densities(groups, 0.3) == pytest.approx({"0.weight": 0.25, "1.weight": 0.5})
    assert ErdosRenyiKernel().counts(groups, 0.3) == {"0.weight": 8, "1.weight": 4}


def test_fixed_densities_by_name_prefix_and_pattern():
    groups = [row("a.weight", 10), row("b.weight", 20), row("c1.weight", 30), row("c2.weight", 40)]
    law = Uniform(dense=("a",), fixed={"c?.weight": 0.1, "c2.weight": 0.5})
    # 40 units asked: 10 dense, 3 and 20 fixed, 7 left for b.
    assert law.counts(groups, 0.4) == {"a.weight": 10, "b.weight": 7, "c1.weight": 3, "c2.weight": 20}
    assert law.densities(groups, 0.4) == pytest.approx(
        {"a.weight": 1.0, "b.weight": 0.35, "c1.weight": 0.1, "c2.weight": 0.5}
    )


def test_least_counts_come_first():
    groups = [row("a", 10, min_keep=4), row("b", 90)]
    assert Uniform().counts(groups, 0.1) == {"a": 4, "b": 6}


def test_a_least_count_above_the_size_means_all():
    assert Uniform().counts([row("a", 2, min_keep=5), row("b", 8)], 0.4) == {"a": 2, "b": 2}


@given(
    st.lists(st.tuples(st.integers(1, 50), st.sampled_from([1, 2, 4, 8]), st.integers(0, 9)), min_size=1, max_size=5),
    st.floats(0.01, 1.0),
)
def test_multiples_are_kept_and_never_exceeded(rows, density):
    groups = [row(f"g{i}", n, multiple_of=m, min_keep=k) for i, (n, m, k) in enumerate(rows)]
    asked = round(density * sum(g.size for g in groups))
    least = {g.name: min(g.size, math.ceil(g.min_keep / g.multiple_of) * g.multiple_of) for g in groups}
    if asked < sum(least.values()):
        with pytest.raises(BudgetError, match="but the groups can keep"):
            Uniform().counts(groups, density)
        return
    counts = Uniform().counts(groups, density)
    assert all(counts[g.name] % g.multiple_of == 0 or counts[g.name] == g.size for g in groups)
    assert all(counts[g.name] >= least[g.name] for g in groups)
    assert asked - max(g.multiple_of for g in groups) < sum(counts.values()) <= asked


def test_too_low_a_density_says_what_can_be_reached():
    groups = [row("conv", 10, min_keep=3), row("fc", 30, min_keep=2)]
    with pytest.raises(BudgetError) as caught:
        Uniform().counts(groups, 0.05)
    message = str(caught.value)
    assert "the density asks for 2 of 40 units, but the groups can keep 5 to 40" in message
    assert "(density 0.125 to 1)" in message
    assert "conv: 3 to 10 of 10, fc: 2 to 30 of 30" in message


def test_too_high_a_density_for_the_fixed_ones():
    groups = [row("conv", 10), row("fc", 30)]
    law = Uniform(fixed={"fc": 0.5})
    for ask in (law.counts, law.densities):
        with pytest.raises(
            BudgetError, match=r"asks for 36 of 40 units, but the groups can keep 16 to 25 .*fc: 15 to 15"
        ):
            ask(groups, 0.9)
    with pytest.raises(BudgetError, match="asks for 8 of 40 units, but the groups can keep 16 to 25"):
        law.densities(groups, 0.2)


def test_many_groups_are_not_all_listed():
    groups = [row(f"g{i}", 4, min_keep=2) for i in range(9)]
    with pytest.raises(BudgetError, match=r"g5: 2 to 4 of 4, and 3 more groups\."):
        Uniform().counts(groups, 0.1)


def test_a_fixed_density_that_fits_no_group():
    with pytest.raises(GroupError, match=r"no group matches 'conv\*', whose density is fixed; groups: a, b"):
        Uniform(fixed={"conv*": 0.5}).counts([row("a", 3), row("b", 3)], 0.5)


def test_a_fixed_density_out_of_range():
    with pytest.raises(BudgetError, match=r"density 1\.5 is outside"):
        Uniform(fixed={"a": 1.5}).counts([row("a", 3)], 0.5)


@pytest.mark.parametrize("power", [-1.0, float("nan"), 11])
def test_a_power_out_of_range(power):
    with pytest.raises(BudgetError, match=rf"power {power!r} is outside \[0, 10\]"):
        ErdosRenyiKernel(power=power)


def test_units_that_may_not_be_kept_make_a_count_impossible():
    scores = {"a": torch.tensor([1.0, -math.inf, -math.inf, -math.inf])}
    with pytest.raises(BudgetError, match="group 'a' is to keep 2 units, but only 1 of 4 may be kept"):
        Uniform()([row("a", 4)], scores, 0.5)


def test_counts_given_by_hand():
    groups = [row("a", 3), row("b", 2)]
    keep = keep_top(groups, {"a": torch.tensor([1, 3, 2]), "b": torch.tensor([1.0, 1.0])}, {"a": 2, "b": 1})
    assert {name: mask.tolist() for name, mask in keep.items()} == {"a": [False, True, True], "b": [True, False]}


@pytest.mark.parametrize("bad", [0, -0.1, 1.0001, float("nan"), float("inf"), 50])
def test_densities_out_of_range(bad):
    with pytest.raises(BudgetError, match=rf"density {bad!r} is outside \(0, 1\]; it is the share that stays"):
        check_density(bad)


@pytest.mark.parametrize("bad", ["0.1", None, True, [0.1], 1j])
def test_densities_that_are_no_numbers(bad):
    with pytest.raises(BudgetError, match="is not a number; give the share that stays"):
        check_density(bad)


def test_densities_of_other_number_types():
    assert check_density(np.float32(0.5)) == 0.5
    assert check_density(1) == 1.0


def test_no_groups_no_counts():
    assert Uniform().counts([], 0.5) == {}
    assert ErdosRenyiKernel().densities([], 0.5) == {}


def test_a_group_with_several_slices_weighs_by_the_first():
    wide = Group("a", 12, (Slice("a", (3, 4)), Slice("b", (12, 1000))))
    assert ErdosRenyiKernel().densities([wide], 0.5) == {"a": pytest.approx(0.5)}
    both = ErdosRenyiKernel().densities([wide, row("c", 12, shape=(2, 6))], 0.5)
    # raw: 7 / 12 and 8 / 12
    assert both["c"] / both["a"] == pytest.approx(8 / 7)
