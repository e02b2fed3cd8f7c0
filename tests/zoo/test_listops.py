"""ListOps expressions are what their symbols say."""

from __future__ import annotations

import statistics

import pytest
import torch

from niwaki.app.data import load_data
from niwaki.app.models import load_model
from niwaki.zoo import SequenceNet
from niwaki.zoo.listops import SYMBOLS, listops, listops_parts


def _worked_out(text: str) -> tuple[int, int]:
    """Value and depth of an expression, by turning it into Python and letting Python read it."""
    names = {"MIN": "min", "MAX": "max", "MED": "median", "SM": "total"}
    code = text
    for word, name in names.items():
        code = code.replace(f"[{word} ", f"{name}([")
    code = code.replace(" ]", "])").replace(" ", ",")
    tools = {"min": min, "max": max, "median": lambda v: int(statistics.median(v)), "total": lambda v: sum(v) % 10}
    depth = deepest = 0
    for symbol in text.split():
        depth += symbol.startswith("[") - (symbol == "]")
        deepest = max(deepest, depth)
    return eval(code, {"__builtins__": {}}, tools), deepest


def _texts(tokens):
    return [" ".join(SYMBOLS[t] for t in row.tolist() if t) for row in tokens]


def test_every_value_is_the_one_worked_out():
    tokens, values = listops(300, lengths=(6, 120), depth=6, arguments=5, generator=torch.Generator().manual_seed(3))
    texts = _texts(tokens)
    worked = [_worked_out(text) for text in texts]
    assert [value for value, _ in worked] == values.tolist()
    assert max(depth for _, depth in worked) <= 5  # a level is left for the digits
    assert max(depth for _, depth in worked) >= 3
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) >= 6 and max(lengths) <= 120 and tokens.shape[1] == max(lengths)
    assert len(set(texts)) == 300
    assert {symbol for text in texts for symbol in text.split()} == set(SYMBOLS[1:])


def test_operators_have_two_values_up_to_the_number_asked():
    tokens, _ = listops(400, lengths=(4, 8), depth=2, arguments=4, generator=torch.Generator().manual_seed(0))
    counts = (tokens != 0).sum(1) - 2  # depth 2: one operator on digits
    assert sorted(set(counts.tolist())) == [2, 3, 4]


def test_one_seed_one_data_set():
    first, again, other = (listops_parts(20, 5, 5, seed=s, shortest=5, longest=30) for s in (0, 0, 1))
    assert all(torch.equal(a, b) for p, q in zip(first, again, strict=True) for a, b in zip(p, q, strict=True))
    assert _texts(first[0][0]) != _texts(other[0][0])
    texts = [text for tokens, _ in first for text in _texts(tokens)]
    assert len(set(texts)) == 30  # no expression is in two parts


def test_what_cannot_be_is_refused():
    chance = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match=r"lengths=\(2, 3\), depth=10, arguments=10: an expression has 4 tokens or"):
        listops(1, lengths=(2, 3), generator=chance)
    with pytest.raises(ValueError, match="different expressions of 4 to 4 tokens turned up; widen lengths="):
        listops(500, lengths=(4, 4), generator=chance)  # there are 4 operators on 100 pairs of digits


def test_networks_and_data_have_addresses():
    data = load_data("python:niwaki.zoo.listops:listops_parts?train=20&valid=5&test=5&shortest=5&longest=20&seed=3")
    model = load_model("zoo:s5?tokens=16&width=8&states=8&layers=1&bidirectional=true", classes=len(data.classes))
    assert isinstance(model, SequenceNet)
    assert model(data.train[0]).shape == (20, len(data.classes))
    other = load_model("zoo:s4d?width=8&states=8&layers=2", classes=3, channels=2)
    assert other(torch.zeros(2, 2, 4, 4)).shape == (2, 3)
