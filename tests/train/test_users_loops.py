"""The sparsifier under the loops people really write. The oracle is training with masks applied by hand."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from niwaki.criteria import Taylor
from niwaki.methods import acdc, dense, gmp, iee, rigl, sparse_evolution, static
from niwaki.structure.declare import weights

from .loops import OPTIMIZERS, batch, mlp, net, train


def by_hand(model: nn.Module, optimizer: torch.optim.Optimizer, masks, steps: int, clip: float | None = None) -> None:
    """Static sparse training with explicit masking of gradients and weights."""
    model.train()
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)
    for step in range(steps):
        x, y = batch(step)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        for name, mask in masks.items():
            gradient = model.get_parameter(name).grad
            assert gradient is not None
            gradient.mul_(mask)
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        with torch.no_grad():
            for name, mask in masks.items():
                model.get_parameter(name).mul_(mask)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_static_training_equals_masking_by_hand(name):
    ours, oracle = net(), net()
    optimizer = OPTIMIZERS[name](ours.parameters())
    sparsifier = static(ours, weights(ours), density=0.2, steps=20).attach(optimizer)
    train(ours, optimizer, range(20))
    by_hand(oracle, OPTIMIZERS[name](oracle.parameters()), sparsifier.masks(), 20)
    for key, value in oracle.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value, rtol=0, atol=0)


def test_clipping_does_not_count_the_gradients_of_removed_weights():
    ours, oracle = net(), net()
    optimizer = OPTIMIZERS["sgd"](ours.parameters())
    sparsifier = static(ours, weights(ours), density=0.05, steps=10).attach(optimizer)
    ours.train()
    for step in range(10):
        x, y = batch(step)
        optimizer.zero_grad()
        F.cross_entropy(ours(x), y).backward()
        nn.utils.clip_grad_norm_(ours.parameters(), 0.1)
        optimizer.step()
    by_hand(oracle, OPTIMIZERS["sgd"](oracle.parameters()), sparsifier.masks(), 10, clip=0.1)
    assert all(torch.equal(ours.state_dict()[key], value) for key, value in oracle.state_dict().items())


def test_dense_gates_change_nothing_bit_for_bit():
    ours, oracle = net(), net()
    optimizer, plain = OPTIMIZERS["adamw"](ours.parameters()), OPTIMIZERS["adamw"](oracle.parameters())
    dense(ours, weights(ours)).attach(optimizer)
    train(ours, optimizer, range(15))
    train(oracle, plain, range(15))
    assert all(torch.equal(ours.state_dict()[key], value) for key, value in oracle.state_dict().items())


@pytest.mark.parametrize("name", ["sgd", "adamw", "adagrad", "nadam"])
@pytest.mark.parametrize("method", [iee, rigl, sparse_evolution, gmp, acdc])
def test_every_method_ends_at_its_density_under_every_optimizer(method, name):
    model = net()
    optimizer = OPTIMIZERS[name](model.parameters())
    switches = {"H": 5, "J": 5, "Q": 3} if method is iee else {} if method is acdc else {"every": 10}
    groups = weights(model)
    sparsifier = method(model, groups, density=0.1, steps=80, **switches).attach(optimizer)
    train(model, optimizer, range(80))
    kept = round(0.1 * groups.size)
    assert sum(int(keep.sum()) for keep in sparsifier.keep.values()) == kept
    assert sparsifier.density == pytest.approx(0.1, abs=1e-3)
    assert sum(int((model.get_parameter(g.name) != 0).sum()) for g in groups) <= kept
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert sparsifier.history[-1]["density"] == sparsifier.density


def test_several_parameter_groups_with_their_own_rates():
    model = net()
    optimizer = torch.optim.SGD(
        [
            {"params": [p for p in model.parameters() if p.dim() > 1], "lr": 0.05, "weight_decay": 1e-2},
            {"params": [p for p in model.parameters() if p.dim() == 1], "lr": 0.5},
        ],
        momentum=0.9,
        lr=0.1,
    )
    iee(model, weights(model), density=0.2, steps=40, H=5, J=4, Q=3).attach(optimizer)
    train(model, optimizer, range(9))
    norm = model[1].weight.detach().clone()
    train(model, optimizer, range(9, 11))
    assert torch.equal(model[1].weight.detach(), norm)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.5]


def test_gradient_accumulation_counts_as_one_step():
    model = net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = iee(model, weights(model), density=0.2, steps=24, H=5, J=4, Q=3, example=batch(0)[0])
    sparsifier.attach(optimizer)
    model.train()
    for step in range(48):
        x, y = batch(step)
        (F.cross_entropy(model(x), y) / 2).backward()
        if step % 2:
            optimizer.step()
            optimizer.zero_grad()
    assert sparsifier.step == 24
    assert sparsifier.stage == "train"
    once = net()
    single = iee(once, weights(once), density=0.2, steps=24, H=5, J=4, Q=3, example=batch(0)[0])
    optimizer = OPTIMIZERS["sgd"](once.parameters())
    single.attach(optimizer)
    train(once, optimizer, range(24))
    assert single.ledger.flops is not None
    assert sparsifier.ledger.flops == pytest.approx(2 * single.ledger.flops, rel=0.02)


def test_autocast_and_a_gradient_scaler_that_skips_steps():
    model = net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = iee(model, weights(model), density=0.2, steps=30, criterion=Taylor(), H=5, J=4, Q=3)
    sparsifier.attach(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    model.train()
    done = 0
    for step in range(30):
        x, y = batch(step)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(x), y)
        scaler.scale(loss * (float("inf") if step == 7 else 1.0)).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        done += step != 7
        assert sparsifier.step == done
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_compiled_modules_train_to_the_same_masks():
    results = []
    for compiled in (False, True):
        model = mlp()
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        runner = torch.compile(model, backend="aot_eager") if compiled else model
        sparsifier = iee(runner, weights(runner), density=0.2, steps=30, H=5, J=4, Q=3).attach(optimizer)
        train(runner, optimizer, range(30), shape=(12,))
        results.append((sparsifier.masks(), model.state_dict()))
    assert results[0][0].keys() == results[1][0].keys()
    for name, mask in results[0][0].items():
        assert torch.equal(mask, results[1][0][name])
    for name, value in results[0][1].items():
        torch.testing.assert_close(value, results[1][1][name])


def test_an_averaged_copy_is_masked_along():
    model = net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True
    )
    sparsifier = iee(model, weights(model), density=0.2, steps=60, H=5, J=4, Q=3).attach(optimizer, ema=average)
    train(model, optimizer, range(60), watch=lambda _: average.update_parameters(model))
    for name, mask in sparsifier.masks().items():
        copied = average.module.get_parameter(name).detach()
        assert not copied[~mask].any()
        assert copied[mask].any()


def test_tied_weights_are_counted_once():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(12, 12), nn.Linear(12, 12)
            self.b.weight = self.a.weight
            self.head = nn.Linear(12, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.head(self.b(self.a(x).relu()).relu())
            return hidden

    torch.manual_seed(0)
    model = Tied()
    groups = weights(model)
    assert [g.name for g in groups] == ["a.weight", "head.weight"]
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = iee(model, groups, density=0.3, steps=30, H=5, J=4, Q=3).attach(optimizer)
    train(model, optimizer, range(30), shape=(12,))
    assert not model.b.weight.detach()[~sparsifier.masks()["a.weight"]].any()


def test_accelerate():
    accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")
    model = net()
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    prepared, wrapped = accelerator.prepare(model, optimizer)
    sparsifier = iee(prepared, weights(prepared), density=0.2, steps=20, H=5, J=4, Q=3).attach(wrapped)
    prepared.train()
    for step in range(40):
        x, y = batch(step)
        with accelerator.accumulate(prepared):
            loss = F.cross_entropy(prepared(x), y)
            accelerator.backward(loss)
            wrapped.step()
            wrapped.zero_grad()
    assert sparsifier.step == 20
    assert all(not model.get_parameter(n).detach()[~m].any() for n, m in sparsifier.masks().items())


def test_half_precision_weights_keep_their_dtype():
    model = mlp(dtype=torch.bfloat16)
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = iee(model, weights(model), density=0.2, steps=30, criterion=Taylor(), H=5, J=4, Q=3).attach(optimizer)
    train(model, optimizer, range(30), shape=(12,))
    assert all(p.dtype == torch.bfloat16 for p in model.parameters())
    assert sparsifier.density == pytest.approx(0.2, abs=2e-3)


def test_the_delivered_model_shows_in_the_middle_of_an_exploration():
    model = net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = iee(model, weights(model), density=0.2, steps=40, H=5, J=4, Q=6).attach(optimizer)
    train(model, optimizer, range(12))
    assert sparsifier.stage == "explore"
    masks = sparsifier.masks()
    exploring = copy.deepcopy(model.state_dict())
    assert any(exploring[n][~m].any() for n, m in masks.items())
    with sparsifier.pruned():
        assert all(not model.get_parameter(n).detach()[~m].any() for n, m in masks.items())
        assert all(torch.equal(model.get_parameter(n).detach()[m], exploring[n][m]) for n, m in masks.items())
    assert all(torch.equal(model.state_dict()[key], value) for key, value in exploring.items())
    sparsifier.detach()
    assert all(not model.get_parameter(n).detach()[~m].any() for n, m in masks.items())


def test_masks_handed_out_are_copies():
    model = net()
    sparsifier = static(model, weights(model), density=0.5).attach(OPTIMIZERS["plain"](model.parameters()))
    before = sparsifier.masks()
    sparsifier.masks()["0.weight"].fill_(True)
    sparsifier.keep["0.weight"].fill_(True)
    assert torch.equal(sparsifier.masks()["0.weight"], before["0.weight"])
    assert sparsifier.density == pytest.approx(0.5, abs=1e-3)


def test_detaching_leaves_no_hook_behind():
    model = net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = iee(model, weights(model), density=0.2, steps=40, H=5, J=4, Q=6).attach(optimizer)
    train(model, optimizer, range(3))
    sparsifier.detach()
    train(model, optimizer, range(3, 6))
    assert sparsifier.step == 3
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
    assert not model._forward_pre_hooks
    assert model[0].weight.detach().ne(0).all()


def test_a_model_can_be_copied_and_pickled_before_its_first_forward_pass():
    model = net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = static(model, weights(model), density=0.5, steps=3).attach(optimizer)
    x = batch(0)[0]
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        again.train()(x)
        assert sparsifier.ledger.dense_step_flops is None  # what a copy computes is not this run's
    train(model, optimizer, range(2))
    assert sparsifier.ledger.dense_step_flops
    assert torch.equal(pickle.loads(pickle.dumps(model)).eval()(x), model.eval()(x))
