"""Channels for a latency: accuracy, measured latency and training cost of the ways to get there, cell by cell.

    python benchmarks/structured_training.py --data DATA --networks resnet20 --targets 0.55 0.3 --seeds 0 --minutes 20
    python benchmarks/structured_training.py --data DATA --networks cnn --start here --methods dense halp "iee, scratch"
    python benchmarks/structured_training.py --data DATA --collect

DATA is a folder with cifar10.npz, fashion_mnist.npz (for cnn) and pretrained/cifar10_resnetN.safetensors. A cell is one
network, method, target and seed; its result is written as soon as it is there, and a cell that is there is not redone:
a table can be filled in pieces and by several processes (give each its own --seeds or --methods). ``--start trained``
begins with the weights of others; ``--start here`` with a dense network trained here for as many steps, its cell
``dense`` comes first.

All methods train for the same steps, on the same batches, at the same rates (from scratch at a larger one). Training
cost is in dense trainings of as many steps; what the trained network cost that a method starts from stands beside it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from record import over_seeds, put, write
from rival_cut import torch_pruning_cut, with_gradients
from safetensors.torch import save_file
from structured_latency import SETTINGS, measured
from torch import Tensor, nn

import niwaki as nw
from niwaki.app.batches import Batches
from niwaki.app.data import Data, load_data
from niwaki.app.evaluation import evaluate, laid_out, loss_of
from niwaki.app.models import load_model

CUT = ("uniform", "one-shot", "torch-pruning", "torch-pruning, local")
# IEE's structure stands after 0.4 of the run, or, ``end 0.75``, later.
TRAINED = ("halp", "smcp", "iee", "iee, end 0.75")
SCRATCH = ("static, scratch", "iee, scratch", "iee, scratch, end 0.75")
METHODS = ("dense", *CUT, *TRAINED, *SCRATCH)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--networks", nargs="+", choices=SETTINGS, default=["resnet20"])
    parser.add_argument("--targets", type=float, nargs="+", default=[0.55, 0.3])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--start", choices=["trained", "here"], default="trained")
    parser.add_argument("--limit", type=int, default=10_000, help="training images, a class-balanced part")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rate", type=float, default=0.02, help="learning rate from a trained network")
    parser.add_argument("--scratch-rate", type=float, default=0.1, help="learning rate from scratch")
    parser.add_argument("--prices", choices=["latency", "macs"], default="latency", help="what the budget counts")
    parser.add_argument(
        "--chunk", type=int, default=8, help="channels come and go by so many, as vector units like them"
    )
    parser.add_argument("--batch", type=int, default=32, help="pictures at once where latency is measured")
    parser.add_argument("--materialise", action="store_true", help="really smaller models while training")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/structured"))
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no cell after so many minutes")
    parser.add_argument("--collect", action="store_true", help="only gather what is finished into results/")
    return parser.parse_args()


def family(given: argparse.Namespace) -> str:
    return f"{given.start}-{given.limit}-images-{given.steps}-steps-{given.prices}-by-{given.chunk}"


def file_of(given: argparse.Namespace, network: str, method: str, target: float, seed: int) -> Path:
    where: Path = given.runs / family(given) / f"{network}@{method}@{target:g}@{seed}.json"
    return where


def is_fresh(given: argparse.Namespace, method: str) -> bool:
    """Whether a method starts from an untrained network."""
    return method in SCRATCH or (method == "dense" and given.start == "here")


def network_of(given: argparse.Namespace, network: str, method: str, seed: int) -> nn.Module:
    """The network a method starts from."""
    if is_fresh(given, method):
        torch.manual_seed(seed)
        return load_model(SETTINGS[network].address)
    weights = given.data / "pretrained" / f"cifar10_{network}.safetensors"
    if given.start == "here":
        weights = file_of(given, network, "dense", 1.0, seed).with_suffix(".safetensors")
        if not weights.exists():
            raise SystemExit(f"{weights} is missing: run the method dense of this network and seed first")
    address = SETTINGS[network].address
    return load_model(f"{address}{'&' if '?' in address else '?'}weights={weights}")


def train(model: nn.Module, data: Data, given: argparse.Namespace, seed: int, **more: Any) -> None:
    """Steps of SGD at a rate that rises for a while and falls along a cosine; ``attach`` gets the optimizer."""
    batches = Batches(data, 128, seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=more["rate"], momentum=0.9, weight_decay=5e-4, nesterov=True)
    warm = max(1, given.steps // 20)
    rising = torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=warm)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, given.steps - warm)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [rising, falling], [warm])
    if "attach" in more:
        more["attach"](optimizer)
    model.to(memory_format=torch.channels_last).train()
    for step in range(given.steps):
        x, y = batches.at(step)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(model(laid_out(x, True)), y)
        loss.backward()
        optimizer.step()
        schedule.step()


def budget_of(given: argparse.Namespace, model: nn.Module, target: float, picture: Tensor) -> Any:
    example = picture.repeat(given.batch, 1, 1, 1)
    if given.prices == "macs":
        return nw.Macs(target, nw.counted(model, example).macs)
    return nw.Latency(target, nw.latency_table(model, example, threads=given.threads))


def sparsifier_of(method: str, model: nn.Module, groups: Any, given: argparse.Namespace, **more: Any) -> Any:
    steps = given.steps
    every, cycle = max(1, steps // 75), max(2, steps // 25)
    usual = {"steps": steps, **more}
    smaller = {"materialise": given.materialise}
    if method == "halp":
        return nw.halp(model, groups, every=every, **smaller, **usual)
    if method == "smcp":
        return nw.smcp(model, groups, every=max(1, steps // 30), **usual)
    cycles = {"H": cycle, "J": cycle, "Q": max(1, cycle // 2), **smaller}
    if method == "static, scratch":
        return nw.static(model, groups, **smaller, **usual)
    warmup, late = steps // 20 if method in SCRATCH else 0, method.endswith("end 0.75")
    cycles |= {"end": 0.75, "reach": steps // 4} if late else {"reach": steps // 5}
    return nw.iee(model, groups, warmup=warmup, **cycles, **usual)


def cut(
    method: str, model: nn.Module, groups: list[nw.Group], budget: Any, data: Data, seed: int
) -> tuple[nn.Module, dict[str, int]]:
    """The model cut to the budget where everything is decided before the training, and the channels that stay."""
    batches = Batches(data, 64, seed)
    seen = [batches.at(step) for step in range(16)]
    if method.startswith("torch-pruning"):
        (limit,) = budget.limits(groups)
        with_gradients(model, seen, loss_of)
        found: tuple[nn.Module, dict[str, int]]
        found = torch_pruning_cut(model, groups, limit, seen[0][0][:1], local=method.endswith("local"))
        return found
    criterion = nw.Taylor(roles=("scale", "shift"), fallback=("out", "bias"))
    scores = nw.score(criterion, model, groups, seen, loss_of, per_batch=True)
    choose: Callable[..., dict[str, Tensor]] = nw.uniform_width if method == "uniform" else nw.knapsack
    keep = choose(groups, scores, budget)
    return nw.shrink(model, groups, keep), kept_counts(keep)


def kept_counts(keep: dict[str, Tensor]) -> dict[str, int]:
    return {name: int(row.sum()) for name, row in keep.items()}


def run_cell(given: argparse.Namespace, network: str, method: str, target: float, seed: int) -> dict[str, Any]:
    """Train one network, cut it, and measure what came out."""
    begun = time.perf_counter()
    data = load_data(f"npz:{given.data / SETTINGS[network].pictures}?limit={given.limit}")
    model = network_of(given, network, method, seed)
    dense, picture = load_model(SETTINGS[network].address).eval(), torch.zeros(1, *SETTINGS[network].image)
    groups = [replace(g, multiple_of=given.chunk) for g in nw.channels(dense, picture)]
    fresh = is_fresh(given, method)
    rate = given.scratch_rate if fresh else given.rate
    result: dict[str, Any] = {"network": network, "method": method, "target": target, "seed": seed, "rate": rate}
    if method == "dense":
        return dense_cell(given, model, data, result, begun)
    budget = budget_of(given, dense, target, picture)
    if method in CUT:
        model, counts = cut(method, model, groups, budget, data, seed)
        train(model, data, given, seed, rate=rate)
        cost = flops_of(model, picture) / flops_of(dense, picture)
    else:
        sparsifier = sparsifier_of(
            method, model, groups, given, budget=budget, seed=seed, example=picture.repeat(128, 1, 1, 1)
        )
        train(model, data, given, seed, rate=rate, attach=sparsifier.attach)
        sparsifier.detach()
        keep, cost = sparsifier.keep, sparsifier.ledger.dense_runs()
        result["stages"] = sparsifier.ledger.as_dict()["stages"]
        model, counts = nw.shrink(model, groups, keep), kept_counts(keep)
    seconds = time.perf_counter() - begun
    (limit,) = budget.limits(groups)
    return result | {
        "accuracy": accuracy(model.eval(), data),
        "predicted": limit.cost(counts) / limit.cost.dense,
        "macs": flops_of(model, picture) / flops_of(dense, picture),
        "parameters": sum(p.numel() for p in model.parameters()) / sum(p.numel() for p in dense.parameters()),
        "training_cost": cost,
        "start_cost": 0.0 if fresh else 1.0 if given.start == "here" else None,
        "seconds": round(seconds, 1),
        "counts": counts,
        "latency": measured(dense, model, torch.randn(given.batch, *picture.shape[1:]), given.threads),
    }


def dense_cell(
    given: argparse.Namespace, model: nn.Module, data: Data, result: dict[str, Any], begun: float
) -> dict[str, Any]:
    if given.start == "here":
        train(model, data, given, result["seed"], rate=result["rate"])
        file = file_of(given, result["network"], "dense", 1.0, result["seed"]).with_suffix(".safetensors")
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, file)
    cost = 1.0 if given.start == "here" else None
    found = {"accuracy": accuracy(model.eval(), data), "training_cost": cost, "start_cost": 0.0}
    return result | found | {"seconds": round(time.perf_counter() - begun, 1)}


def accuracy(model: nn.Module, data: Data) -> float:
    """Share of the 10,000 test pictures, in percent."""
    return round(100 * evaluate(model, data, data.test, precision="bf16", channels_last=True)[0], 2)


def flops_of(model: nn.Module, picture: Tensor) -> float:
    return nw.count_flops(model, (picture,)).total


def run_all(given: argparse.Namespace) -> None:
    begun = time.monotonic()
    cells = [
        (network, method, 1.0 if method == "dense" else target, seed)
        for network in given.networks
        for seed in given.seeds
        for target in given.targets
        for method in given.methods
        if not (method == "dense" and target != given.targets[0])
    ]
    for cell in cells:
        file = file_of(given, *cell)
        if file.exists():
            continue
        if time.monotonic() - begun > 60 * given.minutes:
            break
        try:
            result = run_cell(given, *cell)
        except LookupError as error:  # a cell without a result: its row is missing from the table
            print(file.stem, error, flush=True)
            continue
        put(file, result)
        shown = {key: result[key] for key in ("accuracy", "predicted", "training_cost", "seconds") if key in result}
        print(file.stem, shown, result.get("latency"), flush=True)


def collect(given: argparse.Namespace) -> None:
    """Gather the finished cells: one row for each network, method and target."""
    rows: dict[tuple[str, float, str], list[dict[str, Any]]] = {}
    for file in sorted((given.runs / family(given)).glob("*.json")):
        one = json.loads(file.read_text())
        rows.setdefault((one["network"], -one["target"], one["method"]), []).append(one)
    listed = [
        summary(cells) for _, cells in sorted(rows.items(), key=lambda row: (*row[0][:2], METHODS.index(row[0][2])))
    ]
    conditions = {
        key: getattr(given, key) for key in ("start", "limit", "steps", "prices", "chunk", "batch", "threads")
    }
    print(write(f"structured_training_{family(given)}", {**conditions, "rows": listed}))


def summary(cells: list[dict[str, Any]]) -> dict[str, Any]:
    cells = sorted(cells, key=lambda one: one["seed"])
    first, found = cells[0], [one["accuracy"] for one in cells]
    row = {key: first[key] for key in ("network", "method", "target")} | {"seeds": [one["seed"] for one in cells]}
    row |= {"accuracy": found, **over_seeds(found)}
    for key in ("predicted", "macs", "parameters", "training_cost", "start_cost", "seconds", "latency"):
        if key in first:
            row[key] = [one[key] for one in cells]
    return row


def main() -> None:
    """Fill the table."""
    given = arguments()
    torch.set_num_threads(given.threads)
    if not given.collect:
        run_all(given)
    collect(given)


if __name__ == "__main__":
    main()
