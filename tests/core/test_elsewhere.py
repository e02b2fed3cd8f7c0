"""The pretended devices of the tests refuse what real ones refuse, and compute the same."""

import copy

import pytest
import torch
from torch import nn

from niwaki.core.widest import widest, widest_type
from tests.elsewhere import ELSEWHERE, SINGLE, Pretended, pretended

x = torch.arange(6.0).reshape(2, 3)


@pretended
def test_what_is_mixed_is_refused(place):
    with Pretended():
        far = x.to(place)
        mixed = {
            "sum": lambda: far + x,
            "product": lambda: x @ far.t(),
            "mask": lambda: torch.where(x > 1, far, far),
            "index": lambda: x[far > 1],
            "in place": lambda: x.add_(far),
            "a number": lambda: torch.zeros(()).add_(far.sum()),
            "linear": lambda: nn.Linear(3, 2)(far),
        }
        for what, attempt in mixed.items():
            with pytest.raises(RuntimeError, match="on the same device"):
                attempt()
                pytest.fail(f"{what} was not refused")
        with pytest.raises(RuntimeError, match="expected a generator on lazy"):
            torch.rand(3, device=place, generator=torch.Generator())
        with pytest.raises(RuntimeError, match=r"numpy\(\)"):
            far.numpy()
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]


@pretended
def test_what_real_devices_take_is_taken(place):
    with Pretended():
        far = x.to(place)
        assert far.device == place and (far * torch.tensor(2.0)).device == place
        assert far[torch.tensor([1])].tolist() == [[3, 4, 5]]  # indices from the CPU
        assert far.cpu().device.type == "cpu" and torch.zeros(2, device=place).device == place
        far.view(-1)[1] = 9.0
        assert far.tolist() == [[0, 9, 2], [3, 4, 5]] and float(far.sum()) == 23.0
        assert x.copy_(far).tolist() == far.tolist()
        x.copy_(torch.arange(6.0).reshape(2, 3))


def test_two_of_them_are_two():
    with Pretended(), pytest.raises(RuntimeError, match="on the same device"):
        x.to(ELSEWHERE) + x.to(SINGLE)


@pretended
def test_it_learns_as_the_cpu_does(place):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    here = copy.deepcopy(net)
    inputs, labels = torch.randn(4, 2, 6, 6), torch.tensor([0, 1, 1, 0])
    nn.functional.cross_entropy(here(inputs), labels).backward()
    with Pretended():
        far = copy.deepcopy(net).to(place)
        nn.functional.cross_entropy(far(inputs.to(place)), labels.to(place)).backward()
        for name, parameter in far.named_parameters():
            assert parameter.device == place
            assert torch.equal(parameter.grad.cpu(), here.get_parameter(name).grad), name


def test_the_widest_type_is_what_the_device_has():
    with Pretended():
        assert widest_type(ELSEWHERE) == torch.float64 and widest_type(SINGLE) == torch.float32
        assert widest_type(SINGLE, is_complex=True) == torch.complex64
        assert widest(torch.ones(2, device=SINGLE, dtype=torch.float16)).dtype == torch.float32
        with pytest.raises(TypeError, match="cannot have torch.float64"):
            torch.ones(2, device=SINGLE).double()
