"""All channels of networks trained by others, cut in one shot: accuracy by criterion and by the way to plan.

    python benchmarks/one_shot_channels.py --data DATA --networks 20 32 44

DATA is a folder with cifar10.npz and pretrained/cifar10_resnetN.safetensors. Every group that discovery finds is cut,
the residual streams too, as `niwaki prune` does: by one ranking of all channels, by the same share of every group, or
within a budget of MACs. Criteria that need data see 8 batches of 64 training images, three draws of them; batch norms
are measured anew from the same images. With ``--finetune`` the smaller network is then trained for so many steps, as
`niwaki prune --finetune` trains it. What the results file holds is kept, and not measured again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from record import RESULTS, write
from torch import Tensor

import niwaki as nw
from niwaki.app.batches import Batches
from niwaki.app.data import Data, load_data
from niwaki.app.evaluation import evaluate, loss_of
from niwaki.app.mending import mended
from niwaki.app.models import load_model
from niwaki.app.progress import Silent
from niwaki.app.request import Request

NAME = "one_shot_channels"
CRITERIA: dict[str, tuple[Any, bool]] = {  # and whether every batch is scored alone, and the scores averaged
    "random": (nw.Random(), False),
    "magnitude": (nw.Magnitude(), False),
    "magnitude, over the mean": (nw.Normalised(nw.Magnitude(), "mean"), False),
    "Wanda, over the mean": (nw.Normalised(nw.Wanda(), "mean"), False),
    "Taylor": (nw.Taylor(), False),
    "Taylor, by batch": (nw.Taylor(reduce="square"), True),
    "Taylor on norms, by batch": (
        nw.Taylor(reduce="square", roles=("scale", "shift"), fallback=("out", "bias")),
        True,
    ),
    "Taylor on readers, by batch": (nw.Taylor(reduce="square", roles=("in",)), True),
    "second Taylor": (nw.SecondTaylor(), False),
    "Fisher": (nw.Fisher(), False),
    "group Fisher": (nw.GroupFisher(), False),
}
WAYS = ("ranking", "uniform", "macs")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--networks", type=int, nargs="+", default=[20])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.8, 0.6], help="of the channels, or of the MACs")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--criteria", nargs="+", choices=list(CRITERIA), default=list(CRITERIA))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--finetune", type=int, default=0, help="optimizer steps after the cut")
    parser.add_argument("--test", type=int, default=2000, help="test images")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def plan(way: str, share: float, groups: Any, scores: Mapping[str, Tensor], macs: Any) -> dict[str, Tensor]:
    """The channels that stay."""
    if way == "macs":
        return nw.knapsack(groups, scores, (nw.Macs(share, macs),))
    return nw.ranked(groups, scores, density=share) if way == "ranking" else nw.Uniform()(groups, scores, share)


class Network:
    """A network trained by others, and what is the same for all of its rows."""

    def __init__(self, given: argparse.Namespace, depth: int, data: Data) -> None:
        weights = given.data / "pretrained" / f"cifar10_resnet{depth}.safetensors"
        self.model = load_model(f"zoo:resnet{depth}?weights={weights}").eval()
        self.name, self.request = f"resnet{depth}", Request("", data="", finetune=given.finetune)
        self.data = replace(data, test=(data.test[0][: given.test], data.test[1][: given.test]))
        example = torch.zeros(1, 3, 32, 32)
        self.groups = nw.channels(self.model, example)
        self.macs = nw.counted(self.model, example).macs
        self.flops = nw.count_flops(self.model, (example,)).total
        self.dense = round(100 * evaluate(self.model, self.data, self.data.test)[0], 2)

    def cuts(self, criterion: str, seed: int, asked: list[tuple[str, float]]) -> dict[tuple[str, float], Any]:
        """Accuracy and the share of the MACs that is left, by way and share; scored once."""
        batches = Batches(self.data, self.request.batch, seed)
        seen = [batches.at(step) for step in range(self.request.batches)]
        chosen, per_batch = CRITERIA[criterion]
        chance = torch.Generator().manual_seed(seed)
        given = (chosen, self.model, self.groups, seen, loss_of)
        scores = nw.score(*given, generator=chance, per_batch=per_batch)
        found = {}
        for way, share in asked:
            keep = plan(way, share, self.groups, scores, self.macs)
            small = nw.shrink(self.model, self.groups, keep)
            steps = mended(replace(self.request, seed=seed), small, self.data, batches, None, Silent())
            left = nw.count_flops(small, (torch.zeros(1, 3, 32, 32),)).total / self.flops
            found[way, share] = (round(100 * list(steps.values())[-1]["accuracy"], 2), round(left, 3))
        return found


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["criterion"], row["way"], row["share"], row["finetune"]


def rows_of(network: Network, given: argparse.Namespace, criterion: str, done: set[Any]) -> list[dict[str, Any]]:
    """What is missing of one criterion, over all seeds."""
    wanted = itertools.product(given.ways, given.shares)
    asked = [(way, share) for way, share in wanted if (criterion, way, share, given.finetune) not in done]
    by_seed = [network.cuts(criterion, seed, asked) for seed in given.seeds] if asked else []
    rows = []
    for way, share in asked:
        reached, left = zip(*(each[way, share] for each in by_seed), strict=True)
        spread = round(statistics.stdev(reached), 2) if len(reached) > 1 else None
        rows.append(
            {"criterion": criterion, "way": way, "share": share, "finetune": given.finetune, "accuracy": reached,
             "mean": round(statistics.mean(reached), 2), "standard_deviation": spread,
             "macs": round(statistics.mean(left), 3)}
        )  # fmt: skip
    return rows


def main() -> None:
    """Fill the table."""
    given = arguments()
    torch.set_num_threads(given.threads)
    data = load_data(f"npz:{given.data / 'cifar10.npz'}")
    file = RESULTS / f"{NAME}.json"
    known = {one["network"]: one for one in json.loads(file.read_text())["networks"]} if file.exists() else {}
    for depth in given.networks:
        network = Network(given, depth, data)
        found = known.setdefault(network.name, {"network": network.name, "dense": network.dense, "rows": []})
        for criterion in given.criteria:
            new = rows_of(network, given, criterion, {key(row) for row in found["rows"]})
            found["rows"] += new
            for row in new:
                print(network.name, *(row[k] for k in ("criterion", "way", "share", "mean", "macs")), flush=True)
            conditions = {"test_images": given.test, "calibration_images": 512, "seeds": given.seeds}
            write(NAME, {**conditions, "networks": list(known.values())})


if __name__ == "__main__":
    main()
