"""Sharing out: against the published iteration, and against granting one unit at a time."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niwaki.allocate import Claim, capped, proportional


def iterated(sizes, weights, density):
    """The published procedure, word for word: make the highest dense while one is above 1, then solve again."""
    dense: set[int] = set()
    while True:
        rest = [i for i in range(len(sizes)) if i not in dense]
        if not rest:
            return None, dense
        right = sum(density * sizes[i] for i in rest) - sum((1 - density) * sizes[i] for i in dense)
        factor = right / sum(weights[i] * sizes[i] for i in rest)
        highest = max(weights[i] for i in rest)
        if factor * highest <= 1:
            return factor, dense
        dense |= {i for i in rest if weights[i] == highest}


LAYERS = st.lists(
    st.tuples(st.integers(1, 60), st.fractions(Fraction(1, 40), Fraction(3), max_denominator=40)),
    min_size=1,
    max_size=8,
)


@given(LAYERS, st.fractions(Fraction(1, 100), Fraction(99, 100)))
def test_capping_equals_the_published_iteration(layers, density):
    sizes, weights = [n for n, _ in layers], [w for _, w in layers]
    factor, dense = iterated(sizes, weights, density)
    found = capped(sizes, [float(w) for w in weights], float(density * sum(sizes)))
    shares = [min(1.0, found * float(w)) for w in weights]
    expected = [1.0 if i in dense else float(factor * w) for i, w in enumerate(weights)]
    assert shares == pytest.approx(expected, abs=1e-9)


def test_capping_at_the_whole_makes_all_dense():
    factor = capped([4, 7, 9], [0.5, 0.1, 2.0], 20.0)
    assert [min(1.0, factor * w) for w in [0.5, 0.1, 2.0]] == pytest.approx([1, 1, 1])


def one_at_a_time(claims, total):
    """Grant the cheapest portion until the next does not fit; exact arithmetic."""
    given_to = [min(-(-c.floor // c.portion) * c.portion, c.size) for c in claims]
    while True:
        offers = []
        for i, claim in enumerate(claims):
            after = min(given_to[i] + claim.portion, claim.size)
            if after > given_to[i]:
                middle = Fraction(given_to[i] + after, 2)
                offers.append((middle / (Fraction(claim.weight) * claim.size), i, after))
        if not offers:
            return given_to
        _, i, after = min(offers)
        if sum(given_to) - given_to[i] + after > total:
            return given_to
        given_to[i] = after


# Weights that are powers of two keep the prices of equal claims exactly equal in floating point as well.
CLAIMS = st.lists(
    st.builds(Claim, st.sampled_from([1, 2, 4, 8, 16, 32]), st.sampled_from([0.25, 0.5, 1.0, 2.0]), st.integers(0, 1)),
    min_size=1,
    max_size=6,
)
PORTIONED = st.lists(
    st.builds(
        Claim, st.integers(4, 40), st.sampled_from([0.25, 0.5, 1.0]), st.integers(0, 4), st.sampled_from([1, 2, 3, 8])
    ),
    min_size=1,
    max_size=6,
)


@given(st.one_of(CLAIMS, PORTIONED), st.data())
def test_shares_equal_granting_one_portion_at_a_time(claims, data):
    least = sum(c.granted(-(-c.floor // c.portion)) for c in claims)
    total = data.draw(st.integers(least, sum(c.size for c in claims)))
    assert proportional(claims, total) == one_at_a_time(claims, total)


@settings(max_examples=20)
@given(CLAIMS)
def test_single_units_meet_every_total_and_nest(claims):
    totals = range(sum(c.floor for c in claims), sum(c.size for c in claims) + 1)
    shares = [proportional(claims, total) for total in totals]
    assert [sum(s) for s in shares] == list(totals)
    for smaller, larger in zip(shares, shares[1:], strict=False):
        assert all(a <= b for a, b in zip(smaller, larger, strict=True))


def test_by_hand():
    # Prices of a, weight 1 * size 4: 1/8, 3/8, 5/8, 7/8. Of b, weight 0.5 * size 8: the same, then 9/8 ...; a is first.
    claims = [Claim(4, 1.0), Claim(8, 0.5)]
    assert proportional(claims, 3) == [2, 1]
    assert proportional(claims, 8) == [4, 4]
    assert proportional(claims, 10) == [4, 6]


def test_a_portion_that_does_not_fit_ends_the_sharing():
    # Middles of a's portions: 4, 12; of b's: 2, 6, 10, 14 (weight * size is 16 for both). Order: b4 a8 b8 b12 a16 ...
    claims = [Claim(16, 1.0, portion=8), Claim(16, 1.0, portion=4)]
    assert [proportional(claims, t) for t in (3, 4, 11, 12, 16, 20, 27, 28)] == [
        [0, 0], [0, 4], [0, 4], [8, 4], [8, 8], [8, 12], [8, 12], [16, 12],
    ]  # fmt: skip


def test_of_equal_prices_the_first_claim_blocks_the_second():
    # Both first portions cost 1/4: 4 / 16 and 2 / 8. What 4 gave to the second, 8 would have to take away again.
    claims = [Claim(16, 1.0, portion=8), Claim(8, 1.0, portion=4)]
    assert [proportional(claims, total) for total in (4, 8, 12)] == [[0, 0], [8, 0], [8, 4]]
