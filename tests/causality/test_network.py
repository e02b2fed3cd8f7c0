"""A network ranks and tests every ordered pair, in the manner of scikit-learn."""

import numpy as np
import pytest

from niwaki.causality import (
    CausalNetwork,
    Edge,
    Granger,
    InterventionalEntropy,
    Surrogates,
    benjamini_hochberg,
    max_statistic,
    p_values,
    score_matrix,
)
from niwaki.causality.systems import logistic_maps


@pytest.fixture(scope="module")
def series():
    return logistic_maps((3.6, 3.8, 3.7), [(2, 0), (2, 1)], coupling=0.2, length=400).series


def test_edges_are_scores_and_their_p_values(series):
    network = CausalNetwork(InterventionalEntropy(2), surrogates=49, seed=3).fit(series)
    scores = score_matrix(series, InterventionalEntropy(2), surrogates=Surrogates(49, seed=3))
    p = p_values(scores.values, scores.null)
    q = benjamini_hochberg(p)
    assert len(network.edges_) == 6
    assert [e.score for e in network.edges_] == sorted((e.score for e in network.edges_), reverse=True)
    for edge in network.edges_:
        i, j = (scores.names.index(name) for name in (edge.source, edge.target))
        assert edge == Edge(edge.source, edge.target, scores.values[i, j], p[i, j], q[i, j], bool(q[i, j] <= 0.05))
    assert np.array_equal(network.scores_.values, scores.values, equal_nan=True)
    assert np.array_equal(network.p_, p, equal_nan=True)
    assert np.array_equal(network.q_, q, equal_nan=True)
    assert network.names_ == ("x0", "x1", "x2")


def test_both_true_edges_come_first(series):
    network = CausalNetwork(InterventionalEntropy(2), correction="max", surrogates=199).fit(series)
    assert {(e.source, e.target) for e in network.edges_[:2]} == {("x2", "x0"), ("x2", "x1")}
    assert all(e.significant for e in network.edges_[:2])
    assert np.array_equal(network.q_, max_statistic(network.scores_.values, network.scores_.null), equal_nan=True)


def test_without_surrogates_nothing_is_called_significant(series):
    network = CausalNetwork(surrogates=0).fit(series)
    assert all(np.isnan(e.p) and np.isnan(e.q) and e.significant is None for e in network.edges_)


def test_edges_become_a_frame(series):
    pandas = pytest.importorskip("pandas", reason="for its frames")
    frame = pandas.DataFrame(CausalNetwork(surrogates=19).fit(pandas.DataFrame(series, columns=list("abc"))).edges_)
    assert list(frame.columns) == ["source", "target", "score", "p", "q", "significant"]
    assert len(frame) == 6


def test_equal_scores_stay_in_the_order_of_the_names():
    flat = CausalNetwork(surrogates=0).fit({"a": np.zeros(40), "b": np.ones(40), "c": np.zeros(40)})
    assert [(e.source, e.target) for e in flat.edges_] == [
        ("a", "b"), ("a", "c"), ("b", "a"), ("b", "c"), ("c", "a"), ("c", "b"),
    ]  # fmt: skip


def test_few_surrogates_for_many_pairs_are_noted():
    series = np.random.default_rng(0).normal(size=(150, 5))
    few = CausalNetwork(surrogates=19).fit(series)
    # 20 pairs, least p 1/20: Benjamini and Hochberg need 20 * 0.05 / m <= 0.05, so m = 20 edges at once; a single one
    # needs a p value of 0.05 / 20 = 1/400.
    assert min(e.p for e in few.edges_) == 0.05  # alone it would do; among twenty pairs it does not
    assert not any(e.significant for e in few.edges_)
    assert few.notes_ == (
        "with 19 surrogates and 20 pairs, fewer than 20 edges of the least p value are not enough for any to be "
        "significant; 399 surrogates would find a single one",
    )
    assert CausalNetwork(surrogates=19, correction="max").fit(series).notes_ == ()


def test_settings_are_read_and_changed_in_scikit_learns_manner():
    network = CausalNetwork(InterventionalEntropy(2), alpha=0.1)
    params = network.get_params()
    assert (params["alpha"], params["method__order"], params["method__neighbours"]) == (0.1, 2, 10)
    assert "method__order" not in network.get_params(deep=False)
    assert network.set_params(alpha=0.2, method__k=3) is network
    assert (network.alpha, network.method) == (0.2, InterventionalEntropy(2, 3))
    assert network.set_params(method__order=4, method=Granger()).method == Granger(4)
    assert CausalNetwork().set_params(method__order=3).method == InterventionalEntropy(3)
    with pytest.raises(ValueError, match="there is no setting 'gamma'; the names are method, standardise"):
        network.set_params(gamma=1)
    with pytest.raises(ValueError, match="there is no setting 'method__k'"):
        network.set_params(method__k=1)
    assert repr(CausalNetwork(Granger())).startswith("CausalNetwork(method=Granger(order=1, lag=1, intercept=True), ")


