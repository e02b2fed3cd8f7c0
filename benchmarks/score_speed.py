"""What scores of channels cost, by criterion: processor seconds and peak memory over those of first-order Taylor.

    python benchmarks/score_speed.py

Every measurement is a process of its own with one thread: one batch unmeasured, then the least of three. Memory is what
the process takes beyond what it had before it scored.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import torch
from record import write
from torch import nn

import niwaki as nw
from niwaki.app.models import load_model

NETWORKS = {  # address, shape of an image, images in a batch
    "ResNet-20": ("zoo:resnet20", (3, 32, 32), 64),
    "ResNet-50": ("torchvision:resnet50", (3, 224, 224), 8),
    "ViT-S/16": ("timm:vit_small_patch16_224", (3, 224, 224), 8),
}
CRITERIA: dict[str, Any] = {
    "Taylor": nw.Taylor(),
    "Fisher": nw.Fisher(),
    "group Fisher": nw.GroupFisher(),
    "second Taylor": nw.SecondTaylor(),
    "Wanda": nw.Wanda(),
}


def measured(network: str, criterion: str) -> dict[str, float]:
    """Seconds and GiB of one criterion, in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    address, shape, count = NETWORKS[network]
    model = load_model(address).eval()
    batch = (torch.randn(count, *shape), torch.randint(0, 10, (count,)))
    groups = nw.channels(model, batch[0][:1])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(4):
        begun = time.process_time()
        nw.score(CRITERIA[criterion], model, groups, [batch], nn.functional.cross_entropy)
        seconds.append(time.process_time() - begun)
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"seconds": round(min(seconds[1:]), 4), "gib": round(more / 2**20, 3)}


def main() -> None:
    """Fill the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", nargs=2, metavar=("NETWORK", "CRITERION"), help="measure one in this process")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(*given.one)))
        return
    rows = []
    for network in NETWORKS:
        base: dict[str, float] = {}
        for criterion in CRITERIA:
            command = [sys.executable, __file__, "--one", network, criterion]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            base = base or found
            over = {f"{name}_over_taylor": round(found[name] / base[name], 2) for name in found}
            rows.append({"network": network, "criterion": criterion, **found, **over})
            print(rows[-1], flush=True)
    torch.set_num_threads(1)
    write("score_speed", {"batches": {name: row[2] for name, row in NETWORKS.items()}, "rows": rows})


if __name__ == "__main__":
    main()
