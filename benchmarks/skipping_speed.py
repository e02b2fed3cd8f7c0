"""Time of layers that skip their zeros over their own, and of networks made of them.

    python benchmarks/skipping_speed.py linear
    python benchmarks/skipping_speed.py convolutions

Weights and the places of zeros are random; one thread; both are timed in turns (`niwaki.latency`). Every layer is
measured with its zeros skipped, whether that is faster or not; networks as `skip_zeros` leaves them, and networks of
convolutions with onnxruntime besides, which multiplies by the zeros. With `--tables` the tables of the documentation
are printed from the result that is there.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch
from record import RESULTS, write
from torch import nn

import niwaki as nw
from niwaki.app.backends import on_backend
from niwaki.app.models import load_model
from niwaki.measure.skipping_layers import SkippingConvolution, SkippingProduct

SIZES = ((256, 256), (512, 512), (1024, 1024), (1024, 4096))
DENSITIES = (0.02, 0.05, 0.1, 0.2)
BATCHES = (1, 32, 256)
WIDTHS = ((64, 56), (128, 28), (256, 14), (512, 7))  # channels and pixels, as in a ResNet of 224 pixels
FILES = {"linear": "skipping_speed", "convolutions": "skipping_convolutions"}
NETWORKS = (("torchvision:resnet18", 224, (1, 8)), ("zoo:wide_resnet22_2", 32, (1, 32)), ("zoo:resnet20", 32, (1, 32)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="?", choices=tuple(FILES), default="linear")
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


def convolutions(rounds: int) -> list[dict[str, Any]]:
    rows = []
    for width, side in WIDTHS:
        for density in DENSITIES:
            layer = thinned(nn.Conv2d(width, width, 3, padding=1, bias=False), density)
            for batch in BATCHES[:2]:
                x = torch.randn(batch, width, side, side)
                row = {"width": width, "side": side, "density": density, "batch": batch}
                rows.append(row | timed(layer, SkippingConvolution(layer), x, rounds))
                print(rows[-1], flush=True)
    return rows


def networks(rounds: int) -> list[dict[str, Any]]:
    rows = []
    for address, side, batches in NETWORKS:
        for density in DENSITIES[:3]:
            net = thinned(load_model(address), density).eval()
            for batch in batches:
                x = torch.randn(batch, 3, side, side)
                made = nw.skip_zeros(net, x, threads=1, rounds=rounds)
                skips = sum(choice.skips for choice in made.layers)
                row = {"network": address, "density": density, "batch": batch, "skips": skips, "of": len(made.layers)}
                row |= timed(net, made.model, x, rounds)
                rows.append(row | {"onnxruntime": timed(net, on_backend("onnxruntime", net, x, threads=1), x, rounds)})
                print(rows[-1], flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> None:
    densities = list(dict.fromkeys(row["density"] for row in rows))
    print(f"\n| | {' | '.join(f'density {d:g}' for d in densities)} |")
    print(f"| --- |{' --- |' * len(densities)}")
    for name in dict.fromkeys(row["name"] for row in rows):
        cells = ["{:.2f} ({:.2f} to {:.2f})".format(r["ratio"], *r["interval"]) for r in rows if r["name"] == name]
        print(f"| {name} | {' | '.join(cells)} |")


def tables(which: str) -> None:
    found = json.loads((RESULTS / FILES[which]).with_suffix(".json").read_text())
    if which == "linear":
        table([{**r, "name": f"{r['inputs']} to {r['outputs']}, {r['batch']}"} for r in found["layers"]])
        table([{**r, "name": f"784 to 1024-1024-10, {r['batch']}"} for r in found["perceptron"]])
        return
    table([{**r, "name": f"{r['width']} channels of {r['side']} x {r['side']}, {r['batch']}"} for r in found["layers"]])
    table([{**r, "name": f"{r['network']}, {r['batch']}"} for r in found["networks"]])
    own = [
        {**r["onnxruntime"], "density": r["density"], "name": f"{r['network']}, {r['batch']}"}
        for r in found["networks"]
    ]
    table(own)


def main() -> None:
    given = arguments()
    if given.tables:
        tables(given.which)
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if given.which == "linear":
        found = {"layers": layers(given.rounds), "perceptron": perceptrons(given.rounds)}
    else:
        found = {"layers": convolutions(given.rounds), "networks": networks(given.rounds)}
    print(write(FILES[given.which], found))


if __name__ == "__main__":
    main()
