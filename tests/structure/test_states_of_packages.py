"""States of layers that other packages bring: s5-pytorch, and the Mamba layers of transformers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import niwaki as nw
from niwaki.core import GroupError, SignalError
from tests.structure.test_states import masked, some_kept, widest


@pytest.fixture
def s5_package():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is written with torch.jit.script, which warns on import
        return pytest.importorskip("s5", reason="s5-pytorch is not installed")


def _by_its_own(package, **switches):
    torch.manual_seed(0)
    return package.S5(4, 12, **switches)


@pytest.mark.parametrize("bidir", [False, True])
@pytest.mark.parametrize("block_count", [1, 2])
def test_a_masked_s5_of_the_package_is_the_smaller_one(s5_package, bidir, block_count):
    model = _by_its_own(s5_package, bidir=bidir, block_count=block_count)
    groups = nw.states(model)
    (group,) = groups
    assert group.size == 6  # both members of a pair are stored, and leave together
    poles = model.seq.Lambda.detach()
    for one, other in group.slices[0].index.tolist():
        torch.testing.assert_close(poles[one], poles[other].conj(), rtol=1e-4, atol=1e-4)
    keep = some_kept(groups)
    small = nw.shrink(model, groups, keep)
    x = torch.randn(2, 20, 4)
    assert widest(masked(model, groups, keep), small, x) < 1e-5
    assert small.seq.Lambda.shape == (2 * int(keep["seq"].sum()),)
    assert widest(model, small, x) > 1e-3


def test_scores_of_the_package_are_the_sum_over_the_pair(s5_package):
    model = _by_its_own(s5_package)
    (group,) = groups = nw.states(model)
    (scores,) = nw.score(nw.HInfinity(eps=0), model, groups).values()
    value = {name: p.detach().numpy().astype(complex) for name, p in model.seq.named_parameters()}
    b, step = value["B"][..., 0] + 1j * value["B"][..., 1], np.exp(value["log_step"].ravel().real)
    rate = value["Lambda"]
    pole = np.exp(rate * step)
    driven = np.linalg.norm((pole - 1)[:, None] / rate[:, None] * b, axis=1)
    single = (np.linalg.norm(value["C"], axis=0) * driven / (1 - np.abs(pole))) ** 2
    np.testing.assert_allclose(scores, single[group.slices[0].index.numpy()].sum(1), rtol=1e-4)


def test_taylor_of_complex_parameters_is_the_derivative_by_a_gate(s5_package):
    model = _by_its_own(s5_package)
    (group,) = groups = nw.states(model)
    x, y = torch.randn(3, 10, 4), torch.randn(3, 10, 4)
    (found,) = nw.score(nw.Taylor(), model, groups, [(x, y)], nn.functional.mse_loss).values()
    # The same by central differences: every number that reads one unit, C, times 1 + e.
    state = {name: p.detach().clone() for name, p in model.named_parameters()}
    for unit, members in enumerate(group.slices[0].index.tolist()):
        losses = []
        for gate in (1 + 1e-2, 1 - 1e-2):
            scaled = {name: p.clone() for name, p in state.items()}
            scaled["seq.C"][:, members] *= gate
            with torch.no_grad():
                out = torch.func.functional_call(model, scaled, (x,))
            losses.append(float(nn.functional.mse_loss(out, y)))
        assert float(found[unit]) == pytest.approx(abs(losses[0] - losses[1]) / 2e-2, rel=2e-2, abs=1e-4)


def test_squares_of_complex_gradients_are_refused(s5_package):
    model = _by_its_own(s5_package)
    x = torch.randn(3, 10, 4)
    batches = [(x, torch.randn(3, 10, 4))]
    signals = nw.collect(model, batches, nn.functional.mse_loss, needs={"weight", "grad"}, tensors=nw.states(model))
    squares = nw.Signals({"weight": signals.values["weight"], "grad_sq": signals.values["grad"]})
    with pytest.raises(SignalError, match="the signal 'grad_sq' of the complex tensor 'seq.C' mixes its two parts"):
        nw.Fisher()(nw.states(model)[0], squares)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"liquid": True}, "liquid=True makes its poles depend on the input"),
        ({"degree": 2}, "degree=2 wants a square B"),
        ({"bcInit": "factorized"}, "B and C are products of factors"),
    ],
)
def test_what_the_package_couples_is_refused(s5_package, change, why):
    model = _by_its_own(s5_package)
    for name, value in change.items():
        setattr(model.seq, name, value)
    with pytest.raises(GroupError, match=rf"S5 has no states that can be pruned \(seq: {why}"):
        nw.states(model)


@pytest.fixture
def transformers():
    return pytest.importorskip("transformers", reason="transformers is not installed")


def _mamba(transformers, kind):
    torch.manual_seed(0)
    shared = {"vocab_size": 17, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 6, "expand": 2}
    if kind == "mamba":
        config = transformers.MambaConfig(**shared, time_step_rank=3)
        return transformers.MambaForCausalLM(config).eval()
    config = transformers.Mamba2Config(**shared, num_heads=4, head_dim=8, n_groups=2, chunk_size=4)
    return transformers.Mamba2ForCausalLM(config).eval()


class _Logits(nn.Module):
    """The scores alone, without a cache: layers may keep different numbers of states."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, tokens):
        return self.inner(tokens, use_cache=False).logits


