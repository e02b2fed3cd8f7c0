"""All channels and heads of trained networks, cut in one shot: accuracy by criterion and by the way to plan.

    python benchmarks/one_shot_channels.py --data DATA --networks 20 32 44
    python benchmarks/one_shot_channels.py --data DATA --networks digits fashion heads

DATA is a folder with cifar10.npz, fashion_mnist.npz and pretrained/cifar10_resnetN.safetensors, which others trained; a
`zoo:cnn` for digits or Fashion-MNIST is trained here, anew for every seed, 400 steps of 128 images, and so is a small
vision transformer with eight heads a layer, 600 steps on digits, for ``heads``. Every group that discovery finds is
cut, the residual streams too, as `niwaki prune` does: by one ranking of all channels, by the same share of every group,
or within a budget of MACs. Criteria that need data see 8 batches of 64 training images, another draw for every seed;
batch norms are measured anew from the same images. With ``--finetune`` the smaller network is then trained for so many
steps, as `niwaki prune --finetune` trains it. What the results file holds is kept, and not measured again.
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
from record import RESULTS, over_seeds, write
from torch import Tensor, nn

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
    "magnitude, L1": (nw.Magnitude(1), False),
    "magnitude, over the mean": (nw.Normalised(nw.Magnitude(), "mean"), False),
    "Wanda, over the mean": (nw.Normalised(nw.Wanda(), "mean"), False),
    "Taylor, all slices": (nw.Taylor(roles=None), False),
    "Taylor, all slices, by batch": (nw.Taylor(reduce="square", roles=None), True),
    "Taylor on readers": (nw.Taylor(roles=("in",)), False),
    "Taylor on readers, by batch": (nw.Taylor(reduce="square", roles=("in",)), True),
    "Taylor on readers, absolute by batch": (nw.Taylor(roles=("in",)), True),
    "Taylor on norms, by batch": (
        nw.Taylor(reduce="square", roles=("scale", "shift"), fallback=("out", "bias")),
        True,
    ),
    "second Taylor": (nw.SecondTaylor(), False),
    "second Taylor, by batch": (nw.SecondTaylor(), True),
    "Fisher": (nw.Fisher(), False),
    "group Fisher": (nw.GroupFisher(), False),
}
WAYS = ("ranking", "uniform", "macs")
CNN = "zoo:cnn"
VIT = "timm:vit_tiny_patch16_224?img_size=8&patch_size=2&in_chans=1&embed_dim=48&depth=3&num_heads=8"
SMALL = {"digits": (CNN, "digits"), "fashion": (CNN, "npz:{}/fashion_mnist.npz"), "heads": (VIT, "digits")}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", default=["20"], choices=["20", "32", "44", "56", *SMALL])
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


def trained(address: str, data: Data, seed: int) -> nn.Module:
    """A small network of our own."""
    torch.manual_seed(seed)
    if address == VIT:
        model, steps = load_model(address, classes=len(data.classes)), 600
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    else:
        model, steps = load_model(address, classes=len(data.classes), channels=data.channels), 400
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    batches = Batches(data, 128, seed)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    model.train()
    for step in range(steps):
        x, y = batches.at(step)
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()
        falling.step()
    return model.eval()


class Network:
    """A trained network, and what is the same for all of its rows."""

    def __init__(self, given: argparse.Namespace, model: nn.Module, data: Data) -> None:
        self.model, self.request = model.eval(), Request("", data="", finetune=given.finetune)
        self.data = replace(data, test=(data.test[0][: given.test], data.test[1][: given.test]))
        self.example = Batches(data, 2, 0).at(0)[0][:1]
        self.groups = nw.discover(self.model, self.example)
        self.macs = nw.counted(self.model, self.example).macs
        self.flops = nw.count_flops(self.model, (self.example,)).total
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
            left = nw.count_flops(small, (self.example,)).total / self.flops
            found[way, share] = (round(100 * list(steps.values())[-1]["accuracy"], 2), round(left, 3))
        return found


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["criterion"], row["way"], row["share"], row["finetune"]


def networks_of(name: str, given: argparse.Namespace) -> dict[int, Network]:
    """The networks by seed: one for all of them if others trained it."""
    if name in SMALL:
        address, small = SMALL[name][0], load_data(SMALL[name][1].format(given.data))
        return {seed: Network(given, trained(address, small, seed), small) for seed in given.seeds}
    weights = given.data / "pretrained" / f"cifar10_resnet{name}.safetensors"
    model = load_model(f"zoo:resnet{name}?weights={weights}")
    return dict.fromkeys(given.seeds, Network(given, model, load_data(f"npz:{given.data / 'cifar10.npz'}")))


def rows_of(
    networks: Mapping[int, Network], given: argparse.Namespace, criterion: str, done: set[Any]
) -> list[dict[str, Any]]:
    """What is missing of one criterion, over all seeds."""
    wanted = itertools.product(given.ways, given.shares)
    asked = [(way, share) for way, share in wanted if (criterion, way, share, given.finetune) not in done]
    by_seed = [networks[seed].cuts(criterion, seed, asked) for seed in given.seeds] if asked else []
    rows = []
    for way, share in asked:
        reached, left = zip(*(each[way, share] for each in by_seed), strict=True)
        rows.append(
            {"criterion": criterion, "way": way, "share": share, "finetune": given.finetune, "accuracy": reached,
             **over_seeds(reached), "macs": round(statistics.mean(left), 3)}
        )  # fmt: skip
    return rows


def main() -> None:
    """Fill the table."""
    given = arguments()
    torch.set_num_threads(given.threads)
    file = RESULTS / f"{NAME}.json"
    known = {one["network"]: one for one in json.loads(file.read_text())["networks"]} if file.exists() else {}
    for name in given.networks:
        networks = networks_of(name, given)
        label = name if name in SMALL else f"resnet{name}"
        dense = round(statistics.mean(network.dense for network in networks.values()), 2)
        found = known.setdefault(label, {"network": label, "dense": dense, "rows": []})
        for criterion in given.criteria:
            new = rows_of(networks, given, criterion, {key(row) for row in found["rows"]})
            found["rows"] += new
            for row in new:
                print(label, *(row[k] for k in ("criterion", "way", "share", "mean", "macs")), flush=True)
            conditions = {"test_images": given.test, "calibration_images": 512, "seeds": given.seeds}
            write(NAME, {**conditions, "networks": list(known.values())})


if __name__ == "__main__":
    main()
