"""AUROC and AUPR are scikit-learn's, and the truth may be a matrix or a list of edges."""

import numpy as np
import pytest

from niwaki.causality import ScoreMatrix, evaluate, score_matrix


def _values(n, seed, ties):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 4, (n, n)).astype(float) if ties else rng.normal(size=(n, n))


@pytest.mark.parametrize("ties", [False, True])
def test_areas_are_scikit_learns(ties):
    metrics = pytest.importorskip("sklearn.metrics", reason="the oracle is scikit-learn's")
    for seed in range(10):
        values = _values(6, seed, ties)
        truth = np.random.default_rng(100 + seed).random((6, 6)) < 0.3
        truth[0, 1], truth[1, 0] = True, False
        off = ~np.eye(6, dtype=bool)
        found = evaluate(values, truth)
        assert found.auroc == pytest.approx(metrics.roc_auc_score(truth[off], values[off]), abs=1e-12)
        assert found.aupr == pytest.approx(metrics.average_precision_score(truth[off], values[off]), abs=1e-12)
        assert (found.edges, found.pairs) == (truth[off].sum(), 30)
        assert found.prevalence == truth[off].sum() / 30


def test_by_hand_with_names_and_unknown_pairs():
    # a>b 4, b>a 1, a>c 3, c>a 2, b>c 5, c>b 0. Edges a>b and a>c. Above them stands b>c alone: of 2 x 4 comparisons 6
    # are won. Precision at the edges 1/2 and 2/3, mean 7/12.
    values = np.array([[np.nan, 4, 3], [1, np.nan, 5], [2, 0, np.nan]])
    scores = ScoreMatrix(("a", "b", "c"), values, None, "none", np.empty((0, 3, 3)))
    truth = [("a", "b"), ("a", "c")]
    found = evaluate(scores, truth)
    assert found.auroc == 0.75
    assert found.aupr == pytest.approx(7 / 12)
    without = evaluate(scores, truth, ignore=[("b", "c")])
    assert (without.auroc, without.aupr, without.pairs) == (1.0, 1.0, 5)


def test_truths_as_frames_and_matrices():
    pandas = pytest.importorskip("pandas", reason="for its frames")
    series = np.random.default_rng(0).normal(size=(100, 3))
    scores = score_matrix(series)
    matrix = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 0]])
    found = [evaluate(scores, t) for t in (matrix, pandas.DataFrame(matrix), [("x0", "x1"), ("x2", "x0")])]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (np.zeros((2, 2)), r"the truth has shape \(2, 2\); 3 variables take \[3, 3\]"),
        (np.full((3, 3), 0.5), "the truth holds something other than 0 and 1; row = cause, column = effect"),
        (np.zeros((3, 3)), "0 of 6 compared pairs are true edges; AUROC needs edges and others"),
        (np.ones((3, 3)), "6 of 6 compared pairs are true edges"),
        ([("x0", "y")], r"\('x0', 'y'\) is no pair \(cause, effect\) of the variables x0, x1, x2"),
        ([("x0", "x1", "x2")], "is no pair"),
    ],
)
def test_truths_that_do_not_fit(truth, message):
    with pytest.raises(ValueError, match=message):
        evaluate(_values(3, 0, False), truth)


def test_scores_that_do_not_fit():
    with pytest.raises(ValueError, match=r"scores of shape \(3,\) are no matrix of ordered pairs; give \[n, n\]"):
        evaluate(np.zeros(3), [])
    values = np.zeros((3, 3))
    values[0, 1] = np.nan
    with pytest.raises(ValueError, match="1 compared pairs have no finite score"):
        evaluate(values, [("x0", "x2")])