@pytest.mark.parametrize("kind", ["mamba", "mamba2"])
def test_a_masked_mamba_is_the_smaller_one(transformers, kind):
    model = _Logits(_mamba(transformers, kind))
    groups = nw.states(model)
    assert [g.size for g in groups] == [6, 6]
    keep = some_kept(groups)
    counts = [int(row.sum()) for row in keep.values()]
    assert len(set(counts)) == 2  # unequal layers
    small = nw.shrink(model, groups, keep)
    tokens = torch.arange(12).reshape(1, 12)
    assert widest(masked(model, groups, keep), small, tokens) < 1e-5
    assert widest(model, small, tokens) > 1e-6
    mixers = [layer.mixer for layer in small.inner.backbone.layers]
    assert [m.ssm_state_size for m in mixers] == counts
    if kind == "mamba":
        assert [m.x_proj.out_features for m in mixers] == [3 + 2 * n for n in counts]
    else:
        assert [m.conv_dim for m in mixers] == [32 + 2 * 2 * n for n in counts]
        assert [m.conv1d.groups for m in mixers] == [m.conv_dim for m in mixers]


@pytest.mark.parametrize("kind", ["mamba", "mamba2"])
def test_unequal_layers_write_the_same_with_and_without_a_cache(transformers, kind):
    model = _mamba(transformers, kind)
    groups = nw.states(model)
    small = nw.shrink(model, groups, some_kept(groups))
    first = torch.arange(5)[None]
    with_cache, without = (
        small.generate(first, max_new_tokens=6, do_sample=False, use_cache=cache, pad_token_id=0)
        for cache in (True, False)
    )
    assert with_cache.shape == (1, 11)
    assert torch.equal(with_cache, without)


@pytest.mark.parametrize("kind", ["mamba", "mamba2"])
def test_selective_layers_have_no_poles_until_tokens_are_frozen(transformers, kind):
    model = _Logits(_mamba(transformers, kind))
    with pytest.raises(SignalError, match="has no fixed poles: its layer is selective.*calibration=batches"):
        nw.last(model, density=0.5)
    tokens = torch.arange(12).reshape(1, 12)
    groups = nw.states(model, calibration=[(tokens, None)], tokens=12)
    keep = nw.last(model, groups, density=0.5)
    assert sum(int(row.sum()) for row in keep.values()) == 6
    assert not model.inner.backbone.layers[0].mixer._forward_hooks and not model.inner.backbone.layers[0].mixer.training


def test_frozen_scores_of_mamba_are_the_sum_over_tokens_and_channels(transformers):
    model = _Logits(_mamba(transformers, "mamba"))
    tokens = torch.arange(5).reshape(1, 5)
    (first, _) = groups = nw.states(model, calibration=[tokens], tokens=5)
    (found, _) = nw.score(nw.HInfinity(eps=0), model, groups).values()
    mixer, seen = model.inner.backbone.layers[0].mixer, []
    handle = mixer.x_proj.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].detach()[0].double().numpy())
    )
    model(tokens)
    handle.remove()
    value = {name: p.detach().double().numpy() for name, p in mixer.named_parameters()}
    expected = np.zeros(6)
    for x in seen[0]:
        out = value["x_proj.weight"] @ x
        step = np.log1p(np.exp(value["dt_proj.weight"] @ out[:3] + value["dt_proj.bias"]))
        for n in range(6):
            b, c = out[3 + n], out[9 + n]
            for d in range(32):
                expected[n] += (c * step[d] * b / -np.expm1(-step[d] * np.exp(value["A_log"][d, n]))) ** 2
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert first.dynamics is not None


def test_within_a_head_of_mamba2_the_pole_cannot_rank(transformers):
    model = _Logits(_mamba(transformers, "mamba2"))
    groups = nw.states(model, calibration=[torch.arange(7).reshape(1, 7)], tokens=7)
    mixer = model.inner.backbone.layers[0].mixer
    system = groups[0].dynamics.read(lambda name: dict(model.named_parameters())[name].detach())
    assert system.pole.shape == (6, 7 * 4)  # every head at every token
    torch.testing.assert_close(system.pole[0], system.pole[5])
    assert mixer.A_log.shape == (4,)


def test_normalised_states_and_strange_layouts_are_refused(transformers):
    config = transformers.FalconMambaConfig(
        vocab_size=11, hidden_size=8, num_hidden_layers=1, state_size=4, expand=2, time_step_rank=2
    )
    with pytest.raises(
        GroupError, match="mixer: B and C are normalised over the states; without one, the others would"
    ):
        nw.states(transformers.FalconMambaForCausalLM(config))
    model = _mamba(transformers, "mamba")
    model.backbone.layers[0].mixer.time_step_rank = 5
    groups = nw.states(model)
    assert len(groups) == 1
    assert groups.left_out["backbone.layers.0.mixer"].startswith("MambaMixer has x_proj with 15 outputs, not 5 + 2 * 6")
    other = _mamba(transformers, "mamba2")
    other.backbone.layers[1].mixer.n_groups = 1
    assert "in_proj and conv1d of other sizes" in nw.states(other).left_out["backbone.layers.1.mixer"]
