"""Time of layers that skip their zeros over their own, and of a perceptron made of them.

    python benchmarks/skipping_speed.py

Weights and the places of zeros are random; one thread; both are timed in turns (`niwaki.latency`). Every layer is
measured with its zeros skipped, whether that is faster or not; the perceptron as `skip_zeros` leaves it. With
`--tables` the tables of the documentation are printed from the result that is there.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch
from record import RESULTS, write
from torch import nn

import niwaki as nw
from niwaki.measure.skipping import SkippingProduct

SIZES = ((256, 256), (512, 512), (1024, 1024), (1024, 4096))
DENSITIES = (0.02, 0.05, 0.1, 0.2)
BATCHES = (1, 32, 256)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--tables", action="store_true")
    return parser.parse_args()


def thinned(model: nn.Module, density: float) -> nn.Module:
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in (p for p in model.parameters() if p.dim() > 1):
            weight.masked_fill_(torch.rand(weight.shape, generator=draw) >= density, 0)
    return model


def timed(own: nn.Module, skipping: nn.Module, x: torch.Tensor, rounds: int) -> dict[str, Any]:
    found = nw.latency({"own": own, "skipping": skipping}, x, threads=1, rounds=rounds)
    row = found["skipping"]
    return {
        "seconds": found["own"].median,
        "ratio": round(row.ratio, 3),
        "interval": [round(row.low, 3), round(row.high, 3)],
        "calm": found.is_calm,
    }


def layers(rounds: int) -> list[dict[str, Any]]:
    rows = []
    for inputs, outputs in SIZES:
        for density in DENSITIES:
            layer = thinned(nn.Linear(inputs, outputs), density)
            for batch in BATCHES:
                x = torch.randn(batch, inputs)
                row = {"inputs": inputs, "outputs": outputs, "density": density, "batch": batch}
                rows.append(row | timed(layer, SkippingProduct(layer), x, rounds))
                print(rows[-1], flush=True)
    return rows


def perceptrons(rounds: int) -> list[dict[str, Any]]:
    rows = []
    for density in DENSITIES:
        net = nn.Sequential(
            nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10)
        ).eval()  # fmt: skip
        thinned(net, density)
        for batch in BATCHES:
            x = torch.randn(batch, 784)
            made = nw.skip_zeros(net, x, threads=1, rounds=rounds)
            row = {"density": density, "batch": batch, "skip": [c.name for c in made.layers if c.skips]}
            rows.append(row | timed(net, made.model, x, rounds))
            print(rows[-1], flush=True)
    return rows


def tables() -> None:
    found = json.loads((RESULTS / "skipping_speed.json").read_text())
    perceptron = [{"inputs": 784, "outputs": "1024-1024-10", **row} for row in found["perceptron"]]
    for rows in (found["layers"], perceptron):
        print(f"\n| layer, batch | {' | '.join(f'density {d:g}' for d in DENSITIES)} |")
        print(f"| --- |{' --- |' * len(DENSITIES)}")
        for name, batch in dict.fromkeys((f"{r['inputs']} to {r['outputs']}", r["batch"]) for r in rows):
            line = [r for r in rows if (f"{r['inputs']} to {r['outputs']}", r["batch"]) == (name, batch)]
            cells = ["{:.2f} ({:.2f} to {:.2f})".format(r["ratio"], *r["interval"]) for r in line]
            print(f"| {name}, {batch} | {' | '.join(cells)} |")


def main() -> None:
    given = arguments()
    if given.tables:
        tables()
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(write("skipping_speed", {"layers": layers(given.rounds), "perceptron": perceptrons(given.rounds)}))


if __name__ == "__main__":
    main()
