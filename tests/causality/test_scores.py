"""All pairs at once: each score is the pair's own, whatever the frame and the number of workers."""

import dataclasses

import numpy as np
import pytest

from niwaki.causality import (
    CrossMapping,
    EmbeddingEntropy,
    Granger,
    InterventionalEntropy,
    Surrogates,
    TransferEntropy,
    as_table,
    cross_mapping,
    embedding_entropy,
    granger,
    interventional_embedding_entropy,
    score_matrix,
    transfer_entropy,
)
from niwaki.causality.systems import logistic_maps

PAIRS = [
    (InterventionalEntropy(2), lambda x, y: interventional_embedding_entropy(x, y, 2)),
    (Granger(2), lambda x, y: granger(x, y, 2)),
    (TransferEntropy(), transfer_entropy),
    (CrossMapping(), cross_mapping),
    (EmbeddingEntropy(), embedding_entropy),
]


@pytest.fixture(scope="module")
def series():
    return logistic_maps((3.6, 3.8, 3.7), [(2, 0), (2, 1)], coupling=0.2, length=200).series


@pytest.mark.parametrize(("method", "pair"), PAIRS, ids=lambda p: type(p).__name__)
def test_every_score_is_the_pairs_own(series, method, pair):
    scores = score_matrix(series, method, standardise="none")
    assert np.isnan(np.diag(scores.values)).all()
    for i in range(3):
        for j in range(3):
            if i != j:
                assert scores.values[i, j] == pytest.approx(pair(series[:, i], series[:, j]), abs=1e-12)
    assert scores.names == ("x0", "x1", "x2")
    assert scores.score("x2", "x0") == scores.values[2, 0]
    assert (scores.method, scores.standardise, scores.notes, scores.null.shape) == (method, "none", (), (0, 3, 3))


@pytest.mark.parametrize(("method", "pair"), PAIRS, ids=lambda p: type(p).__name__)
def test_an_index_has_what_surrogates_and_settings_need(method, pair):
    assert method.window >= 1
    assert dataclasses.replace(method, order=3).window == 3
    assert hash(method) == hash(dataclasses.replace(method))


def test_vector_variables_and_names(series):
    frame = {"pair": series[:, :2], "driver": series[:, 2]}
    scores = score_matrix(frame, standardise="none")
    expected = interventional_embedding_entropy(series[:, 2], series[:, :2])
    assert scores.score("driver", "pair") == pytest.approx(expected, abs=1e-12)


def test_frames_of_pandas_and_polars(series):
    pandas = pytest.importorskip("pandas", reason="for its frames")
    polars = pytest.importorskip("polars", reason="for its frames")
    columns = {name: series[:, i] for i, name in enumerate("abc")}
    expected = score_matrix(columns)
    for frame in (pandas.DataFrame(columns), polars.DataFrame(columns), pandas.DataFrame(columns, index=range(7, 207))):
        found = score_matrix(frame)
        assert found.names == ("a", "b", "c")
        assert np.array_equal(found.values, expected.values, equal_nan=True)


def test_lists_and_whole_numbers():
    table = as_table({"a": [1, 2, 3], "b": [True, False, True]})
    assert [block.tolist() for block in table.series] == [[[1.0], [2.0], [3.0]], [[1.0], [0.0], [1.0]]]
    assert as_table(np.zeros((4, 2))).length == 4


@pytest.mark.parametrize("how", ["zscore", "minmax", "rank"])
def test_standardised_columns(series, how):
    expected = series.copy()
    if how == "zscore":
        expected = (series - series.mean(0)) / series.std(0)
    elif how == "minmax":
        expected = (series - series.min(0)) / (series.max(0) - series.min(0))
    else:
        stats = pytest.importorskip("scipy.stats", reason="the oracle is SciPy's")
        expected = (stats.rankdata(series, axis=0) - 1) / (len(series) - 1)
    one, other = score_matrix(series, standardise=how), score_matrix(expected, standardise="none")
    np.testing.assert_allclose(one.values, other.values, atol=1e-9)


def test_ranks_of_equal_values_are_their_mean():
    from niwaki.causality.embedding import standardised

    ranks = standardised(np.array([[3.0], [1.0], [3.0], [2.0], [3.0]]), "rank")
    # 1 < 2 < 3 = 3 = 3: ranks 0, 1, and (2 + 3 + 4) / 3 = 3, over 4.
    assert ranks.ravel().tolist() == [0.75, 0.0, 0.75, 0.25, 0.75]


@pytest.mark.parametrize("kind", ["shift", "iaaft"])
def test_workers_change_no_bit(series, kind):
    joblib = pytest.importorskip("joblib", reason="for several workers")
    how = Surrogates(3, kind)
    alone = score_matrix(series, surrogates=how)
    with joblib.parallel_config(backend="threading"):
        threads = score_matrix(series, surrogates=how, n_jobs=2)
    for other in (threads, score_matrix(series, surrogates=how, n_jobs=2)):
        assert np.array_equal(alone.values, other.values, equal_nan=True)
        assert np.array_equal(alone.null, other.null, equal_nan=True)


def test_the_backend_is_the_users(series):
    joblib = pytest.importorskip("joblib", reason="for several workers")
    import threading

    seen = set()

    class Spy:
        window = 1

        def check(self, length):
            pass

        def prepare(self, effect):
            seen.add(threading.get_ident())
            return lambda causes: np.zeros(len(causes))

    with joblib.parallel_config(backend="threading", n_jobs=2):
        score_matrix(series, Spy())  # an object that only has what `Index` asks for; it cannot be sent to a process
    assert seen
    assert threading.get_ident() not in seen


def test_surrogate_scores_are_those_of_the_shifted_cause(series):
    how = Surrogates(4, min_shift=30, seed=2)
    scores = score_matrix(series, standardise="none", surrogates=how)
    copies = how.copies(as_table(series), 1)
    for number in range(4):
        shifted = copies(number, 2)
        expected = interventional_embedding_entropy(shifted, series[:, 0])
        assert scores.null[number, 2, 0] == pytest.approx(expected, abs=1e-12)


def test_what_limits_conclusions_is_said(series):
    frame = {"a": series[:, 0].copy(), "still": np.full(200, 3.0), "b": series[:, 1], "copy": series[:, 0].copy()}
    frame["a"][5], frame["copy"][5] = 0.0, -0.0  # the same number
    scores = score_matrix(frame, surrogates=19)
    assert scores.notes == (
        "'still' is constant: nothing can be said of it, its scores are 0",
        "'copy' equals 'a': which of the two acts cannot be told",
    )
    assert (scores.values[1, [0, 2, 3]] == 0).all()
    assert (scores.values[[0, 2, 3], 1] == 0).all()
    assert (scores.null[:, 1, [0, 2, 3]] == 0).all()
    still = score_matrix({"one": np.zeros(50), "other": np.ones(50)})
    assert still.values[0, 1] == 0


@pytest.mark.parametrize(("method", "pair"), PAIRS, ids=lambda p: type(p).__name__)
def test_constants_score_nothing_by_any_index(series, method, pair):
    scores = score_matrix({"moves": series[:, 0], "still": np.full(200, 0.1)}, method)
    assert scores.score("moves", "still") == scores.score("still", "moves") == 0
    assert pair(series[:, 0], np.full(200, 0.1)) == pair(np.full(200, 0.1), series[:, 0]) == 0
