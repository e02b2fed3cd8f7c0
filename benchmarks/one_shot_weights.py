"""Single weights of networks trained by others, zeroed in one shot: accuracy by criterion, allocator and density.

    python benchmarks/one_shot_weights.py --data DATA --networks 20

DATA is a folder with cifar10.npz and pretrained/cifar10_resnetN.safetensors. Criteria that need data see 8 batches of
64 training images, three draws of them; batch norms are measured anew from the same images. Nothing is trained
afterwards. What the results file holds is kept, and not measured again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from record import RESULTS, over_seeds, write
from torch import Tensor, nn

import niwaki as nw
from niwaki.app.batches import Batches
from niwaki.app.data import Data, load_data
from niwaki.app.evaluation import evaluate, loss_of
from niwaki.app.models import load_model

NAME = "one_shot_weights"
CRITERIA: dict[str, tuple[Any, bool]] = {  # and whether every batch is scored alone, and the scores averaged
    "random": (nw.Random(), False),
    "magnitude": (nw.Magnitude(), False),
    "LAMP": (nw.Lamp(), False),
    "Taylor": (nw.Taylor(), False),
    "Taylor, absolute by batch": (nw.Taylor(), True),
    "Taylor, by batch": (nw.Taylor(reduce="square"), True),
    "Fisher": (nw.Fisher(), False),
    "Wanda": (nw.Wanda(), False),
}
ALLOCATORS: dict[str, Any] = {
    "uniform": nw.Uniform(),
    "rows": nw.RowWise(),
    "ERK": nw.ErdosRenyiKernel(),
    "global": nw.Global(),
}
PATTERNS = {"2:4": (2, 4), "1:4": (1, 4)}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--networks", type=int, nargs="+", default=[20])
    parser.add_argument("--densities", type=float, nargs="+", default=[0.5, 0.3, 0.2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--test", type=int, default=2000, help="test images")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def plans(given: argparse.Namespace, model: nn.Module) -> dict[tuple[str, float], tuple[Any, Any]]:
    """Groups and allocator by name and density."""
    singles = nw.weights(model)
    found = {(name, density): (singles, each) for density in given.densities for name, each in ALLOCATORS.items()}
    # The first layer reads three colours, which no pattern of four fits: it stays whole in these rows.
    return found | {(name, n / m): (nw.n_of_m(model, n, m), nw.Patterned()) for name, (n, m) in PATTERNS.items()}


def accuracies(
    given: argparse.Namespace, model: nn.Module, criterion: str, data: Data, seed: int
) -> dict[tuple[str, float], float]:
    """Accuracy by plan; what the plans rank is scored once."""
    batches = Batches(data, 64, seed)
    seen = [batches.at(step) for step in range(8)]
    part = (data.test[0][: given.test], data.test[1][: given.test])
    (chosen, per_batch), scores = CRITERIA[criterion], dict[int, dict[str, Tensor]]()
    found = {}
    for (name, density), (groups, allocator) in plans(given, model).items():
        if id(groups) not in scores:
            chance = torch.Generator().manual_seed(seed)
            asked = (chosen, model, groups, seen, loss_of)
            scores[id(groups)] = nw.score(*asked, generator=chance, per_batch=per_batch)
        sparse = nw.zeroed(model, groups, allocator(groups, scores[id(groups)], density)).eval()
        nw.reestimate_norms(sparse, seen)
        found[name, density] = round(100 * evaluate(sparse, data, part)[0], 2)
    return found


def rows_of(given: argparse.Namespace, model: nn.Module, criterion: str, data: Data) -> list[dict[str, Any]]:
    """All plans of one criterion, over all seeds."""
    by_seed = [accuracies(given, model, criterion, data, seed) for seed in given.seeds]
    rows = []
    for name, density in by_seed[0]:
        reached = [each[name, density] for each in by_seed]
        rows.append(
            {"criterion": criterion, "allocator": name, "density": density, "accuracy": reached,
             **over_seeds(reached)}
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
        weights = given.data / "pretrained" / f"cifar10_resnet{depth}.safetensors"
        model = load_model(f"zoo:resnet{depth}?weights={weights}").eval()
        part = (data.test[0][: given.test], data.test[1][: given.test])
        dense = round(100 * evaluate(model, data, part)[0], 2)
        network = known.setdefault(f"resnet{depth}", {"network": f"resnet{depth}", "dense": dense, "rows": []})
        for criterion in CRITERIA:
            if criterion in {row["criterion"] for row in network["rows"]}:
                continue
            network["rows"] += rows_of(given, model, criterion, data)
            print(f"resnet{depth}", criterion, flush=True)
            conditions = {"test_images": given.test, "calibration_images": 512, "seeds": given.seeds}
            write(NAME, {**conditions, "networks": list(known.values())})


if __name__ == "__main__":
    main()
