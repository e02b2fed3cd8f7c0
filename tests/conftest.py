"""What every test finds ready: one thread, one seed, the same examples each time."""

import os

# Before torch is loaded, and for the processes that tests start: results must not depend on how many cores there are.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from tests.elsewhere import Far  # noqa: E402

hypothesis.settings.register_profile(
    "niwaki",
    derandomize=True,  # the same examples on every machine and day
    deadline=None,  # the first call into torch is slow
    max_examples=60,
    database=None,
)
hypothesis.settings.load_profile("niwaki")


def pytest_runtest_setup(item):
    if item.get_closest_marker("accelerator") and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def plain_looking(monkeypatch):
    """Cutting and storing refuse subclasses of tensors, which those of a real device are not."""
    from niwaki.store import encode
    from niwaki.structure import cutting

    for module in (encode, cutting):
        monkeypatch.setattr(module, "type", lambda x: torch.Tensor if isinstance(x, Far) else type(x), raising=False)
