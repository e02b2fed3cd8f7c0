"""Networks trained by others, cut in one shot: accuracy before and after, by criterion, three calibration draws.

    python benchmarks/pretrained_cut.py --data DATA --networks 20 56
    python benchmarks/pretrained_cut.py --data DATA --networks 56 --criteria Wanda random --finetune 200

DATA is a folder with cifar10.npz and pretrained/cifar10_resnetN.safetensors. Only inner channels of the blocks are cut
(`ignore` holds the residual streams), the same share of each group; batch norms are measured anew from the calibration
images. With ``--finetune`` the smaller network is then trained for so many steps of 128 images. What the results file
holds is kept, and not measured again.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from record import RESULTS, over_seeds, write
from torch import nn

import niwaki as nw
from niwaki.app.batches import Batches
from niwaki.app.data import Data, load_data
from niwaki.app.evaluation import evaluate, loss_of
from niwaki.app.models import load_model

BATCH = 128  # of a fine-tuning step
CRITERIA: dict[str, Any] = {
    "random": nw.Random(),
    "magnitude": nw.Magnitude(),
    "norm scale": nw.NormScale(),
    "geometric median": nw.GeometricMedian(),
    "Wanda": nw.Wanda(),
    "Taylor, all slices": nw.Taylor(roles=None),
    "group Fisher": nw.GroupFisher(),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--networks", type=int, nargs="+", default=[20, 56])
    parser.add_argument("--densities", type=float, nargs="+", default=[0.8, 0.6])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--criteria", nargs="+", choices=list(CRITERIA), default=list(CRITERIA))
    parser.add_argument("--finetune", type=int, default=0, help="optimizer steps after the cut")
    parser.add_argument("--test", type=int, default=2000, help="test images")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def finetune(
    model: nn.Module, data: Data, steps: int, seed: int, *, rate: float = 0.01, attach: Callable[..., Any] | None = None
) -> None:
    """A short training at a small, falling rate; ``attach`` gets the optimizer."""
    batches = Batches(data, BATCH, seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    if attach is not None:
        attach(optimizer)
    model.train()
    for step in range(steps):
        x, y = batches.at(step)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        falling.step()


def cut_once(model: nn.Module, groups: Any, row: dict[str, Any], data: Data, seed: int) -> nn.Module:
    """One smaller network."""
    batches = Batches(data, 64, seed)
    seen = [batches.at(step) for step in range(8)]
    generator = torch.Generator().manual_seed(seed)
    scores = nw.score(CRITERIA[row["criterion"]], model, groups, seen, loss_of, generator=generator, per_batch=False)
    small = nw.shrink(model, groups, nw.Uniform()(groups, scores, row["density"]))
    nw.reestimate_norms(small, seen)
    if row["finetune"]:
        finetune(small, data, row["finetune"], seed)
    return small.eval()


def row_of(model: nn.Module, groups: Any, row: dict[str, Any], data: Data, part: Any) -> dict[str, Any]:
    """One criterion at one density, over all seeds."""
    found = []
    for seed in row["seeds"]:
        small = cut_once(model, groups, row, data, seed)
        found.append(round(100 * evaluate(small, data, part)[0], 2))
    parameters = sum(p.numel() for p in small.parameters()) / sum(p.numel() for p in model.parameters())
    return {**row, "accuracy": found, **over_seeds(found), "parameters_kept": round(parameters, 4)}


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["criterion"], row["density"], row.get("finetune", 0), tuple(row["seeds"])


def rows_of(depth: int, given: argparse.Namespace, data: Data, known: dict[str, Any]) -> None:
    """Measure what is missing of one network, and write after each row."""
    weights = given.data / "pretrained" / f"cifar10_resnet{depth}.safetensors"
    model = load_model(f"zoo:resnet{depth}?weights={weights}").eval()
    part = (data.test[0][: given.test], data.test[1][: given.test])
    streams = ["conv1", "layer2.0.conv2", "layer3.0.conv2"]
    groups = nw.channels(model, torch.zeros(1, 3, 32, 32), ignore=streams)
    if f"resnet{depth}" not in known:
        dense = round(100 * evaluate(model, data, part)[0], 2)
        known[f"resnet{depth}"] = {"network": f"resnet{depth}", "dense": dense, "groups": len(groups), "rows": []}
    rows = known[f"resnet{depth}"]["rows"]
    for density, criterion in itertools.product(given.densities, given.criteria):
        row = {"criterion": criterion, "density": density, "finetune": given.finetune, "seeds": given.seeds}
        if _key(row) in {_key(done) for done in rows}:
            continue
        rows.append(row_of(model, groups, row, data, part))
        print(f"resnet{depth}", rows[-1], flush=True)
        write("pretrained_cut", {**_conditions(given), "networks": list(known.values())})


def _conditions(given: argparse.Namespace) -> dict[str, Any]:
    return {"test_images": given.test, "calibration_images": 512, "finetuning": "SGD 0.01 cosine, 128 images a step"}


def main() -> None:
    """Fill the table."""
    given = arguments()
    torch.set_num_threads(given.threads)
    data = load_data(f"npz:{given.data / 'cifar10.npz'}")
    file = RESULTS / "pretrained_cut.json"
    before = json.loads(file.read_text()) if file.exists() else {}
    if before and before["test_images"] != given.test:
        raise SystemExit(f"{file} was measured on {before['test_images']} test images; give --test, or move it away")
    known = {found["network"]: found for found in before.get("networks", [])}
    for depth in given.networks:
        rows_of(depth, given, data, known)


if __name__ == "__main__":
    main()
