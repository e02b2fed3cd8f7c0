"""A model on another device is cut, compared, stored and loaded there, as it is on the CPU."""

import copy

import pytest
import torch

from niwaki.allocate import Global, ranked
from niwaki.criteria import Magnitude
from niwaki.signals import score
from niwaki.store import load, save
from niwaki.structure import channels, shrink, verify, weights, zeroed
from niwaki.train import reestimate_norms
from tests.elsewhere import SINGLE, Pretended, pretended
from tests.train.channel_nets import SHAPE, Residual

pytestmark = pytest.mark.usefixtures("plain_looking")

torch.manual_seed(0)
NET = Residual().eval()
UNITS = channels(NET, torch.zeros(2, *SHAPE))
PICTURES = torch.randn(6, *SHAPE)


def is_as(one, other, within):
    return (one.shape, one.dtype) == (other.shape, other.dtype) and torch.allclose(one, other, within, within)


def differing(far, here, place, within=0.0):
    """Names of what does not lie at the place, or is not what it is here."""
    tensors, wanted = far.state_dict(), here.state_dict()
    odd = [name for name, tensor in tensors.items() if name not in wanted or tensor.device != place]
    return odd + [n for n, t in wanted.items() if n not in tensors or not is_as(tensors[n].cpu(), t, within)]


def kept(model, normalise):
    return ranked(UNITS, score(Magnitude(), model, UNITS), density=0.5, normalise=normalise)


@pretended
@pytest.mark.parametrize("normalise", ["none", "l2", "mean", "zscore"])
def test_channels_leave_a_model_elsewhere(normalise, place, tmp_path):
    here = shrink(NET, UNITS, kept(NET, normalise))
    with Pretended():
        dense = copy.deepcopy(NET).to(place)
        keep, x = kept(dense, normalise), PICTURES.to(place)
        small = shrink(dense, UNITS, keep)
        assert not differing(small, here, place)
        verdict = verify(dense, small, UNITS, keep, x)
        assert verdict.same and "agree" in verdict.words
        with torch.no_grad():
            small.conv2.weight[0] += 1.0
        assert not verify(dense, small, UNITS, keep, x)
        save(small, tmp_path)
        again = load(dense, tmp_path)
        assert not differing(again, small.cpu(), place)
        again = load(copy.deepcopy(NET), tmp_path)
        assert not differing(again, small, torch.device("cpu"))


@pretended
def test_zeros_come_into_a_model_elsewhere(place, tmp_path):
    groups = weights(NET)
    here = zeroed(NET, groups, Global()(groups, score(Magnitude(), NET, groups), 0.1))
    with Pretended():
        dense = copy.deepcopy(NET).to(place)
        sparse = zeroed(dense, groups, Global()(groups, score(Magnitude(), dense, groups), 0.1))
        assert not differing(sparse, here, place)
        save(sparse, tmp_path, compact=True)
        assert not differing(load(dense, tmp_path), here, place)


@pretended
@pytest.mark.parametrize("momentum", [None, 0.1])
def test_norms_are_measured_anew_elsewhere(momentum, place):
    here = copy.deepcopy(NET)
    reestimate_norms(here, [PICTURES[:3], PICTURES[3:]], momentum=momentum)
    with Pretended():
        far = copy.deepcopy(NET).to(place)
        reestimate_norms(far, [PICTURES[:3].to(place), PICTURES[3:].to(place)], momentum=momentum)
        assert not differing(far, here, place, within=1e-5 if place == SINGLE else 0.0)
