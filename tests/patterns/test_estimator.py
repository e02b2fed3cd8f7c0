"""The estimator: any kind of table in, the engine's findings out, as a table and as files."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from niwaki.patterns import PatternError, Search, SignificantPatterns, pack, significant_patterns
from niwaki.patterns.read import read_codes, read_transactions
from tests.patterns.test_read import DATA

N = 160


def _search(**settings):
    return SignificantPatterns(compiled=False, **settings)


@pytest.fixture(scope="module")
def data():
    """Items 1 and 3 together make the label likely, within each of three strata."""
    rng = np.random.default_rng(5)
    X = rng.random((N, 6)) < 0.5
    y = (X[:, 1] & X[:, 3]) ^ (rng.random(N) < 0.05)
    return X, y, rng.integers(0, 3, N)


def test_results_are_the_engines(data):
    X, y, c = data
    found = _search(alpha=0.01).fit(X, y, groups=c)
    expected = significant_patterns(X, y, c, Search(alpha=0.01), compiled=False)
    assert len(found.results_) == len(expected) > 0
    assert found.results_["items"][0] == ("x1", "x3")
    for row, pattern in zip(found.results_, expected, strict=True):
        assert row["items"] == tuple(f"x{item}" for item in pattern.items)
        assert (row["p"], row["samples"], row["cases"]) == (pattern.p, pattern.support, pattern.cases)
        assert row["size"] == len(pattern.items)
    assert found.complete_ and found.strata_ == ("group=0", "group=1", "group=2")
    # By hand: the samples that hold both, and those of them with label 1.
    both = X[:, 1] & X[:, 3]
    assert (found.results_["samples"][0], found.results_["cases"][0]) == (both.sum(), (both & y).sum())


def _kinds(X):
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    polars = pytest.importorskip("polars", reason="polars is not installed")
    names = [f"x{at}" for at in range(X.shape[1])]
    yield from (X.astype(np.int8), X.astype(float), X.tolist(), pack(X), np.asfortranarray(X))
    yield from (sparse.csr_array(X.astype(np.int8)), sparse.csc_matrix(X), sparse.coo_array(X))
    yield from (pandas.DataFrame(X, columns=names), polars.DataFrame(X, schema=names))
    yield from (pandas.DataFrame(X.astype(int), columns=names), {n: X[:, i] for i, n in enumerate(names)})


def test_every_kind_of_table_gives_the_same(data):
    X, y, c = data
    expected = _search().fit(X, y, groups=c).results_.rows()
    for table in _kinds(X):
        assert _search().fit(table, y, groups=c).results_.rows() == expected, type(table)


def test_labels_and_groups_of_every_kind(data):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    polars = pytest.importorskip("polars", reason="polars is not installed")
    X, y, c = data
    expected = _search().fit(X, y, groups=c).results_.rows()
    words = np.where(y, "yes", "no")
    wards = np.array(["a", "b", "c"])[c]
    for labels, groups in (
        (words.tolist(), wards.tolist()),
        (pandas.Series(words), pandas.Series(wards, name="ward")),
        (polars.Series(words), polars.Series("ward", wards)),
        (y.astype(int)[:, None], {"ward": wards}),
        (y.astype(float), pandas.DataFrame({"ward": wards, "one": 1})),
    ):
        found = _search().fit(X, labels, groups=groups)
        assert found.results_.rows() == expected
        assert len(found.strata_) == 3
    flipped = _search(positive="no").fit(X, words, groups=wards).results_.rows()
    assert [row["p"] for row in flipped] == pytest.approx([row["p"] for row in expected], rel=1e-9)
    assert flipped[0]["odds_ratio"] == pytest.approx(1 / expected[0]["odds_ratio"])


def test_columns_become_items_on_the_way():
    rng = np.random.default_rng(1)
    age = rng.integers(18, 90, 300)
    colour = rng.choice(["red", "blue"], 300)
    y = (age > 60) & (colour == "red")
    found = _search(bins=3, bins_of={"age": 2}, max_size=2).fit({"age": age, "colour": colour, "one": [1] * 300}, y)
    assert set(found.results_["items"][0]) == {found.names_[1], "colour=red"}
    assert found.names_[1].startswith("age>") and found.left_out_ == {"one": "holds for every sample"}
    assert found.strata_ == ("all",)


def test_rare_labels_are_warned_of():
    rng = np.random.default_rng(0)
    X = rng.random((400, 3)) < 0.5
    few = np.arange(400) < 20
    assert "label 1 has 5 % of the samples: where one label is that rare" in _search().fit(X, few).notes_[0]
    assert "label 1 has 95 % of the samples" in _search().fit(X, ~few).notes_[0]
    assert _search(permutations=99).fit(X, few).notes_ == ()
    assert _search().fit(X, np.arange(400) < 80).notes_ == ()


def test_scikit_learn_takes_it_as_one_of_its_own(data):
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed")
    X, y, c = data
    first = SignificantPatterns(0.01, max_size=2, compiled=False)
    twin = base.clone(first)
    assert twin is not first and twin.get_params() == first.get_params()
    assert twin.fit(X, y, groups=c).results_.rows() == first.fit(X, y, groups=c).results_.rows()
    assert first.set_params(alpha=0.02, rule="grid") is first and (first.alpha, first.rule) == (0.02, "grid")
    assert repr(SignificantPatterns(0.01, bins=3)) == "SignificantPatterns(alpha=0.01, bins=3)"
    with pytest.raises(PatternError, match="there is no setting 'alhpa'; the names are alpha, rule"):
        first.set_params(alhpa=1)


@pytest.mark.parametrize(
    ("X", "y", "groups", "message"),
    [
        (np.full((4, 2), 0.5), [0, 1, 0, 1], None, "sample 0, item 0 is 0.5; give a table with column names"),
        (np.array([[0.0, np.nan]] * 4), [0, 1, 0, 1], None, r"no value at sample 0, item 1 \(NaN\)"),
        (np.array([["a"]] * 4), [0, 1, 0, 1], None, "a matrix of <U1; give booleans or 0 and 1, or a table"),
        (np.zeros(4), [0, 1, 0, 1], None, r"X has shape \(4,\)"),
        (np.eye(4), [0, 1, 0], None, "there are 3 labels for 4 samples"),
        (np.eye(4), [0, 1, 0, 1], [1, 1, 1], "there are 3 groups for 4 samples"),
        (np.eye(4), [0, 1, 2, 1], None, "label has 3 values"),
        (np.eye(4), [1, 1, 1, 1], None, "label is '1' for every sample"),
        (np.eye(4), [0, 1, 0, 1], [1, None, 1, 1], "the covariate 'group' is missing for 1 of 4 samples"),
        ({"a": [1, 1, 1, 1]}, [0, 1, 0, 1], None, "no column makes an item: a holds for every sample"),
        (np.zeros((4, 0)), [0, 1, 0, 1], None, "no column makes an item: X has none; give columns in which samples"),
        (np.eye(3), [0, 1, 0], None, "no pattern could be significant at alpha=0.05"),
    ],
)
def test_bad_input_is_refused(X, y, groups, message):
    with pytest.raises(PatternError, match=message):
        _search().fit(X, y, groups=groups)


def test_bad_sparse_matrices_and_settings_are_refused(data):
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    X, y, c = data
    with pytest.raises(PatternError, match="the sparse matrix holds 2; binarise it first"):
        _search().fit(sparse.csr_array(2 * X.astype(int)), y, groups=c)
    with pytest.raises(PatternError, match="alpha=1.5 is outside"):
        _search(alpha=1.5).fit(X, y, groups=c)
    with pytest.raises(PatternError, match="nothing was searched yet; call fit"):
        _search().summary()


def test_one_class_strata_constant_and_equal_items_change_nothing(data):
    X, y, c = data
    expected = _search().fit(X, y, groups=c).results_.rows()
    # A stratum of label 1 alone tells nothing; its samples are only counted.
    more = np.vstack([X, np.ones((5, 6), dtype=bool)])
    found = _search().fit(more, np.append(y, [True] * 5), groups=np.append(c, [7] * 5)).results_
    assert found["p"] == pytest.approx([row["p"] for row in expected])
    constant = _search().fit(np.column_stack([X, np.ones(N), np.zeros(N)]), y, groups=c).results_
    assert constant["items"] == [row["items"] for row in expected]
    twin = _search().fit(np.column_stack([X, X[:, 1]]), y, groups=c).results_
    assert twin["p"] == pytest.approx([row["p"] for row in expected])
    assert twin["items"][0] == ("x1", "x3", "x6")


def test_an_interrupt_leaves_what_is_proven():
    rng = np.random.default_rng(2)
    X = rng.random((250, 12)) < 0.6
    y = (X[:, 1] & X[:, 3]) ^ (rng.random(250) < 0.05)
    told = []

    def interrupt(progress):
        told.append(progress.share)
        if progress.share > 0.05:
            raise KeyboardInterrupt

    part = _search(progress=interrupt).fit(X, y)
    whole = {row["items"]: row["p"] for row in _search().fit(X, y).results_}
    assert 0.05 < told[-1] < 1
    assert not part.complete_ and part.summary()["complete"] is False
    assert 0 < len(part.results_) and {row["items"]: row["p"] for row in part.results_}.items() <= whole.items()
    assert all(row["q"] is None for row in part.results_)


def test_files_hold_the_results(data, tmp_path):
    X, y, c = data
    found = _search(permutations=99).fit(X, y, groups=c)
    saved = json.loads(found.save(tmp_path / "deep" / "found.json").read_text())
    assert saved == found.summary()
    assert saved["patterns"][0]["items"] == ["x1", "x3"] and saved["settings"]["permutations"] == 99
    assert [s["samples"] for s in saved["strata"]] == np.bincount(c).tolist()
    with found.save(tmp_path / "found.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["items"] == "x1 & x3"
    assert [float(row["p"]) for row in rows] == list(found.results_["p"])
    assert float(rows[0]["adjusted"]) == found.results_["adjusted"][0] == 0.01
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    with pytest.raises(PatternError, match=r"ends in neither .json nor .csv"):
        found.save(tmp_path / "found.xlsx")
    (tmp_path / "file").write_text("")
    with pytest.raises(PatternError, match=r"cannot write .*found.csv: .*; free some space or choose another place"):
        found.save(tmp_path / "file" / "found.csv")


def test_the_table_of_results(data, monkeypatch):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y, c = data
    table = _search().fit(X, y, groups=c).results_
    frame = table.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and frame["p"].tolist() == list(table["p"])
    assert table.rows()[0]["items"] == ("x1", "x3") and len(list(table)) == len(table)
    assert repr(table).splitlines()[1].startswith("x1 & x3  2  ")
    with pytest.raises(KeyError, match="the table has no column 'pvalue'; there are items, size"):
        table["pvalue"]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(PatternError, match="pip install pandas"):
        table.to_pandas()


def test_the_reference_data_give_the_reference_numbers():
    if not DATA.is_dir():
        pytest.skip(f"the data are not beside the repository: {DATA.name}")
    items = read_transactions(DATA / "tictactoe_transactions.dat")
    y, c = (read_codes(DATA / f"tictactoe_{name}.dat", len(items.values)) for name in ("labels", "covariates"))
    # Counts of the authors' program and of an independent brute force.
    for rule, count in (("reference", 365), ("grid", 362), ("exact", 364)):
        found = SignificantPatterns(rule=rule).fit(items, y, groups=c)
        assert len(found.results_) == count
    first = found.results_.rows()[0]
    assert (first["items"], first["samples"], first["cases"]) == (("9",), 340, 192)
    assert first["p"] == pytest.approx(4.90749e-26, rel=1e-5)


def test_neither_torch_nor_scikit_learn_nor_pandas_is_loaded():
    script = (
        "import sys, numpy as np\nfrom niwaki.patterns import SignificantPatterns\n"
        "X = np.random.default_rng(0).random((99, 4)) < 0.5\n"
        "n = len(SignificantPatterns(compiled=False).fit(X, X[:, 0] & X[:, 1]).results_)\n"
        "print(n > 0, [name for name in ('torch', 'sklearn', 'pandas', 'polars') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "True []"
