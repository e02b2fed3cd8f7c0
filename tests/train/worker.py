"""One process of the distributed tests: trains a small float64 network on its share of every batch."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import torch
from torch import distributed as dist
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

import niwaki.methods as methods
from niwaki.core import RankError
from niwaki.criteria import Random, Taylor
from niwaki.structure.declare import weights

sys.path.insert(0, str(Path(__file__).parent))
from loops import batch, mlp  # type: ignore[import-not-found]  # noqa: E402

SWITCHES = {
    "iee": {"H": 5, "J": 4, "Q": 4},
    "iee_taylor": {"H": 5, "J": 4, "Q": 4, "criterion": Taylor()},
    "iee_random": {"H": 5, "J": 4, "Q": 4, "criterion": Random()},
    "rigl": {"every": 8},
    "sparse_evolution": {"every": 8},
    "gmp": {"every": 8},
}


def main() -> int:
    out, name, *flags = Path(sys.argv[1]), *sys.argv[2:]
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    model = mlp(dtype=torch.float64)
    # One process has no one to talk to, but runs the same code path.
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    seed = 1 + rank * ("--other-seed" in flags)
    method = getattr(methods, name.removesuffix("_taylor").removesuffix("_random"))
    sparsifier = method(wrapped, weights(wrapped), density=0.2, steps=60, seed=seed, **SWITCHES[name])
    try:
        sparsifier.attach(optimizer)
    except RankError as error:
        print(error)
        return 7
    share = 8 // world
    for step in range(60):
        x, y = batch(step, (12,))
        mine = slice(rank * share, (rank + 1) * share)
        optimizer.zero_grad()
        F.cross_entropy(wrapped(x[mine].double()), y[mine]).backward()
        optimizer.step()
    masks = sparsifier.masks()
    torch.save({"masks": masks, "model": model.state_dict()}, out / f"{world}-{rank}.pt")
    (out / f"{world}-{rank}.json").write_text(json.dumps({"moves": len(sparsifier.history)}))
    dist.barrier()
    time.sleep(0.5)  # the last messages of the barrier are still on their way
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # Taking the group apart while the other processes do the same can abort, rarely, so: leave.
    os._exit(status)
