"""What no index can work with is said before the work begins, with the name of the series and what to do."""

import numpy as np
import pytest

from niwaki.causality import (
    CausalityError,
    CrossMapping,
    Granger,
    InterventionalEntropy,
    TransferEntropy,
    interventional_embedding_entropy,
    score_matrix,
)

GOOD = np.random.default_rng(0).normal(size=100)


def _with(value, where=7):
    series = GOOD.copy()
    series[where] = value
    return series


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            _with(np.nan),
            "series 'x' has 1 values that are NaN or infinite, the first at time 7; fill the gaps or cut them out",
        ),
        (_with(-np.inf), "series 'x' has 1 values that are NaN or infinite"),
        (_with(1e200), r"series 'x' has values beyond 1e\+150, whose distances overflow; rescale it"),
        ([], r"series 'x' has shape \(0,\); give \[T\] or, for a vector variable, \[T, d\]"),
        (3.0, r"series 'x' has shape \(\)"),
        (np.zeros((5, 2, 2)), r"series 'x' has shape \(5, 2, 2\)"),
        (np.zeros((5, 0)), r"series 'x' has shape \(5, 0\)"),
        (["a"] * 100, "series 'x' holds <U1 values, not real numbers; leave the column out or encode it"),
        (GOOD + 1j, "series 'x' holds complex128 values, not real numbers"),
        (np.array(["a", None] * 50, dtype=object), "series 'x' holds object values, not real numbers"),
        (np.arange(100).astype("datetime64[D]"), r"series 'x' holds datetime64\[D\] values, not real numbers"),
        (GOOD[:-1], "x has 99 time points, y has 100; cut them to the same times"),
    ],
)
def test_series(bad, message):
    with pytest.raises(CausalityError, match=message):
        interventional_embedding_entropy(bad, GOOD)


def test_missing_values_in_objects_are_missing_values():
    with pytest.raises(CausalityError, match="NaN or infinite, the first at time 1"):
        interventional_embedding_entropy(np.array([1.0, None] * 50, dtype=object), GOOD)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (GOOD, r"a frame of shape \(100,\) is no table; give \[T, variables\], a data frame, or a dict of columns"),
        (GOOD[:, None], "the frame has 1 variables; a cause and an effect take at least two"),
        ({}, "the frame has 0 variables"),
        (np.zeros((0, 3)), r"series 'x0' has shape \(0,\)"),
        ({"a": GOOD, "b": GOOD[1:]}, "the series differ in length: {'a': 100, 'b': 99}; cut them to the same times"),
        ({"a": GOOD, "b": _with(np.nan)}, "series 'b' has 1 values that are NaN or infinite"),
        ({1: GOOD, "1": GOOD}, "column names appear twice: 1; rename them"),
    ],
)
def test_frames(frame, message):
    with pytest.raises(CausalityError, match=message):
        score_matrix(frame)


def test_columns_that_share_a_name():
    pandas = pytest.importorskip("pandas", reason="for its frames")
    with pytest.raises(CausalityError, match="column names appear twice: a; rename them"):
        score_matrix(pandas.DataFrame(np.zeros((50, 3)), columns=["a", "b", "a"]))
    with pytest.raises(CausalityError, match="series 'name' holds"):
        score_matrix(pandas.DataFrame({"name": ["u", "v"] * 20, "value": range(40)}))
    with pytest.raises(CausalityError, match="series 'when' holds"):
        score_matrix(pandas.DataFrame({"when": pandas.date_range("2020", periods=40), "value": range(40)}))


def test_gaps_in_whole_numbers_of_pandas():
    pandas = pytest.importorskip("pandas", reason="for its frames")
    whole = pandas.array([1, None, *range(38)], dtype="Int64")
    with pytest.raises(CausalityError, match="series 'b' has 1 values that are NaN or infinite, the first at time 1"):
        score_matrix(pandas.DataFrame({"a": range(40), "b": whole}))


def test_gaps_in_polars():
    polars = pytest.importorskip("polars", reason="for its frames")
    with pytest.raises(CausalityError, match="series 'b' has 1 values that are NaN or infinite, the first at time 2"):
        score_matrix(polars.DataFrame({"a": [1, 2, 3], "b": [1.0, 2.0, None]}))
    with pytest.raises(CausalityError, match="series 'b' holds"):
        score_matrix(polars.DataFrame({"a": [1, 2, 3], "b": ["u", "v", "w"]}))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (InterventionalEntropy(0), "order=0 will not do; give a whole number of at least 1"),
        (InterventionalEntropy(1.5), "order=1.5 will not do"),
        (InterventionalEntropy(True), "order=True will not do"),
        (InterventionalEntropy(lag=0), "lag=0 will not do"),
        (InterventionalEntropy(k=1), "k=1 will not do; give a whole number of at least 2"),
        (InterventionalEntropy(k=10), "neighbours=10 must exceed k=10: the k-th lies among the others"),
        (
            InterventionalEntropy(2, theiler=1),
            r"theiler=1 is below order \* lag = 2: neighbours would share time points",
        ),
        (InterventionalEntropy(theiler=-1), "theiler=-1 will not do"),
        (InterventionalEntropy(theiler=45), "100 time points, 10 neighbours outside a window of 45 take at least 102"),
        (InterventionalEntropy(30), "take at least 101"),
        (TransferEntropy(k=0), "k=0 will not do"),
        (TransferEntropy(k=100), "100 neighbours outside a window of 1 take at least 104"),
        (TransferEntropy(lag=40), "take at least 125"),
        (CrossMapping(2, theiler=1), r"theiler=1 is below order \* lag = 2"),
        (Granger(0), "order=0 will not do"),
        (Granger(40), "the coefficients of the forecast take at least 123"),
    ],
)
def test_settings(index, message):
    with pytest.raises(CausalityError, match=message):
        score_matrix({"a": GOOD, "b": GOOD[::-1]}, index)


def test_the_least_length_is_enough(loops):
    rng = np.random.default_rng(0)
    for index in (InterventionalEntropy(2), TransferEntropy(2, 5), CrossMapping(3), Granger(2)):
        least = next(length for length in range(1, 60) if _passes(index, length))
        values = score_matrix(rng.normal(size=(least, 2)), index).values
        assert np.isfinite(values[[0, 1], [1, 0]]).all()


def _passes(index, length):
    try:
        index.check(length)
    except CausalityError:
        return False
    return True


def test_names_that_are_not_there():
    scores = score_matrix({"a": GOOD, "b": GOOD[::-1]})
    with pytest.raises(CausalityError, match="there is no variable 'c'; the names are a, b"):
        scores.score("a", "c")


def test_an_unknown_scale():
    with pytest.raises(CausalityError, match="standardise='log' is unknown; choose from none, zscore, minmax, rank"):
        interventional_embedding_entropy(GOOD, GOOD[::-1], standardise="log")
