"""Smaller models come back as they were, or not at all."""

import copy
import json
import subprocess
import sys
import textwrap

import pytest
import safetensors.torch
import torch
from torch import nn

from niwaki.core import Cut, StoreError, cut_of, mark_cut
from niwaki.store import load, save
from niwaki.store.plan import pack
from tests.house.source import ROOT
from tests.store.cut_models import Net, bits, net_cut, small_net, snapshot

IMAGES = torch.linspace(-1, 1, 2 * 3 * 6 * 6).reshape(2, 3, 6, 6)


def test_a_smaller_model_comes_back_to_the_last_bit(tmp_path):
    small, dense = small_net(), Net().eval()
    before = snapshot(dense)
    save(small, tmp_path / "deep" / "folder")
    loaded = load(dense, tmp_path / "deep" / "folder")
    assert type(loaded) is Net and loaded is not dense
    assert bits(loaded) == bits(small)
    assert torch.equal(loaded(IMAGES), small(IMAGES))
    assert loaded.first.out_channels == 3 and loaded.head.in_features == 4 and loaded.width == 3
    assert loaded.back.weight is loaded.into.weight
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in small.parameters()]
    assert "scale" not in loaded.state_dict()
    assert snapshot(dense) == before


def test_the_loaded_model_knows_its_cut_and_saves_again(tmp_path):
    save(small_net(), tmp_path / "one")
    loaded = load(Net(), tmp_path / "one")
    assert pack(cut_of(loaded)) == pack(net_cut())
    save(loaded, tmp_path / "two")
    for name in ("plan.json", "model.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


FRESH = """
    import sys
    import torch
    from niwaki.store import load
    from tests.store.cut_models import Net
    torch.save(load(Net().eval(), sys.argv[1])(torch.load(sys.argv[2])), sys.argv[3])
"""


@pytest.mark.slow  # `test_shrunk.py` does the same for what `shrink` makes
def test_a_fresh_process_computes_the_same_bits(tmp_path):
    small = small_net()
    save(small, tmp_path / "model")
    torch.save(IMAGES, tmp_path / "in.pt")
    files = [str(tmp_path / name) for name in ("model", "in.pt", "out.pt")]
    subprocess.run([sys.executable, "-c", textwrap.dedent(FRESH), *files], check=True, timeout=120, cwd=ROOT)
    assert torch.equal(torch.load(files[2]), small(IMAGES))


def test_training_goes_on_as_if_nothing_had_happened(tmp_path):
    small = small_net().train()
    save(small, tmp_path)
    loaded = load(Net(), tmp_path)
    for model in (small, loaded):
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        model(IMAGES).square().sum().backward()
        optimizer.step()
    assert bits(small) == bits(loaded)


def test_a_dense_model_is_stored_as_it_is(tmp_path):
    dense = Net()
    save(dense, tmp_path)
    assert json.loads((tmp_path / "plan.json").read_text())["cut"] == {"positions": [], "kept": {}, "sizes": {}}
    assert bits(load(Net(), tmp_path)) == bits(dense)


def test_the_dense_model_may_be_on_meta(tmp_path):
    small = small_net()
    save(small, tmp_path)
    with torch.device("meta"):
        dense = Net().eval()
    loaded = load(dense, tmp_path)
    assert bits(loaded) == bits(small)
    assert torch.equal(loaded(IMAGES), small(IMAGES))
    assert all(tensor.is_meta for tensor in [*dense.parameters(), *dense.buffers()])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes_stay(tmp_path, dtype):
    small = small_net().to(dtype)
    save(small, tmp_path)
    loaded = load(Net().to(dtype).eval(), tmp_path)
    assert bits(loaded) == bits(small)
    assert loaded.norm.num_batches_tracked.dtype == torch.int64
    with pytest.raises(StoreError, match=r"only dtypes differ: convert it as the smaller model was converted"):
        load(Net(), tmp_path)


def test_layouts_and_wrappers(tmp_path):
    small = small_net().to(memory_format=torch.channels_last)
    save(torch.compile(small), tmp_path)
    loaded = load(nn.DataParallel(Net().eval()), tmp_path)
    assert type(loaded) is Net
    assert loaded.first.weight.stride() == small.first.weight.stride()
    assert torch.equal(loaded(IMAGES), small(IMAGES))


class Counting(nn.Module):
    """Keeps state that is no tensor."""

    def __init__(self):
        super().__init__()
        self.seen: dict[str, object] = {"words": []}
        self.lstm = nn.LSTM(2, 3, batch_first=True)
        self.first = self.again = nn.Linear(3, 3)
        self.shared = nn.Linear(3, 3, bias=False)
        self.shared.weight.data = self.first.weight.data

    def get_extra_state(self):
        return self.seen

    def set_extra_state(self, state):
        if "words" not in state:
            raise KeyError("words")
        self.seen = state

    def forward(self, x):
        return self.shared(self.first(self.lstm(x)[0]))


def test_extra_state_recurrent_layers_and_shared_memory(tmp_path):
    model = Counting()
    model.seen = {"words": ["a", ("b", 2.5)], "table": torch.arange(3)}
    save(model, tmp_path)
    with torch.device("meta"):
        empty = Counting()
    loaded = load(empty, tmp_path)
    assert torch.equal(loaded(torch.ones(1, 2, 2)), model(torch.ones(1, 2, 2)))
    assert loaded.seen["words"] == ["a", ("b", 2.5)] and loaded.seen["table"].tolist() == [0, 1, 2]
    assert loaded.first is loaded.again
    assert loaded.shared.weight is not loaded.first.weight
    assert loaded.shared.weight.data_ptr() == loaded.first.weight.data_ptr()
    assert all(a is b for a, b in zip(loaded.lstm._flat_weights, loaded.lstm.parameters(), strict=True))
    stored = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert set(stored) == {
        "_extra_state/table",
        "first.weight",
        "first.bias",
        *(f"lstm.{n}" for n in model.lstm.state_dict()),
    }


def test_extra_state_that_its_module_refuses_is_named(tmp_path):
    model = Counting()
    model.seen = {"other": 1}
    save(model, tmp_path)
    with pytest.raises(StoreError, match=r"'_extra_state' was refused by its module \(KeyError: 'words'\)"):
        load(Counting(), tmp_path)


def test_tied_tensors_are_stored_once_under_plain_names(tmp_path):
    small = small_net()
    save(small, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "plan.json"]
    stored = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert set(stored) == {*dict(small.named_parameters()), *dict(small.named_buffers())}
    assert "back.weight" not in stored and "scale" in stored
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["dense"]["tensors"]["back.weight"] == "tied to 'into.weight'"
    assert plan["dense"]["tensors"]["second.weight"] == "float32[5, 6, 1, 1]"
    assert plan["cut"]["positions"] == ["0,2-3", "0-2,4"]
    assert set(plan["versions"]) == {"niwaki", "torch", "python"}


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([2, 1], r"keeps 2, 1 ... of axis 0 of 'norm.weight', which has 6 positions; they must ascend and lie inside"),
        ([1, 6], "which has 6 positions"),
        ([], "must ascend"),
    ],
)
def test_a_cut_that_is_none_is_refused_when_saving(tmp_path, index, message):
    small = small_net()
    cut = net_cut()
    mark_cut(small, Cut({**cut.kept, "norm.weight": {0: torch.tensor(index, dtype=torch.int64)}}, {}, cut.shapes))
    with pytest.raises(StoreError, match=message):
        save(small, tmp_path)
    mark_cut(small, Cut(cut.kept, cut.sizes))
    with pytest.raises(StoreError, match=r"keeps a part of 'scale' but does not know its dense shape; cut models"):
        save(small, tmp_path)
    assert list(tmp_path.iterdir()) == []


