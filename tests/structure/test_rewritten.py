"""Graphs with rewritten sizes: the same function as the masked model, at any batch size."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

import niwaki as nw
from niwaki.structure import literals
from tests.structure import graph_nets as nets
from tests.structure.graph_nets import alternate, zeroed


def swin():
    module = pytest.importorskip("torchvision", reason="the network is torchvision's").models.swin_transformer
    return module.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=7)


def timm_net(name, **settings):
    return pytest.importorskip("timm", reason="the network is timm's").create_model(name, **settings)


def cait():
    return timm_net("cait_xxs24_224", embed_dim=24, depth=1, num_heads=4, img_size=32, num_classes=5, init_values=0.5)


def convit():
    return timm_net("convit_tiny", embed_dim=6, depth=2, local_up_to_layer=1, img_size=32, num_classes=5)


NETS = {
    "flat": (nets.Flat, (3, 8, 8)),
    "halves": (nets.Halves, (3, 4, 4)),
    "sizes": (nets.Sizes, (4,)),
    "groups": (nets.Groups, (3, 4, 4)),
    "attention": (nets.Attention, (5, 12)),
    "fused": (lambda: nets.Attention(fused=True), (5, 12)),
    "swin": (swin, (3, 32, 32)),
    "cait": (cait, (3, 32, 32)),
    "convit": (convit, (3, 32, 32)),
}


def made(name, *, batch=1):
    torch.manual_seed(0)
    make, shape = NETS[name]
    model = make().eval()
    for parameter in model.parameters():
        if parameter.dim() < 2:
            nn.init.normal_(parameter, 1, 0.3)
    return model, torch.randn(batch, *shape)


@pytest.mark.parametrize("name", NETS)
def test_the_graph_computes_what_the_masked_model_computes_at_any_batch_size(name):
    model, example = made(name)
    groups = nw.discover(model, example, graph=True)
    assert any(group.needs_graph for group in groups)
    keep = alternate(groups)
    graph, masked = nw.shrink_graph(model, groups, keep, example), zeroed(model, groups, keep)
    assert graph.meta["fixed_batch"] == ""
    assert sum(p.numel() for p in graph.parameters()) < 0.8 * sum(p.numel() for p in model.parameters())
    for size in (1, 2, 6):
        x = torch.randn(size, *example.shape[1:])
        with torch.no_grad():
            wanted, found, whole = masked(x), graph(x), model(x)
        assert (wanted - found).abs().max() < 1e-5
        assert (wanted - whole).abs().max() > 1e-2  # the removed units mattered


def test_sizes_follow_also_where_pieces_lose_unequally():
    model, example = made("sizes", batch=3)
    groups = nw.discover(model, example, graph=True)
    keep = {group.name: torch.arange(group.size) >= 1 for group in groups}
    graph = nw.shrink_graph(model, groups, keep, example)
    x = torch.randn(4, 4)
    torch.testing.assert_close(graph(x), zeroed(model, groups, keep)(x))


def test_whole_groups_of_a_norm_and_of_a_convolution_go():
    model, example = made("groups")
    groups = nw.discover(model, example, graph=True)
    (group,) = [group for group in groups if group.size == 4]
    graph = nw.shrink_graph(model, [group], {group.name: torch.tensor([True, False, True, True])}, example)
    shapes = {name: tuple(p.shape) for name, p in graph.named_parameters()}
    assert shapes["conv.weight"] == (9, 3, 3, 3)
    assert shapes["norm.weight"] == (9,)
    assert shapes["last.weight"] == (3, 9 * 16)


def test_the_flat_net_by_hand():
    model, example = made("flat")
    groups = nw.channels(model, example, graph=True)
    rows = torch.tensor([True, False, False, True, True, False, True, False])
    graph = nw.shrink_graph(model, groups, {"first": rows}, example)
    x, kept = torch.randn(3, 3, 8, 8), rows.nonzero()[:, 0]
    hidden = nn.functional.conv2d(x, model.first.weight[kept], model.first.bias[kept], padding=1).relu()
    weight = model.last.weight.reshape(5, 8, 64)[:, kept].flatten(1)
    torch.testing.assert_close(graph(x), nn.functional.linear(hidden.flatten(1), weight, model.last.bias))


def test_groups_of_the_graph_alone_are_marked_and_shrink_names_the_way():
    model, example = made("flat")
    assert "no attribute of it controls" in (why := nw.channels(model, example).left_out["first.weight"])
    assert "nw.shrink_graph can" in why
    (group,) = nw.channels(model, example, graph=True)
    assert group.needs_graph
    with pytest.raises(nw.GroupError, match=r"fixes sizes that units of 'first' have.*nw\.shrink_graph\(model, groups"):
        nw.shrink(model, [group], alternate([group]))
    whole = nw.shrink(model, [group], {"first": torch.ones(8, dtype=torch.bool)})
    assert whole.first.weight.shape == model.first.weight.shape


def test_groups_that_the_code_can_lose_are_not_marked():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    (group,) = nw.channels(model, torch.zeros(1, 4), graph=True)
    assert not group.needs_graph
    keep, x = alternate([group]), torch.randn(5, 4)
    graph = nw.shrink_graph(model, [group], keep, torch.zeros(1, 4))
    torch.testing.assert_close(graph(x), nw.shrink(model, [group], keep)(x))


def test_verify_takes_the_graph():
    model, example = made("flat")
    groups = nw.channels(model, example, graph=True)
    keep = alternate(groups)
    graph = nw.shrink_graph(model, groups, keep, example)
    assert nw.verify(model, graph, groups, keep, torch.randn(2, 3, 8, 8))
    graph.last.bias.data += 1
    assert not nw.verify(model, graph, groups, keep, torch.randn(2, 3, 8, 8))


class Plain(nn.Module):
    """Two layers around whatever a test wants."""

    def __init__(self, middle=lambda self, x: x):
        super().__init__()
        self.first, self.last, self.middle = nn.Linear(4, 6), nn.Linear(6, 2), middle
        self.rows = nn.Parameter(torch.randn(2, 1))

    def forward(self, x):
        return self.last(self.middle(self, self.first(x)))


@pytest.mark.parametrize(
    ("middle", "batch", "why"),
    [
        (lambda self, x: x + self.rows, 2, "does not run on other batch sizes"),
        (lambda self, x: x * 2 if len(x) == 1 else x, 1, "something else with a batch of one"),
        (lambda self, x: x * 2 if len(x) == 4 else x, 4, "number of operators"),
        (lambda self, x: x * 2 if len(x) == 4 else x + 2, 4, "another operator"),
        (lambda self, x: x * (1 / len(x)), 2, "mul in '' computes with"),
        (lambda self, x: x + torch.zeros(len(x) ** 2, 1).sum(), 2, r"zeros in '' computes with 9, 25, 4"),
    ],
)
def test_a_batch_size_that_cannot_be_free_is_said_and_others_are_refused(middle, batch, why):
    model, example = Plain(middle), torch.randn(batch, 4)
    (group,) = [g for g in nw.channels(model, example, graph=True) if g.name == "first"]
    keep = alternate([group])
    graph = nw.shrink_graph(model, [group], keep, example)
    torch.testing.assert_close(graph(example), zeroed(model, [group], keep)(example))
    assert graph.meta["fixed_batch"]
    with pytest.raises(nw.GroupError, match=rf"(?s)first axis of 'x' must be {batch} long.*not 7, because .*{why}"):
        graph(torch.randn(7, 4))


def test_a_forward_that_asks_for_values_is_refused():
    model = Plain(lambda self, x: x * 2 if x.sum().item() > 0 else x)
    groups = nw.channels(model, torch.ones(1, 4))
    with pytest.raises(nw.GroupError, match="depends on the values of tensors"):
        nw.shrink_graph(model, groups, alternate(groups), torch.ones(1, 4))


def test_groups_that_the_pass_cannot_lose_are_refused():
    model, example = Plain(), torch.zeros(1, 4)
    (group,) = [g for g in nw.channels(model, example) if g.name == "first"]
    less = replace(group, slices=group.slices[:1])
    with pytest.raises(nw.GroupError, match=r"0 positions along axis 0 of 'first.bias'.*graph=True"):
        nw.shrink_graph(model, [less], alternate([less]), example)
    where = nw.Slice("last.bias", (2,), 0, torch.arange(2)[:, None])
    output = nw.Group("output", 2, (where,), kind="channel")
    with pytest.raises(nw.GroupError, match="needs whole"):
        nw.shrink_graph(model, [output], alternate([output]), example)
    with pytest.raises(nw.BudgetError, match="removes all"):
        nw.shrink_graph(model, [group], {"first": torch.zeros(6, dtype=torch.bool)}, example)


def test_a_size_that_is_not_rewritten_is_found_before_the_graph_is_given(monkeypatch):
    model, example = made("flat")
    groups = nw.channels(model, example, graph=True)
    monkeypatch.delitem(literals._BY_NAME, "aten::view")
    with pytest.raises(nw.GroupError, match=r"no graph can be made with these sizes: aten.view.default in '' gives"):
        nw.shrink_graph(model, groups, alternate(groups), example)


def test_inputs_that_hold_tensors_are_refused():
    class Pair(Plain):
        def forward(self, pair):
            return super().forward(pair[0] + pair[1])

    model, example = Pair(), ([torch.zeros(1, 4), torch.zeros(1, 4)],)
    (group,) = [g for g in nw.channels(model, example) if g.name == "first"]
    with pytest.raises(nw.GroupError, match="'pair' is a list that holds tensors"):
        nw.shrink_graph(model, [group], alternate([group]), example)


def test_training_mode_is_not_kept():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 2))
    groups = nw.channels(model, torch.zeros(2, 4))
    graph = nw.shrink_graph(model, groups, alternate(groups), torch.zeros(2, 4)).train()
    x = torch.randn(8, 4)
    torch.testing.assert_close(graph(x), zeroed(model, groups, alternate(groups)).eval()(x))
    assert torch.equal(graph.get_buffer("1.running_mean"), torch.zeros(3))


def test_tensors_made_in_the_forward_follow_the_device_of_the_inputs():
    model, example = made("sizes")
    groups = nw.discover(model, example, graph=True)
    graph = nw.shrink_graph(model, groups, alternate(groups), example)
    places = [node.args[0].name for node in graph.graph.nodes if node.target is getattr]
    assert places == ["x"]
    zeros = [node.kwargs["device"] for node in graph.graph.nodes if node.target is torch.ops.aten.zeros.default]
    assert [node.target for node in zeros] == [getattr]
    assert copy.deepcopy(graph).to("meta")(torch.zeros(3, 4, device="meta")).shape == (3, 3)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(5, 2)
        self.lstm, self.gru = nn.LSTM(6, 8, batch_first=True), nn.GRU(8, 5, batch_first=True)

    def forward(self, x):
        return self.last(self.gru(self.lstm(self.first(x))[0])[0][:, -1])


def test_gradients_flow_through_recurrent_cells_as_in_the_smaller_class(tmp_path):
    # The cells write on the pieces of their gates.
    model, example = Recurrent().double().eval(), torch.randn(2, 3, 4, dtype=torch.double)
    groups = nw.channels(model, example)
    keep = alternate(groups)
    small, graph = nw.shrink(model, groups, keep), nw.shrink_graph(model, groups, keep, example)
    x = torch.randn(2, 3, 4, dtype=torch.double)
    for made_of in (small, graph):
        made_of(x).square().sum().backward()
    wanted = {name: parameter.grad for name, parameter in small.named_parameters()}
    found = {name: parameter.grad for name, parameter in graph.named_parameters()}
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient)
    nw.save_program(graph, tmp_path / "program", example, dynamic_batch=False)
    torch.testing.assert_close(nw.load_program(tmp_path / "program")(x), small(x))


def test_a_graph_is_stored_as_a_program(tmp_path):
    model, example = made("swin", batch=2)
    groups = nw.heads(model, example, graph=True)
    graph = nw.shrink_graph(model, groups, alternate(groups), example)
    with pytest.raises(nw.StoreError, match=r"graph of operators.*nw\.save_program\(model, path, example\)"):
        nw.save(graph, tmp_path / "small")
    nw.save_program(graph, tmp_path / "program", example)
    again, x = nw.load_program(tmp_path / "program"), torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again(x), graph(x))
