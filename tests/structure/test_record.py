"""Recording: everything is written down, nothing of the model is changed."""

from __future__ import annotations

import copy
import tracemalloc

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from niwaki.core import GroupError
from niwaki.structure.discover import discover
from niwaki.structure.record import RecordingError, record
from tests.structure.nets import Net, described, random_keep, randomised, run, zeroed

HIDDEN = {"a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1")}


def small(run=lambda m, x: m.b(torch.relu(m.a(x))), **more):
    return Net(run, a=nn.Linear(5, 4), b=nn.Linear(4, 2), **more)


def names(model, example):
    return [call.op._schema.name for call in record(model, example).calls]


def test_calls_are_written_down_in_order_with_shapes_and_places():
    recording = record(nn.Sequential(nn.Linear(5, 4), nn.ReLU()), torch.zeros(2, 5))
    assert [call.op._schema.name for call in recording.calls] == ["aten::t", "aten::addmm", "aten::relu"]
    assert [call.module for call in recording.calls] == ["0", "0", "1"]
    shapes = [[recording.shapes[out.number] for out in call.outs] for call in recording.calls]
    assert shapes == [[(5, 4)], [(2, 4)], [(2, 4)]]
    assert sorted(recording.names.values()) == ["0.bias", "0.weight"]
    assert [recording.shapes[number] for number in recording.inputs] == [(2, 5)]
    assert recording.outputs == [recording.calls[-1].outs[0].number]
    assert recording.reason == ""


def test_a_tensor_that_changes_its_shape_is_another_one():
    recording = record(small(lambda m, x: m.a(x).t_()), torch.zeros(2, 5))
    assert [recording.shapes[call.outs[0].number] for call in recording.calls[-2:]] == [(2, 4), (4, 2)]


def state_of(model):
    attributes = {name: dict(vars(module)) for name, module in model.named_modules()}
    tensors = {name: (id(t), t.clone()) for name, t in [*model.named_parameters(), *model.named_buffers()]}
    return attributes, tensors


class Busy(nn.Module):
    """A forward that leaves behind whatever it can."""

    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)
        self.register_buffer("steps", torch.zeros(1))
        self.table, self.seen, self.attention = None, [], nn.MultiheadAttention(4, 2, batch_first=True)
        self.plain = torch.ones(5, requires_grad=True) * 2  # no leaf: it cannot be copied
        self.a.register_forward_hook(lambda module, args, out: out + 0.5)

    def forward(self, x):
        self.steps.add_(1)
        if self.table is None:
            self.table = torch.rand(5)
        self.seen.append(x)
        self.training = False
        h = self.norm(self.a(x * self.table * self.plain.detach()))
        return self.b(self.attention(h[None], h[None], h[None])[0])


@pytest.mark.parametrize("asks", [False, True], ids=["without memory", "on real tensors"])
def test_nothing_of_the_model_is_changed(asks):
    torch.manual_seed(0)
    model, x = Busy().train(), torch.ones(3, 5)
    if asks:
        model.b.register_forward_hook(lambda module, args, out: out * float(out.sum().item() > -1e9))
    model.attention.eval()
    attributes, tensors = state_of(model)
    rng, fused, mkldnn = (
        torch.get_rng_state(),
        torch.backends.mha.get_fastpath_enabled(),
        torch._C._get_mkldnn_enabled(),
    )
    recording = record(model, x)
    assert bool(recording.reason) == asks
    after, still = state_of(model)
    for name, (number, value) in tensors.items():
        assert still[name][0] == number
        assert torch.equal(still[name][1], value)
    for name, before in attributes.items():
        assert after[name].keys() == before.keys()
        assert all(after[name][key] is value for key, value in before.items()), name
    assert model.training and not model.attention.training and model.seen == [] and model.table is None
    assert torch.equal(torch.get_rng_state(), rng)
    assert (torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()) == (fused, mkldnn)
    assert torch.equal(x, torch.ones(3, 5))
    assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()
    assert not isinstance(model(x), FakeTensor)


def test_an_input_that_is_written_on_stays():
    def write(m, x):
        return m.b(m.a(x.mul_(3))) if x.sum().item() > -1 else x

    x = torch.ones(2, 5)
    assert record(small(write), x).reason
    assert torch.equal(x, torch.ones(2, 5))


def test_modes_are_back_after_an_error():
    model = small(lambda m, x: m.b(x)).train()
    with pytest.raises(RecordingError):
        record(model, torch.zeros(2, 5))
    assert model.training and model.a.training and torch.is_grad_enabled()
    assert torch.zeros(1).is_leaf and not isinstance(torch.zeros(1), FakeTensor)


def test_a_model_without_memory():
    with torch.device("meta"):
        model = small()
    groups = discover(model, torch.zeros(2, 5))
    assert described(groups) == HIDDEN
    assert described(discover(model, torch.zeros(2, 5, device="meta"))) == HIDDEN


