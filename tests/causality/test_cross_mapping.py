"""Cross mapping: the plain loop, convergence, and the values that the published package expects of its own data."""

import csv
from pathlib import Path

import numpy as np
import pytest

from niwaki.causality import CrossMapping, convergent_cross_mapping, cross_mapping, score_matrix
from niwaki.causality.cross_mapping import _weights
from niwaki.causality.systems import logistic_maps
from tests.causality import oracle

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "causal"


@pytest.mark.parametrize(("order", "theiler"), [(2, None), (3, 6)])
def test_it_is_the_plain_loop(loops, order, theiler):
    x, y = np.random.default_rng(0).normal(size=(2, 90))
    assert cross_mapping(x, y, order, theiler) == pytest.approx(
        oracle.cross_map(x, y, order, theiler or order), abs=1e-12
    )


def test_it_knows_no_units_of_the_cause():
    x, y = logistic_maps((3.7, 3.7), [(0, 1)], coupling=0.2, length=400).series.T
    assert cross_mapping(3 - 1000 * x, y) == pytest.approx(cross_mapping(x, y), abs=1e-9)
    assert cross_mapping(x, y) > 0.8 > cross_mapping(y, x) + 0.2


def test_states_that_repeat_weigh_alone():
    # y runs through 0 1 2 3 again and again, so that every state has exact copies and x is foretold without error.
    turn = np.arange(80) % 4
    assert cross_mapping(np.array([5.0, 1.0, 4.0, 2.0])[turn], turn) == pytest.approx(1.0, abs=1e-12)


def test_copies_of_a_state_outweigh_what_lies_apart():
    # From the state at 2: a copy of it, and another one step away, which would have weight e^-1 were the nearest apart.
    weights = _weights(np.array([[2.0], [2.0], [3.0]]), np.array([[1, 2]]), 0.0)
    assert weights[0].tolist() == [1.0, 0.0]


def test_skill_converges_where_there_is_a_cause():
    x, y = logistic_maps((3.8, 3.5), [(0, 1)], coupling=0.2, length=500).series.T
    forth = convergent_cross_mapping(x, y, [20, 100, 400], dimension=2, samples=30)
    back = convergent_cross_mapping(y, x, [20, 100, 400], dimension=2, samples=30)
    assert (np.diff(forth.skill) > 0).all()
    assert forth.gain > 0.2
    assert forth.p < 0.05
    assert forth.skill[-1] > 0.9
    assert back.skill[-1] < forth.skill[-1] - 0.3


def test_a_library_of_all_states_is_the_plain_loop(loops):
    x, y = np.random.default_rng(0).normal(size=(2, 60)).cumsum(axis=1)
    points = np.array(oracle.vectors(y, range(3), 2))
    wanted = x[1:-1]  # the first vector stands at time 2, one step after the first value foretold
    guess = []
    for i, near in enumerate(oracle.nearest(points, 4, 0)):
        d = np.array([np.linalg.norm(points[i] - points[j]) for j in near])
        w = np.maximum(np.exp(-d / d[0]), 1e-6)
        guess.append(w @ wanted[near] / w.sum())
    whole = convergent_cross_mapping(x, y, [58], dimension=3, shift=-1, samples=2)
    assert whole.samples[0] == pytest.approx([np.corrcoef(guess, wanted)[0, 1]] * 2, abs=1e-12)


def test_the_same_seed_draws_the_same_libraries():
    x, y = np.random.default_rng(0).normal(size=(2, 100))
    one, other, third = (convergent_cross_mapping(x, y, [20, 50], samples=3, seed=s).samples for s in (4, 4, 5))
    assert (one == other).all()
    assert (one != third).any()


@pytest.mark.parametrize(("cause", "effect"), [("np_sst", "anchovy"), ("anchovy", "np_sst")])
def test_anchovies_and_the_sea_surface(cause, effect):
    if not DATA.exists():
        pytest.skip("the shared data are not here")
    with (DATA / "edm_sardine_anchovy_sst.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (DATA / "edm_CCM_anch_sst_expected.csv").open() as file:
        expected = list(csv.DictReader(file))
    x, y = (np.array([float(row[name]) for row in rows]) for name in (cause, effect))
    sizes = [int(row["LibSize"]) for row in expected]
    found = convergent_cross_mapping(x, y, sizes, dimension=3, samples=200)
    published = np.array([float(row[f"{effect}:{cause}"]) for row in expected])
    # They draw 100 libraries by chance, we 200: four standard errors of the difference.
    error = found.samples.std(axis=1) * np.sqrt(1 / 100 + 1 / 200)
    assert (np.abs(found.skill - published) < 4 * error).all()
    assert error[-1] < 0.005  # at 75 of 76 states chance has little say


def test_scores_of_all_pairs_by_cross_mapping():
    series = logistic_maps((3.6, 3.8, 3.7), [(2, 0), (2, 1)], coupling=0.1, length=600).series
    scores = score_matrix(series, CrossMapping())
    assert scores.score("x2", "x0") > 0.9
    assert scores.score("x0", "x2") < 0.6
    assert cross_mapping(series[:, 2], series[:, 0]) == pytest.approx(scores.score("x2", "x0"), abs=1e-9)


@pytest.mark.parametrize(
    ("sizes", "settings", "message"),
    [
        ([], {}, r"sizes=\[\] will not do; give ascending sizes between 5 and 48"),
        ([4], {}, r"sizes=\[4\] will not do; give ascending sizes between 5 and 48"),
        ([10, 49], {}, "ascending sizes between 5 and 48"),
        ([20, 10], {}, "ascending sizes"),
        ([20], {"dimension": 0}, "dimension=0 will not do; give a whole number of at least 1"),
        ([20], {"theiler": 30}, "48 time points, the neighbours of a vector take at least 66"),
    ],
)
def test_what_convergence_refuses(sizes, settings, message):
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    with pytest.raises(ValueError, match=message):
        convergent_cross_mapping(x, y, sizes, **settings)


def test_convergence_takes_single_series_of_one_length():
    x = np.zeros((50, 2))
    with pytest.raises(ValueError, match=r"x is \(50, 2\), y \(50, 2\); give two single series of the same times"):
        convergent_cross_mapping(x, x, [20])


def test_a_vector_too_wide_for_the_series():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="45 coordinates take 46 neighbours, but the series leaves 13"):
        cross_mapping(rng.normal(size=20), rng.normal(size=(20, 15)))