def test_scikit_learn_clones_it(series):
    base = pytest.importorskip("sklearn.base", reason="its own clone is the test")
    network = CausalNetwork(InterventionalEntropy(2), surrogates=19, correction="max").fit(series)
    copy = base.clone(network)
    assert copy.get_params() == network.get_params()
    assert not hasattr(copy, "edges_")
    assert copy.fit(series).edges_ == network.edges_


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"correction": "bonferroni"}, "correction='bonferroni' is unknown; choose from fdr, max"),
        ({"alpha": 1.0}, r"alpha=1.0 is outside \(0, 1\)"),
        ({"surrogates": 18}, "18 surrogates reach no p value below 0.0526.*alpha=0.05; ask for at least 19"),
        ({"surrogates": -1}, "surrogates=-1 will not do; give a whole number of at least 0"),
        ({"surrogates": 9.5, "alpha": 0.5}, "surrogates=9.5 will not do"),
        ({"standardise": "unit"}, "standardise='unit' is unknown; choose from none, zscore, minmax, rank"),
    ],
)
def test_settings_that_will_not_do(series, settings, message):
    with pytest.raises(ValueError, match=message):
        CausalNetwork(**settings).fit(series)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # multiprocessing forks beside torch's threads
@pytest.mark.parametrize("backend", [None, "threading", "loky", "multiprocessing"])
def test_progress_counts_the_effects(series, backend):
    joblib = pytest.importorskip("joblib", reason="for several workers")
    told = []
    if backend is None:
        network = CausalNetwork(surrogates=0).fit(series, progress=lambda *counts: told.append(counts))
    else:
        with joblib.parallel_config(backend=backend, n_jobs=2):
            network = CausalNetwork(surrogates=0).fit(series, progress=lambda *counts: told.append(counts))
    assert told == [(1, 3), (2, 3), (3, 3)]
    alone = CausalNetwork(surrogates=0).fit(series)
    assert np.array_equal(network.scores_.values, alone.scores_.values, equal_nan=True)


def _stop_after(effects):
    def progress(done, every):
        if done == effects:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("backend", [None, "threading", "loky"])
def test_what_is_scored_before_ctrl_c_is_kept(series, backend):
    joblib = pytest.importorskip("joblib", reason="for several workers")
    stats = pytest.importorskip("scipy.stats", reason="the oracle")
    whole = CausalNetwork(surrogates=39).fit(series)
    with joblib.parallel_config(**({} if backend is None else {"backend": backend, "n_jobs": 2})):
        part = CausalNetwork(surrogates=39).fit(series, progress=_stop_after(2))
        with pytest.raises(KeyboardInterrupt):  # who did not ask for a part is stopped
            score_matrix(series, progress=_stop_after(2))
    assert (whole.complete_, part.complete_) == (True, False)
    assert np.array_equal(part.scores_.values[:, :2], whole.scores_.values[:, :2], equal_nan=True)
    assert np.array_equal(part.scores_.null[..., :2], whole.scores_.null[..., :2], equal_nan=True)
    assert np.isnan(part.scores_.values[:, 2]).all()
    assert np.array_equal(part.p_[:, :2], whole.p_[:, :2], equal_nan=True)
    # The worst that could come: the p values of the missing pairs are all 1.
    worst = whole.p_.copy()
    worst[[0, 1], 2] = 1.0
    there = ~np.eye(3, dtype=bool)
    worst[there] = stats.false_discovery_control(worst[there])
    worst[[0, 1], 2] = np.nan
    np.testing.assert_allclose(part.q_, worst, rtol=1e-12)
    assert len(part.edges_) == 4
    assert part.notes_[0].startswith(
        "stopped early: only the causes of 2 of 3 series were scored (x0, x1); p values are"
    )


def test_the_largest_score_of_all_pairs_is_not_guessed(series):
    part = CausalNetwork(correction="max").fit(series, progress=_stop_after(1))
    assert np.isnan(part.q_).all() and not np.isnan(part.p_[1:, 0]).any()
    assert [edge.significant for edge in part.edges_] == [None, None]
    assert part.notes_[0].endswith("adjusted by the largest score of all pairs cannot be given")
    bare = CausalNetwork(surrogates=0).fit(series, progress=_stop_after(1))
    assert bare.notes_[0] == "stopped early: only the causes of 1 of 3 series were scored (x0)"


def test_ctrl_c_before_anything_is_scored_stops(series):
    class Stopped:
        window = 1

        def check(self, length):
            pass

        def prepare(self, effect):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CausalNetwork(Stopped(), surrogates=0).fit(series)
