"""Save, new process, load: what `shrink` made is the same to the last bit."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch

from niwaki.core import cut_of
from niwaki.store import load, load_program, save, save_program
from niwaki.store.plan import pack
from tests.house.source import ROOT
from tests.store.cut_models import bits
from tests.store.shrunk_models import MAKE, shrunk

FRESH = """
    import sys
    from pathlib import Path
    import torch
    from niwaki.store import load, save
    from tests.store.shrunk_models import MAKE

    for number, (make, example, _) in enumerate(MAKE.values()):
        folder = Path(sys.argv[1]) / str(number)
        torch.manual_seed(99)
        with torch.device("meta") if number % 2 else torch.device("cpu"):
            dense = make().eval()
        small = load(dense, folder)
        save(small, folder / "again")
        torch.save(small(example()), folder / "out.pt")
"""


def test_a_new_process_computes_the_same_bits(tmp_path):
    models = {}
    for number, name in enumerate(MAKE):
        dense, models[name] = shrunk(name, seed=number)
        assert sum(p.numel() for p in models[name].parameters()) < sum(p.numel() for p in dense.parameters())
        save(models[name], tmp_path / str(number))
    subprocess.run([sys.executable, "-c", textwrap.dedent(FRESH), str(tmp_path)], check=True, timeout=200, cwd=ROOT)
    for number, (name, small) in enumerate(models.items()):
        folder = tmp_path / str(number)
        assert torch.equal(torch.load(folder / "out.pt"), small(MAKE[name][1]())), name
        for file in ("model.safetensors", "plan.json"):
            assert (folder / file).read_bytes() == (folder / "again" / file).read_bytes(), (name, file)


@pytest.mark.parametrize("name", MAKE)
def test_a_model_cut_twice_comes_back_from_the_dense_one(tmp_path, name):
    import niwaki as nw

    dense, small = shrunk(name, seed=5)
    groups = MAKE[name][2](small, MAKE[name][1]())
    keep = {group.name: torch.arange(group.size) < max(1, group.size - group.multiple_of) for group in groups}
    smaller = nw.shrink(small, groups, keep)
    save(smaller, tmp_path)
    loaded = load(dense, tmp_path)
    assert bits(loaded) == bits(smaller)
    assert torch.equal(loaded(MAKE[name][1]()), smaller(MAKE[name][1]()))
    assert pack(cut_of(loaded)) == pack(cut_of(smaller))
    assert loaded.training is False


@pytest.mark.parametrize("name", ["resnet20", "attention, heads"])
def test_a_shrunk_model_becomes_a_program(tmp_path, name):
    _, small = shrunk(name, seed=3)
    example = MAKE[name][1]()
    assert save_program(small, tmp_path, example).difference < 1e-5
    more = torch.cat([example, example.flip(0)])
    assert torch.allclose(load_program(tmp_path)(more), small(more), atol=1e-5)
