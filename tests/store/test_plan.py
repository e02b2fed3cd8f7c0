"""The plan of a cut in few bytes, and back; nothing in it is taken on trust."""

import json

import pytest
import torch

from niwaki.core import Cut, StoreError
from niwaki.store.plan import pack, unpack


def test_packing_is_compact_and_has_an_inverse():
    generator = torch.Generator().manual_seed(1)
    for size in (1, 2, 7, 64):
        for _ in range(20):
            rows = [torch.randperm(size, generator=generator)[: 1 + i % size].sort().values for i in range(3)]
            cut = Cut(
                {"a": {0: rows[0], 1: rows[1]}, "b": {0: rows[0], 2: rows[2]}},
                {"x.y": 3, "shape": (4, 5)},
                {"a": (size, size), "b": (size, 1, size)},
            )
            packed = json.loads(json.dumps(pack(cut)))
            again = unpack(packed, cut.shapes)
            assert len(packed["positions"]) == len({tuple(row.tolist()) for row in rows})
            assert again.sizes == cut.sizes and again.shapes == cut.shapes
            for name, axes in cut.kept.items():
                assert {a: i.tolist() for a, i in again.kept[name].items()} == {a: i.tolist() for a, i in axes.items()}
    assert pack(Cut({"a": {0: torch.arange(10_000)}}))["positions"] == ["0-9999"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p["kept"].update(gone={"0": 0}), "KeyError: 'gone'"),
        (lambda p: p["kept"]["a"].update({"7": 0}), "IndexError: tuple index out of range"),
        (lambda p: p["kept"]["a"].update({"0": 9}), "IndexError: list index out of range"),
        (lambda p: p.update(positions=["0-999999999999"]), "do not ascend within 4"),
        (lambda p: p.update(positions=["2,1"]), "do not ascend within 4"),
        (lambda p: p.update(positions=["1,1"]), "do not ascend within 4"),
        (lambda p: p.update(positions=["-1"]), "do not ascend within 4"),
        (lambda p: p.update(positions=[""]), "do not ascend within 4"),
        (lambda p: p.update(positions=[[0]]), "AttributeError"),
        (lambda p: p.update(kept=[1]), "AttributeError"),
        (lambda p: p["sizes"].update(x=1.5), "the size '1.5' is no whole number"),
        (lambda p: p["sizes"].update(x=True), "the size 'True' is no whole number"),
    ],
)
def test_plans_that_no_cut_makes_are_refused(change, message):
    packed = pack(Cut({"a": {0: torch.tensor([0, 3])}}, {"x": 2}, {"a": (4,)}))
    change(packed)
    with pytest.raises(StoreError, match="the plan does not say how to cut this model .*" + message):
        unpack(packed, {"a": (4,)})
