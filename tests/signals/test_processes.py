"""Two processes measure what one would measure on all the data."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

CHILD = """
import os
import sys
import time
import torch
from torch import distributed as dist, nn
from niwaki.core import RankError
from niwaki.criteria import Taylor
from niwaki.signals import collect, score
from niwaki.structure.declare import weights
from tests.signals.test_processes import KINDS, LOSS, global_batches, make_model, mine

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", rank=rank, world_size=2)
model, batches = make_model(), mine(global_batches(), rank)
signals = collect(model, batches, LOSS, needs=KINDS)
alone = collect(model, batches, LOSS, needs={"grad"}, reduce=False)
scores = score(Taylor(), model, weights(model), batches, LOSS, per_batch=True)
wrapped = collect(nn.parallel.DistributedDataParallel(model), batches, LOSS, needs={"grad"})
# The mean gradient needs no equal number of batches, what is squared batch by batch does.
uneven = collect(model, batches[: 2 - rank], LOSS, needs={"grad"})
try:
    collect(model, batches[: 2 - rank], LOSS, needs={"grad_batches_sq"})
    error = "none"
except RankError as raised:
    error = str(raised)
torch.save(
    {
        "signals": signals.values, "alone": alone.values["grad"], "wrapped": wrapped.values["grad"],
        "uneven": uneven.values["grad"], "scores": scores, "error": error,
    },
    f"{folder}/{rank}.pt",
)
# Everything is on the disk. Taking the group apart while the other process does the same can abort, rarely, so: leave.
dist.barrier()
time.sleep(0.5)  # the last messages of the barrier are still on their way
os._exit(0)
"""

KINDS = {"grad", "grad_sq", "grad_batches_sq", "grad_batches_abs", "hessian_grad", "input_norm"}
LOSS = torch.nn.functional.cross_entropy


def make_model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3)).double()


def global_batches():
    generator = torch.Generator().manual_seed(1)
    sizes = (6, 4)
    return [
        (torch.randn(n, 4, generator=generator).double(), torch.randint(0, 3, (n,), generator=generator)) for n in sizes
    ]


def mine(batches, rank):
    # Unequal shares: a third and two thirds, a quarter and three quarters.
    cut = [(slice(0, 2), slice(2, 6)), (slice(0, 1), slice(1, 4))]
    return [(x[cut[i][rank]], y[cut[i][rank]]) for i, (x, y) in enumerate(batches)]


def _run(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(root), str(root / "src")])
    env = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": path}
    command = [sys.executable, "-c", CHILD]
    children = [subprocess.Popen([*command, str(r), str(folder)], env=env, stderr=subprocess.PIPE) for r in range(2)]
    for child in children:
        _, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors.decode()
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def test_two_processes_measure_as_one(tmp_path):
    from niwaki.criteria import Taylor
    from niwaki.signals import collect, score
    from niwaki.structure.declare import weights

    first, second = _run(tmp_path)
    model, batches = make_model(), global_batches()
    expected = collect(model, batches, LOSS, needs=KINDS)
    for kind in KINDS:
        for name, value in expected.values[kind].items():
            assert torch.equal(first["signals"][kind][name], second["signals"][kind][name]), f"{kind} of {name} differs"
            torch.testing.assert_close(first["signals"][kind][name], value, rtol=1e-10, atol=1e-12)
    for name, value in score(Taylor(), model, weights(model), batches, LOSS, per_batch=True).items():
        torch.testing.assert_close(first["scores"][name], value, rtol=1e-10, atol=1e-12)
    for rank, found in enumerate((first, second)):
        own = collect(model, mine(batches, rank), LOSS, needs={"grad"})
        torch.testing.assert_close(found["alone"]["0.weight"], own.of("grad", "0.weight"))
        torch.testing.assert_close(found["wrapped"]["0.weight"], expected.of("grad", "0.weight"))
        assert found["error"].startswith("1 of 2 processes have a further batch and the others have none; give every")
    uneven = [*mine(batches, 0), mine(batches, 1)[0]]
    torch.testing.assert_close(
        first["uneven"]["0.weight"], collect(model, uneven, LOSS, needs={"grad"}).of("grad", "0.weight")
    )
