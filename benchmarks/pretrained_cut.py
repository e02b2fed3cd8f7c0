"""Networks trained by others, cut in one shot: accuracy before and after, by criterion, three calibration draws.

    python benchmarks/pretrained_cut.py --data DATA --networks 20 56

DATA is a folder with cifar10.npz and pretrained/cifar10_resnetN.safetensors. Only inner channels of the blocks are cut
(`ignore` holds the residual streams), the same share of each group; batch norms are measured anew from the calibration
images; nothing is fine-tuned.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from record import write
from torch import nn

import niwaki as nw
from niwaki.app.batches import Batches
from niwaki.app.data import Data, load_data
from niwaki.app.evaluation import evaluate, loss_of
from niwaki.app.models import load_model

CRITERIA: dict[str, Any] = {
    "random": nw.Random(),
    "magnitude": nw.Magnitude(),
    "norm scale": nw.NormScale(),
    "geometric median": nw.GeometricMedian(),
    "Wanda": nw.Wanda(),
    "Taylor": nw.Taylor(),
    "group Fisher": nw.GroupFisher(),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--networks", type=int, nargs="+", default=[20, 56])
    parser.add_argument("--densities", type=float, nargs="+", default=[0.8, 0.6])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--test", type=int, default=2000, help="test images")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def cut_once(model: nn.Module, groups: Any, criterion: Any, density: float, batches: list[Any], seed: int) -> nn.Module:
    scores = nw.score(criterion, model, groups, batches, loss_of, generator=torch.Generator().manual_seed(seed))
    keep = nw.Uniform()(groups, scores, density)
    small = nw.shrink(model, groups, keep)
    nw.reestimate_norms(small, batches)
    return small.eval()


def rows_of(depth: int, given: argparse.Namespace, data: Data) -> dict[str, Any]:
    weights = given.data / "pretrained" / f"cifar10_resnet{depth}.safetensors"
    model = load_model(f"zoo:resnet{depth}?weights={weights}").eval()
    part = (data.test[0][: given.test], data.test[1][: given.test])
    streams = ["conv1", "layer2.0.conv2", "layer3.0.conv2"]
    groups = nw.channels(model, torch.zeros(1, 3, 32, 32), ignore=streams)
    dense = evaluate(model, data, part)[0]
    result: dict[str, Any] = {
        "network": f"resnet{depth}",
        "dense": round(100 * dense, 2),
        "groups": len(groups),
        "rows": [],
    }
    for density in given.densities:
        for name, criterion in CRITERIA.items():
            found = []
            for seed in given.seeds:
                batches = Batches(data, 64, seed)
                small = cut_once(model, groups, criterion, density, [batches.at(step) for step in range(8)], seed)
                found.append(round(100 * evaluate(small, data, part)[0], 2))
            parameters = sum(p.numel() for p in small.parameters()) / sum(p.numel() for p in model.parameters())
            row = {"criterion": name, "density": density, "seeds": given.seeds, "accuracy": found}
            row |= {"mean": round(statistics.mean(found), 2), "standard_deviation": round(statistics.stdev(found), 2)}
            result["rows"].append(row | {"parameters_kept": round(parameters, 4)})
            print(result["network"], row, flush=True)
    return result


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    begun = time.perf_counter()
    data = load_data(f"npz:{given.data / 'cifar10.npz'}")
    found = [rows_of(depth, given, data) for depth in given.networks]
    seconds = round(time.perf_counter() - begun)
    print(
        write(
            "pretrained_cut",
            {"test_images": given.test, "calibration_images": 512, "seconds": seconds, "networks": found},
        )
    )


if __name__ == "__main__":
    main()