class Other(Net):
    """The same tensors, another class."""


@pytest.mark.parametrize(
    ("dense", "message"),
    [
        (
            lambda: Net(7),
            r"8 of 15 tensors differ: .*'first.weight' is float32\[6, 3, 3, 3\] there and float32\[7, 3, 3, 3\]",
        ),
        (
            lambda: Net(classes=5),
            r"2 of 15 .*'head.weight' is float32\[4, 5\] there and float32\[5, 5\] here.*; build it as it was",
        ),
        (lambda: Other(), r"1 of 7 modules differ: 'the model' is Net there and Other here; build it as it was when"),
        (
            lambda: nn.Linear(2, 2),
            r"17 of 17 tensors differ: 'frozen' is float32\[1\] there and absent here.*, \.\.\.;",
        ),
    ],
)
def test_another_dense_model_is_refused_and_untouched(tmp_path, dense, message):
    save(small_net(), tmp_path)
    model = dense()
    before = snapshot(model)
    with pytest.raises(StoreError, match=r"plan.json was made from another dense model, " + message):
        load(model, tmp_path)
    assert snapshot(model) == before


def test_a_dense_model_with_its_ties_cut_is_another_one(tmp_path):
    save(small_net(), tmp_path)
    model = Net()
    model.back = nn.Linear(5, 5, bias=False)
    with pytest.raises(StoreError, match=r"'back.weight' is tied to 'into.weight' there and float32\[5, 5\] here"):
        load(model, tmp_path)


def test_a_tensor_that_no_file_has_is_named(tmp_path):
    model = nn.Linear(2, 2)
    vars(model)["table"] = torch.ones(2)
    save(model, tmp_path)
    assert load(copy.deepcopy(model), tmp_path).table.tolist() == [1, 1]
    empty = copy.deepcopy(model).to("meta")
    vars(empty)["table"] = torch.ones(2, device="meta")
    with pytest.raises(StoreError, match="Linear holds the tensor 'table' as neither parameter nor buffer"):
        load(empty, tmp_path)


def test_what_cannot_be_stored_is_named(tmp_path):
    model = nn.Linear(2, 2)
    model.register_buffer("odd", torch.zeros(2, dtype=torch.complex64))
    with pytest.raises(StoreError, match=r"state\['odd'\] is a tensor of torch.complex64; convert it"):
        save(model, tmp_path)
    with pytest.raises(StoreError, match=r"only dense tensors with contents can be stored"):
        save(nn.Linear(2, 2, device="meta"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_dense_model_that_cannot_be_copied_is_named(tmp_path):
    model = nn.Linear(2, 2)
    save(model, tmp_path)
    vars(model)["generated"] = (x for x in "ab")
    with pytest.raises(StoreError, match="Linear cannot be copied .*generator.*; build it anew before loading"):
        load(model, tmp_path)