def test_a_large_model_takes_no_memory():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(5, 200_000), nn.ReLU(), nn.Linear(200_000, 50_000), nn.Linear(50_000, 2))
    tracemalloc.start()
    recording = record(model, torch.zeros(2, 5))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(len(call.outs) for call in recording.calls) == 7
    assert peak < 20e6  # forty gigabytes of weights


def test_values_that_steer_the_forward_need_real_tensors():
    def steered(m, x):
        return m.b(m.a(x)) if float(m.a(x).abs().sum().item()) >= 0 else x

    torch.manual_seed(0)
    model, x = randomised(small(steered)), torch.randn(2, 5, dtype=torch.float64)
    recording = record(model, x)
    assert recording.reason.startswith("DataDependentOutputException")
    groups = discover(model, x)
    assert described(groups) == HIDDEN
    from niwaki.structure import shrink

    keep = random_keep(groups, 3)
    torch.testing.assert_close(run(shrink(model, groups, keep), x), run(zeroed(model, groups, keep), x))


def test_on_meta_there_are_no_values_to_steer_by():
    with torch.device("meta"):
        model = small(lambda m, x: m.b(m.a(x)) if m.a(x).sum().item() > 0 else x)
    with pytest.raises(RecordingError, match="DataDependentOutputException"):
        record(model, torch.zeros(2, 5))


def test_an_error_names_the_module_and_the_reason():
    model = nn.Sequential(nn.Linear(5, 4), nn.Sequential(nn.ReLU(), nn.Linear(3, 2)))
    with pytest.raises(GroupError) as caught:
        discover(model, torch.zeros(2, 5))
    message = str(caught.value)
    assert message.startswith("Sequential could not be recorded: in module '1.1' RuntimeError: ")
    assert "mat1 and mat2 shapes cannot be multiplied" in message  # how torch says it differs between versions
    assert (
        "Check that model(example) runs; what cannot be recorded can be declared by hand (nw.Group, nw.Slice)"
        in message
    )
    assert caught.value.module == "1.1"
    assert [call.op._schema.name for call in caught.value.done.calls][:3] == ["aten::t", "aten::addmm", "aten::relu"]


def test_an_example_of_another_kind():
    with pytest.raises(
        GroupError, match="the example is a int; give a tensor, a tuple of inputs, or a mapping of keyword"
    ):
        record(small(), 3)


@pytest.mark.parametrize("give", [lambda x: x, lambda x: (x,), lambda x: [x], lambda x: {"x": x}])
def test_forms_of_the_example(give):
    model = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    wrapped = Net(lambda m, x: m.body(x), body=model)
    example = give(torch.zeros(2, 5))
    found = described(discover(wrapped, example))
    assert found == {"body.0": ("channel", 4, "body.0.bias/0 body.0.weight/0 body.2.weight/1")}


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_types_of_numbers(dtype):
    model = small().to(dtype)
    assert described(discover(model, torch.zeros(2, 5, dtype=dtype))) == HIDDEN
    half = small(lambda m, x: m.b(m.a(x).to(torch.float64)))
    half.b.double()
    assert described(discover(half, torch.zeros(2, 5))) == HIDDEN


def test_outputs_in_containers_of_all_kinds():
    class Holder:
        def __init__(self, tensor):
            self.tensor, self.itself = tensor, self

    for hold in (lambda h: Holder(h), lambda h: {h}, lambda h: {"a": [(h,)]}):
        model = small(lambda m, x, hold=hold: (m.b(h := m.a(x)), hold(h)))
        groups = discover(model, torch.zeros(2, 5))
        assert len(groups) == 0
        assert groups.left_out["a.bias"] == "an output of the model"


def test_shared_tensors_have_their_first_name():
    model = small()
    model.c = nn.Linear(5, 4)
    model.c.weight = model.a.weight
    model.run = lambda m, x: m.b(m.a(x) + m.c(x))
    recording = record(model, torch.zeros(2, 5))
    assert sorted(recording.names.values()) == ["a.bias", "a.weight", "b.bias", "b.weight", "c.bias"]
    assert described(discover(model, torch.zeros(2, 5))) == {
        "a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1 c.bias/0")
    }


def test_a_model_that_was_cut_before():
    from niwaki.structure import shrink

    model = small()
    groups = discover(model, torch.zeros(2, 5))
    once = shrink(model, groups, {"a": torch.tensor([True, True, True, False])})
    again = discover(copy.deepcopy(once), torch.zeros(2, 5))
    assert described(again) == {"a": ("channel", 3, HIDDEN["a"][2])}


def test_wrappers_are_looked_through():
    assert described(discover(nn.DataParallel(small()), torch.zeros(2, 5))) == HIDDEN
