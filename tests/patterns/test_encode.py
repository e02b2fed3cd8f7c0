"""Tables into items: what becomes an item, under which name, for which samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.patterns.classes import binary_labels, strata_of
from niwaki.patterns.encode import items_of, understood
from niwaki.patterns.errors import PatternError


def _of(items, name):
    return items.values[:, items.names.index(name)].tolist()


def test_words_give_an_item_per_value():
    items = items_of({"colour": ["red", "blue", " red ", "green"]})
    assert items.names == ("colour=blue", "colour=green", "colour=red")
    assert _of(items, "colour=red") == [True, False, True, False]
    assert items.columns == ("colour",) * 3
    assert items.values.sum(axis=1).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "flags", [[True, False, True], [1, 0, 1], ["1", "0", "1"], ["true", "False", "TRUE"], np.array([1.0, 0.0, 1.0])]
)
def test_flags_are_items_as_they_are(flags):
    items = items_of({"sold": flags})
    assert items.names == ("sold",)
    assert _of(items, "sold") == [True, False, True]


def test_numbers_are_cut_at_quantiles():
    # 1..8 in four parts: two values each, and the edges are values of the column.
    items = items_of({"age": list(range(1, 9))}, bins=4)
    assert items.names == ("age<=2", "2<age<=4", "4<age<=6", "age>6")
    assert items.values.argmax(axis=1).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    other = items_of({"age": list(range(1, 9)), "b": list(range(8))}, bins=4, bins_of={"b": 2})
    assert other.names[4:] == ("b<=3", "b>3")


def test_few_numbers_are_items_of_their_own_and_ties_give_fewer_bins():
    assert items_of({"doors": [2, 4, 4, 2]}).names == ("doors=2", "doors=4")
    # Nine of ten values are 0: no quantile but 0 itself, so two parts remain.
    heavy = items_of({"gain": [0] * 9 + [1.5, 2.5, 7, 9]}, bins=4)
    assert heavy.names == ("gain<=0", "0<gain<=1.5", "gain>1.5")
    # Nothing lies above the most frequent value: it is the last bin.
    assert items_of({"x": [-3, -2, -1, 5, 5, 5, 5, 5]}, bins=2).names == ("x<=-1", "x>-1")


@given(
    st.lists(st.integers(-50, 50) | st.floats(-1e6, 1e6, allow_nan=False), min_size=2, max_size=40),
    st.integers(2, 6),
)
def test_every_number_has_exactly_one_bin(numbers, bins):
    items = items_of({"x": numbers}, bins=bins)
    if set(numbers) <= {0, 1}:
        assert items.names in ((), ("x",))
    elif len(set(numbers)) > 1:
        assert (items.values.sum(axis=1) == 1).all()
        assert len(items.names) <= bins
        # Bins follow the order of the numbers.
        places = items.values.argmax(axis=1)
        assert all(places[i] <= places[j] for i in range(len(numbers)) for j in range(len(numbers))
                   if numbers[i] <= numbers[j])  # fmt: skip


def test_names_of_bins_are_short_and_different():
    near = [0.123456 + at * 1e-6 for at in range(8)]
    names = items_of({"x": near}, bins=4).names
    assert names == ("x<=0.123457", "0.123457<x<=0.123459", "0.123459<x<=0.123461", "x>0.123461")
    assert items_of({"x": [1234567, 2e300, 3, 4.5]}, bins=4).names == ("x=3", "x=4.5", "x=1234567", "x=2e+300")
    assert items_of({"x": [0.5, 1.23456789, 7, 8, 9]}, bins=2).names == ("x<=7", "x>7")


def test_missing_values_three_ways():
    table = {"x": ["a", "", "b", "?"], "n": [1.0, float("nan"), 2.0, 3.0]}
    off = items_of(table)
    assert off.names == ("x=a", "x=b", "n=1", "n=2", "n=3")
    assert off.values.any(axis=1).tolist() == [True, False, True, True]
    assert off.notes == (
        "x: 2 of 4 values are missing; those samples have no item of this column",
        "n: 1 of 4 values are missing; those samples have no item of this column",
    )
    own = items_of(table, missing="item")
    assert _of(own, "x is missing") == [False, True, False, True]
    with pytest.raises(PatternError, match="2 of 4 values of the column 'x' are missing, the first in row 2; fill"):
        items_of(table, missing="error")


def test_constant_columns_are_left_out_with_the_reason():
    items = items_of({"a": [1, 1, 1], "b": ["x", "x", "y"], "c": [0, 0, 0], "d": [None, None, None]})
    assert items.names == ("b=x", "b=y")
    assert items.left_out == {
        "a": "holds for every sample",
        "c": "holds for no sample",
        "d": "has no value at all",
    }


@pytest.mark.parametrize(
    ("table", "settings", "message"),
    [
        ({}, {}, "the table has no columns to make items of"),
        ({"a": []}, {}, "the table has no rows"),
        ({"a": [1, 2], "b": [1]}, {}, "the column 'b' has 1 values, others 2"),
        ({"a": [1, 2]}, {"bins": 1}, "1 bins cannot tell samples apart; give 2 or more"),
        ({"a": [1, 2]}, {"bins_of": {"a": 0}}, "0 bins for the column 'a'"),
        ({"a": [1, 2]}, {"bins_of": {"b": 3}}, "bins are given for 'b', which is no column here; there are a"),
        ({"name": [f"n{i}" for i in range(101)]}, {}, "'name' has 101 different values.*if it names the samples leave"),
        ({"a": ["b=c", "d"], "a=b": ["c", "e"], "a=b=c": [1, 0]}, {}, "both give an item 'a=b=c'; rename"),
    ],
)
def test_bad_tables_are_refused(table, settings, message):
    with pytest.raises(PatternError, match=message):
        items_of(table, **settings)


def test_what_a_column_holds():
    assert understood(np.array([0.5, np.nan])).kind == "number"
    assert understood(["1", "x"]).kind == "category"
    assert understood([None, True]).kind == "flag"
    assert understood(np.array(["a", "b"])).kind == "category"
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"a": pandas.array([1, None, 3], dtype="Int64"), "b": pandas.Categorical(["u", "v", "u"])})
    assert understood(frame["a"].tolist()).present.tolist() == [True, False, True]
    assert understood(frame["b"].tolist()).kind == "category"


@pytest.mark.parametrize(
    ("values", "positive", "expected", "names"),
    [
        ([0, 1, 1], None, [0, 1, 1], ("0", "1")),
        (["no", "yes", "no"], None, [0, 1, 0], ("no", "yes")),
        (["<=50K", ">50K", "<=50K"], None, [0, 1, 0], ("<=50K", ">50K")),
        (["<=50K", ">50K", "<=50K"], "<=50K", [1, 0, 1], (">50K", "<=50K")),
        ([10, 9, 10], None, [1, 0, 1], ("9", "10")),  # as numbers, not as words
        (["a", "b", "c"], "b", [0, 1, 0], ("not b", "b")),
        ([True, False, False], None, [1, 0, 0], ("0", "1")),
    ],
)
def test_labels_with_two_values(values, positive, expected, names):
    labels = binary_labels(values, positive=positive)
    assert labels.values.tolist() == [bool(value) for value in expected]
    assert labels.names == names


@pytest.mark.parametrize(
    ("values", "positive", "message"),
    [
        ([1, 1, 1], None, "label is '1' for every sample; a test needs samples of two classes"),
        (["a", "b", "c"], None, "label has 3 values, 'a', 'b', 'c'.*say which value is class 1"),
        (["a", "b"], "c", "label is never 'c'; its values are 'a', 'b'"),
        (["a", "", "b"], None, "label is missing for 1 of 3 samples, the first in row 2; fill it in, or leave"),
        ([], None, "label is empty"),
        ([0.0, float("nan")], None, "label is missing for 1 of 2 samples"),
    ],
)
def test_other_labels_are_refused(values, positive, message):
    with pytest.raises(PatternError, match=message):
        binary_labels(values, positive=positive)


def test_strata_are_the_combinations_that_occur():
    strata = strata_of({"sex": ["m", "f", "m", "m"], "ward": [3, 3, 3, 4]})
    assert strata.names == ("f, ward=3", "m, ward=3", "m, ward=4")
    assert strata.values.tolist() == [1, 0, 1, 2]
    cut = strata_of({"age": [1, 2, 3, 4, 5, 6, 7, 8]}, bins_of={"age": 2})
    assert cut.names == ("age<=4", "age>4")
    assert cut.values.tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"ward": ["a", None, "b"]}, "the covariate 'ward' is missing for 1 of 3 samples, the first in row 2"),
        ({"id": list(range(2, 22))}, "'id' has 20 values for 20 samples.*--bin id=5"),
    ],
)
def test_other_covariates_are_refused(columns, message):
    with pytest.raises(PatternError, match=message):
        strata_of(columns)
