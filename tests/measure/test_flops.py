"""FLOPs by parameter: against counts by hand, and against torch's own counter on real tensors."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils.flop_counter import FlopCounterMode

from niwaki.core import TrainError, parameters_of
from niwaki.measure import ModelFlops, count_flops
from niwaki.measure.products import recurrent_weights
from tests.measure.models import Attention, Masked, Tied, Untidy, resnet20


def by_torch(model, *args, **kwargs):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*args, **kwargs)
    return counter.get_total_flops()


NETS = {
    "linear": (nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)), [torch.rand(5, 8)]),
    "matrix_of_sequences": (nn.Linear(8, 4, bias=False), [torch.rand(5, 7, 8)]),
    "resnet20": (resnet20(), [torch.rand(2, 3, 32, 32)]),
    "grouped": (nn.Conv2d(8, 12, 3, groups=4, padding=1), [torch.rand(2, 8, 6, 6)]),
    "one_dimension": (nn.Conv1d(4, 6, 3), [torch.rand(2, 4, 9)]),
    "three_dimensions": (nn.Conv3d(2, 3, 2), [torch.rand(1, 2, 4, 4, 4)]),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, groups=2), [torch.rand(2, 4, 5, 5)]),
    "attention": (nn.MultiheadAttention(8, 2, batch_first=True), [torch.rand(3, 5, 8)] * 3),
    "fused_attention": (Attention(8), [torch.rand(3, 5, 8)]),
    "transformer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), [torch.rand(3, 5, 8)]),
    "gru": (nn.GRU(4, 5, batch_first=True), [torch.rand(2, 3, 4)]),
    "cell": (nn.LSTMCell(4, 5), [torch.rand(2, 4)]),
    "tied": (Tied(), [torch.arange(6).reshape(2, 3)]),
    "masked": (Masked(), [torch.rand(7, 3)]),
}


@pytest.mark.parametrize(("model", "args"), NETS.values(), ids=NETS.keys())
@pytest.mark.parametrize("training", [True, False])
def test_the_total_is_that_of_torch(model, args, training):
    # torch sees no products inside the fused attention of evaluation, so it counts in training mode.
    expected = by_torch(model.train(), *args)
    found = count_flops(model.train(training), args)
    assert found.total == expected
    assert found.uncounted == ()
    assert set(found.per_tensor) <= set(parameters_of(model))
    assert found.batch == args[0].shape[0]


def test_resnet20_by_hand():
    found = count_flops(resnet20().eval(), (torch.rand(4, 3, 32, 32),))
    assert found.total / 2 / 4 / 1e6 == pytest.approx(40.55, abs=0.005)
    # MACs a sample: 3*16*9*32^2, then the first block's 16*16*9*32^2, and the strided 16*32*9*16^2.
    assert found.per_tensor["0.weight"] == 2 * 4 * 442_368
    assert found.per_tensor["3.conv1.weight"] == 2 * 4 * 2_359_296
    assert found.per_tensor["6.conv1.weight"] == 2 * 4 * 1_179_648
    assert found.per_tensor["14.weight"] == 2 * 4 * 640
    assert len(found.per_tensor) == 20
    assert found.other == 0


def test_attention_by_hand():
    found = count_flops(Attention(8), (torch.rand(3, 5, 8),))
    # Per sample of 5 tokens: 5*8*24 and 5*8*8 MACs with weights, 5*5*8 for the scores, and as many for the values.
    assert found.per_tensor == {"qkv.weight": 2 * 3 * 960, "out.weight": 2 * 3 * 320}
    assert found.other == 2 * 3 * (200 + 200)


def test_multihead_attention_splits_one_parameter():
    model = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.rand(3, 5, 8)
    for args in ((x, x, x), (x, torch.rand(3, 5, 8), torch.rand(3, 5, 8))):  # one product with all of it, or three
        found = count_flops(model, args, {"need_weights": False})
        assert found.per_tensor == {"in_proj_weight": 2 * 3 * 960, "out_proj.weight": 2 * 3 * 320}
        assert found.other == 2 * 3 * 400


@pytest.mark.parametrize(("layers", "directions"), [(1, 1), (2, 2)])
def test_lstm_by_hand(layers, directions):
    model = nn.LSTM(4, 5, num_layers=layers, bidirectional=directions == 2, batch_first=True)
    found = count_flops(model, (torch.rand(2, 3, 4),))
    # 2 * 3 tokens; four gates of 5 from the 4 inputs (2 * 5 in the second layer) and from the 5 of the state.
    expected = {}
    for layer in range(layers):
        for suffix in ["", "_reverse"][:directions]:
            expected[f"weight_ih_l{layer}{suffix}"] = 2 * 6 * 20 * (4 if layer == 0 else 10)
            expected[f"weight_hh_l{layer}{suffix}"] = 2 * 6 * 20 * 5
    assert found == ModelFlops(expected, 0.0, 2)


def test_recurrent_layers_of_cudnn_hand_over_all_weights_at_once():
    weights = [torch.zeros(20, 4), torch.zeros(20, 5), torch.zeros(20), torch.zeros(20)]
    args = [torch.rand(3, 2, 4), weights, 4, None, torch.zeros(1, 2, 5), torch.zeros(1, 2, 5)]
    costs = [cost for _, cost in recurrent_weights(torch.ops.aten._cudnn_rnn, args)]
    assert costs == [2 * 6 * 80, 2 * 6 * 100]


def test_tied_weights_and_a_module_called_twice():
    found = count_flops(Tied(), (torch.arange(6).reshape(2, 3),))
    # For 6 tokens the embedding costs nothing, the head 6 * 11 MACs each under the shared name, the middle twice 6 * 6.
    assert found.per_tensor == {"embed.weight": 2 * 396, "mix.weight": 2 * 2 * 216}


def test_masks_and_products_of_parameters():
    found = count_flops(Masked(), (torch.rand(7, 3),))
    # 7*3*5 with the masked weight; 4*2*5 for up @ down, booked on the second; what that makes belongs to nobody: 7*5*4.
    assert found.per_tensor == {"weight": 2 * 105, "down": 2 * 40}
    assert found.other == 2 * 140


def test_reparametrised_weights():
    x = torch.rand(7, 4)
    normed = count_flops(parametrizations.weight_norm(nn.Linear(4, 6)), (x,))
    assert normed.per_tensor == {"parametrizations.weight.original1": 2 * 7 * 24}
    pruned = nn.Linear(4, 6)
    prune.l1_unstructured(pruned, "weight", 0.5)
    assert count_flops(pruned, (x,)).per_tensor == {"weight_orig": 2 * 7 * 24}


def test_autocast_casts_are_seen_through():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5))
    x = torch.rand(2, 3, 8, 8)
    plain = count_flops(model, (x,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert count_flops(model, (x,)) == plain
    assert set(plain.per_tensor) == {"0.weight", "3.weight"}


def test_parameters_that_share_one_storage():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    flat = torch.rand(32)
    model[0].weight.data, model[1].weight.data = flat[:16].view(4, 4), flat[16:].view(4, 4)
    assert count_flops(model, (torch.rand(3, 4),)).per_tensor == {"0.weight": 96, "1.weight": 96}


def test_vectors_and_matrices():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.v = nn.Parameter(torch.rand(3, 4)), nn.Parameter(torch.rand(3))

        def forward(self, x):
            return torch.dot(torch.mv(self.w, x), self.v)

    assert count_flops(Net(), (torch.rand(4),)).per_tensor == {"w": 24, "v": 6}


def test_products_without_a_formula_are_named():
    found = count_flops(nn.Sequential(nn.Linear(4, 4), _Spectrum()), (torch.rand(2, 4),))
    assert found.per_tensor == {"0.weight": 64}
    assert found.uncounted == ("aten._fft_r2c",)
    assert count_flops(nn.Bilinear(2, 3, 4), (torch.rand(5, 2), torch.rand(5, 3))).uncounted == ("aten._trilinear",)


class _Spectrum(nn.Module):
    def forward(self, x):
        return torch.fft.rfft(x).abs()


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("training", [True, False])
def test_nothing_of_the_model_changes(training):
    model, x = resnet20().train(training), torch.rand(2, 3, 32, 32)
    before, random = state_of(model), torch.get_rng_state()
    ids = {name: id(parameter) for name, parameter in model.named_parameters()}
    count_flops(model, (x,))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert {name: id(parameter) for name, parameter in model.named_parameters()} == ids
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.backends.mha.get_fastpath_enabled()
    assert all(module.training is training for module in model.modules())


def test_control_flow_on_values_runs_on_copies_and_leaves_no_trace():
    model, x = Untidy(), torch.rand(6, 3)
    before, random, x_before = state_of(model), torch.get_rng_state(), x.clone()
    found = count_flops(model, (x,))
    assert found == ModelFlops({"linear.weight": 2.0 * 6 * 12}, 0.0, 6)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(x, x_before)
    assert (model.calls, model.seen, list(model.cache), hasattr(model, "left")) == (0, [], ["last"], False)
    assert (model.cache["last"].item(), model.plain.item()) == (0, 0)


def test_wrappers_are_looked_through():
    model, x = nn.Sequential(nn.Linear(4, 3)), torch.rand(2, 4)
    expected = count_flops(model, (x,))
    assert count_flops(torch.compile(model), (x,)) == expected
    assert count_flops(nn.DataParallel(model), (x,)) == expected
    assert expected.per_tensor == {"0.weight": 48}


def test_arguments_by_name():
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    kwargs = {"src": torch.rand(2, 3, 8), "tgt": torch.rand(2, 4, 8)}
    found = count_flops(model, kwargs=kwargs)
    assert (found.total, found.batch) == (by_torch(model, **kwargs), 2)


def test_a_batch_of_another_size():
    flops = ModelFlops({"a": 30.0}, other=6.0, batch=3, uncounted=("x",))
    assert flops.for_batch(5) == ModelFlops({"a": 50.0}, other=10.0, batch=5, uncounted=("x",))


def test_a_model_without_arguments():
    class Constant(nn.Module):
        def forward(self):
            return 1

    assert count_flops(Constant()) == ModelFlops({}, 0.0, 1)


def test_wrong_arguments_are_a_clear_error():
    model = nn.Linear(4, 3)
    with pytest.raises(
        TrainError, match="Linear could not be run once to count its FLOPs: RuntimeError: .*; give as args="
    ):
        count_flops(model, (torch.rand(2, 5),))
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.accelerator
def test_on_cuda_the_count_is_the_same():
    for name in ("resnet20", "transformer", "gru"):
        model, args = NETS[name]
        here = count_flops(model, args)
        there = count_flops(model.cuda(), [x.cuda() for x in args])
        model.cpu()
        assert there.per_tensor == here.per_tensor, name
        assert there.total == here.total, name
    lstm = nn.LSTM(4, 5, num_layers=2)
    here = count_flops(lstm, (torch.rand(3, 2, 4),))
    assert count_flops(lstm.cuda(), (torch.rand(3, 2, 4).cuda(),)) == here
