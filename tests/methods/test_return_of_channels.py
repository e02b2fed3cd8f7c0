"""AC/DC and SET bring channels back as they last were; RigL says that it cannot choose among them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from niwaki.core import TrainError
from niwaki.core.group import gather
from niwaki.criteria import Random, Taylor
from niwaki.methods import acdc, rigl, sparse_evolution
from niwaki.structure import channels, shrink, weights
from niwaki.train import Values
from niwaki.train.values import readers, values_on_return
from tests.train.channel_nets import SHAPE, narrow_resnet, outputs, residual
from tests.train.loops import OPTIMIZERS, batch, train

PHASES: dict[str, Any] = {"density": 0.6, "steps": 24, "compress": (0.25, 0.75), "decompress": (0.5,)}


def _units(model, group, keep):
    """The values of some units, in all their tensors."""
    return [gather(where, model.get_parameter(where.tensor).detach())[keep].clone() for where in group.slices]


def test_acdc_brings_channels_back_as_they_last_were():
    model, groups = residual()
    optimizer = OPTIMIZERS["plain"](model.parameters())
    sparsifier = acdc(model, groups, **PHASES).attach(optimizer)
    train(model, optimizer, range(5), SHAPE)
    before = {group.name: _units(model, group, slice(None)) for group in groups}
    # The pruning comes after the sixth update, which trains them once more.
    train(model, optimizer, range(5, 6), SHAPE)
    gone = {group.name: ~sparsifier.keep[group.name] for group in groups}
    assert sum(int(mask.sum()) for mask in gone.values()) == round(0.4 * sum(group.size for group in groups))
    assert all(not part.any() for group in groups for part in _units(model, group, gone[group.name]))
    train(model, optimizer, range(6, 12), SHAPE)
    assert sparsifier.density == 1
    for group in groups:
        for part, old in zip(_units(model, group, gone[group.name]), before[group.name], strict=True):
            apart = (part - old[gone[group.name]]).abs().max() if part.numel() else torch.tensor(0.0)
            assert apart < 0.2, group.name  # the one update in between
            assert not part.numel() or part.any()
    train(model, optimizer, range(12, 13), SHAPE)
    for group in groups:
        for where in group.slices:
            gradient = model.get_parameter(where.tensor).grad
            rows = gather(where, gradient)[gone[group.name]]
            assert not rows.numel() or rows.any(), where.tensor


@pytest.mark.parametrize(
    "method",
    [
        lambda m, g: acdc(m, g, **PHASES),
        lambda m, g: sparse_evolution(m, g, density=0.6, steps=24, every=4, alpha=0.8),
        lambda m, g: rigl(m, g, density=0.6, steps=24, every=4, alpha=0.8, grow=Random()),
    ],
    ids=["acdc", "set", "rigl at random"],
)
@pytest.mark.parametrize("make", [residual, narrow_resnet])
def test_what_they_train_can_be_shrunk(method, make):
    model, groups = make()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = method(model, groups).attach(optimizer)
    kept = []
    for step in range(0, 24, 2):
        train(model, optimizer, range(step, step + 2), SHAPE)
        kept.append({name: mask.clone() for name, mask in sparsifier.keep.items()})
    assert len({tuple(torch.cat(list(one.values())).tolist()) for one in kept}) > 1  # the structure moved
    assert sparsifier.density == pytest.approx(0.6, abs=0.1)
    sparsifier.detach()
    small = shrink(model, groups, sparsifier.keep)
    x = batch(99, SHAPE)[0].double()
    torch.testing.assert_close(outputs(small, x, train=False)[""], outputs(model, x, train=False)[""])


@pytest.mark.parametrize("grow", [None, Taylor()])
def test_rigl_refuses_to_choose_channels_by_gradients(grow):
    """Nothing of a channel gets a gradient while it is zero where it is made and where it is read."""
    model, groups = residual()
    name = type(grow).__name__ if grow else "Gradient"
    with pytest.raises(TrainError, match=f"{name} cannot tell which units of group 'stem' .* Take iee, .* or sparse_"):
        rigl(model, groups, density=0.6, steps=60, every=5, grow=grow)
    first = groups[0]
    with torch.no_grad():
        for where in first.slices:
            view = model.get_parameter(where.tensor).movedim(where.dim, 0)
            view[where.index[0]] = 0
    x, y = batch(0, SHAPE)
    torch.nn.functional.cross_entropy(model(x.double()), y).backward()
    for where in first.slices:
        rows = gather(where, model.get_parameter(where.tensor).grad)
        assert not rows[0].any(), where.tensor
        assert rows[1:].any(), where.tensor


def test_values_on_return_tell_weights_from_channels():
    model, groups = residual()
    assert values_on_return(groups) == Values("mru_random", "mru")
    assert values_on_return(weights(model)) == Values(grow="zero", remembers=False)
    # Masked where they are read alone, channels are alive at zero.
    assert values_on_return(readers(channels(model, torch.zeros(2, *SHAPE, dtype=torch.float64)))) == Values(
        grow="zero", remembers=False
    )
