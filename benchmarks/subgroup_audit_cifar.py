"""Who is harmed by compression on CIFAR-10: ResNet-20 with 10, 5 and 2 % of its weights, and controls that keep all.

    python benchmarks/subgroup_audit_cifar.py pretrained --data DATA [--steps 200] [--seeds 0 1 2]
    python benchmarks/subgroup_audit_cifar.py scratch --data DATA --runs RUNS

DATA is a folder with cifar10.npz and pretrained/cifar10_resnet20.safetensors. ``pretrained``: the published network is
pruned gradually by magnitude in a short training; the control is trained as long and as fast, and keeps all weights.
``scratch``: the networks that benchmarks/sparse_training.py left in RUNS, each against the dense one of its seed; the
control is the dense one of another seed. What networks predict is kept under --kept, and no network is trained twice.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pretrained_cut import BATCH, finetune
from record import RESULTS, write
from subgroup_audit import told
from torch import nn

import niwaki as nw
from niwaki.app.data import Data, load_data, ready
from niwaki.app.evaluation import laid_out, precise
from niwaki.app.models import load_model
from niwaki.report.picture_attributes import confusability, picture_attributes
from niwaki.report.subgroups import audit
from niwaki.store import load_checkpoint

DENSITIES = (1.0, 0.1, 0.05, 0.02)
RATE = 0.02
Scores = NDArray[np.float32]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["pretrained", "scratch"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/sparse_training/cifar-resnet20-10000-images-10-epochs"))
    parser.add_argument("--kept", type=Path, default=Path("runs/subgroup_audit"))
    parser.add_argument("--steps", type=int, default=200, help="of the training, for ``pretrained``")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    return parser.parse_args()


@torch.no_grad()
def scores(model: nn.Module, data: Data, precision: str = "fp32") -> Scores:
    model, found = model.eval(), []
    for x in torch.split(data.test[0], 500):
        with precise(x.device, precision):
            found.append(model(laid_out(ready(data, x), True)).float().numpy())
    return np.concatenate(found)


def kept(file: Path, make: Any) -> Scores:
    """What ``make()`` gives, from the file if it was made before."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial.npy")
        np.save(partial, make())
        partial.replace(file)
    return np.asarray(np.load(file, allow_pickle=False))


def pruned(given: argparse.Namespace, data: Data, density: float, seed: int) -> nn.Module:
    model = load_model(f"zoo:resnet20?weights={given.data / 'pretrained' / 'cifar10_resnet20.safetensors'}")
    attach = None
    if density < 1:
        attach = nw.gmp(model, nw.weights(model), density=density, steps=given.steps, every=20).attach
    finetune(model, data, given.steps, seed, rate=RATE, attach=attach)
    return model


def trained(run: Path) -> nn.Module:
    model = load_model(json.loads((run / "config.json").read_text())["model"], classes=10, channels=3)
    model.load_state_dict(load_checkpoint(run, kind="training")["model"])
    return model


def pretrained_pairs(given: argparse.Namespace, data: Data) -> Iterator[tuple[dict[str, Any], Scores, Scores]]:
    """Facts, scores before and scores after, seed by seed."""
    where = given.kept / f"pretrained-{given.steps}-steps"
    file = given.data / "pretrained" / "cifar10_resnet20.safetensors"
    before = kept(where / "before.npy", lambda: scores(load_model(f"zoo:resnet20?weights={file}"), data))
    for seed in given.seeds:
        for density in DENSITIES:
            after = kept(where / f"{density:g}@{seed}.npy", lambda: scores(pruned(given, data, density, seed), data))  # noqa: B023
            yield {"method": "gmp" if density < 1 else "trained on", "density": density, "seed": seed}, before, after


def scratch_pairs(given: argparse.Namespace, data: Data) -> Iterator[tuple[dict[str, Any], Scores, Scores]]:
    """Facts, scores before and scores after of every run that is finished, and of its dense one."""

    def of(run: Path) -> Scores:
        return kept(given.kept / "scratch" / f"{run.name}.npy", lambda: scores(trained(run), data, "bf16"))

    for file in sorted(given.runs.glob("*/result.json")):
        method, density, seed = file.parent.name.rsplit("@", 2)
        # A dense network is compared with that of the next seed, the last one with that of the first.
        of_others = [one for one in given.seeds if one != int(seed)]
        against = min((one for one in of_others if one > int(seed)), default=min(of_others))
        dense = given.runs / f"dense@1@{against if method == 'dense' else int(seed)}"
        if int(seed) in given.seeds and (dense / "result.json").exists():
            yield {"method": method, "density": float(density), "seed": int(seed)}, of(dense), of(file.parent)


def main() -> None:
    given = arguments()
    torch.set_num_threads(1)
    data = load_data(f"npz:{given.data / 'cifar10.npz'}")
    measured, truth = picture_attributes(data.test[0].numpy()), data.test[1].numpy()
    name = f"subgroup_audit_cifar_{given.part}"
    rows: list[dict[str, Any]] = []
    pairs = pretrained_pairs if given.part == "pretrained" else scratch_pairs
    conditions = {"steps": given.steps, "batch": BATCH, "rate": RATE} if given.part == "pretrained" else {}
    file = RESULTS / f"{name}.json"
    done = json.loads(file.read_text())["networks"] if file.exists() else []
    for facts, before, after in pairs(given, data):
        again = [row for row in done if facts.items() <= row.items()]
        if not again:
            sure = {**measured, "confusable": confusability(before)}
            with_sure, plain = (audit(seen, truth, before, after) for seen in (sure, measured))
            again = [{**facts, **told(with_sure), "without_confusability": told(plain)}]
        rows.append(again[0])
        later = [row for row in done if row not in rows]
        write(name, {**conditions, "networks": [*rows, *later]})
        last = rows[-1]
        share = f"{last['accuracy_before']:.4f} -> {last['accuracy_after']:.4f}"
        found = last["subgroups"], last["without_confusability"]["subgroups"]
        print(f"{facts}: {share}, {last['lost']} lost, {found[0]} and {found[1]} subgroups", flush=True)


if __name__ == "__main__":
    main()
