"""What the gain of one layer does to a ranking of states: the picture on the page of LAST.

Three S5 layers, each followed by a norm that undoes any factor on its output. The output of the second layer is
multiplied by a factor, so that the network computes the same as before, and 40 % of the states are kept by LAST and by
a global ranking of the squared H-infinity norms.

    python benchmarks/gain_shift.py
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch
from record import write
from torch import Tensor, nn

import niwaki as nw
from niwaki.zoo import S5Layer

FACTORS = tuple(10.0 ** (k / 4) for k in range(-8, 9))
DENSITY, LAYERS, STATES = 0.4, 3, 64
PAGE = Path(__file__).parents[1] / "docs" / "methods" / "last.md"
CRITERIA = {"LAST": nw.TailShare(nw.HInfinity()), "H-infinity alone, ranked globally": nw.HInfinity()}
WIDE, HIGH, LEFT, TOP, GAP = 250, 150, 40, 26, 50
STROKES = ("", "6 3", "2 3")


class Stack(nn.Module):
    """Layers with a norm between them."""

    def __init__(self) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(0)
        self.layers = nn.ModuleList(S5Layer(8, STATES, steps=(0.01, 0.5), generator=chance) for _ in range(LAYERS))

    def forward(self, x: Tensor) -> Tensor:
        """``[n, time, 8]`` to the same shape."""
        for layer in self.layers:
            y = layer(x)
            x = torch.tanh((y - y.mean(-1, keepdim=True)) / y.std(-1, keepdim=True))
        return x


@torch.no_grad()
def counts() -> tuple[dict[str, list[list[int]]], float]:
    """Kept states by criterion, factor and layer; and how far the outputs of the networks lie apart at most."""
    found: dict[str, list[list[int]]] = {name: [] for name in CRITERIA}
    x = torch.randn(2, 50, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    same, widest = Stack().double()(x), 0.0
    for factor in FACTORS:
        model = Stack().double()
        model.layers[1].C.mul_(factor)
        model.layers[1].D.mul_(factor)
        widest = max(widest, float((model(x) - same).abs().max()))
        for name, criterion in CRITERIA.items():
            keep = nw.last(model, density=DENSITY, criterion=criterion)
            found[name].append([int(row.sum()) for row in keep.values()])
    return found, widest


def panel(name: str, rows: list[list[int]], left: float) -> str:
    def place(i: int, count: int) -> str:
        return f"{left + i / (len(FACTORS) - 1) * WIDE:.1f} {TOP + HIGH - count / (STATES // 2) * HIGH:.1f}"

    parts = [f'<text x="{left}" y="{TOP - 10}" font-weight="bold">{name}</text>']
    parts.append(f'<path d="M{left} {TOP}v{HIGH}h{WIDE}" fill="none" stroke="currentColor" opacity="0.5"/>')
    for layer in range(LAYERS):
        line = "L".join(place(i, row[layer]) for i, row in enumerate(rows))
        parts.append(
            f'<path d="M{line}" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="{STROKES[layer]}">'
            f"<title>layer {layer + 1}: {', '.join(str(row[layer]) for row in rows)} states</title></path>"
        )
    for power in (-2, -1, 0, 1, 2):
        x = left + (power + 2) / 4 * WIDE
        parts.append(f'<text x="{x:.1f}" y="{TOP + HIGH + 16}" text-anchor="middle">{10.0**power:g}</text>')
    for count in (0, STATES // 4, STATES // 2):
        y = TOP + HIGH - count / (STATES // 2) * HIGH + 4
        parts.append(f'<text x="{left - 6}" y="{y:.1f}" text-anchor="end">{count}</text>')
    return "".join(parts)


def picture(found: dict[str, list[list[int]]]) -> str:
    width, height = LEFT + 2 * WIDE + GAP + 20, TOP + HIGH + 58
    panels = [panel(name, rows, LEFT + i * (WIDE + GAP)) for i, (name, rows) in enumerate(found.items())]
    legend = "".join(
        f'<path d="M{LEFT + 180 * i} {height - 8}h30" stroke="currentColor" stroke-width="2" '
        f'stroke-dasharray="{STROKES[i]}"/><text x="{LEFT + 180 * i + 36}" y="{height - 4}">layer {i + 1}'
        f"{', the loud one' if i == 1 else ''}</text>"
        for i in range(LAYERS)
    )
    words = "States kept in each of three layers against a factor on the gain of the second, which the next norm undoes"
    label = f'<text x="{LEFT + WIDE + GAP / 2}" y="{TOP + HIGH + 34}" text-anchor="middle">factor on layer 2</text>'
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" font-size="12" fill="currentColor" '
        f'style="max-width:{width}px"><title>{words}</title>{"".join(panels)}{label}{legend}</svg>'
    )


def main() -> None:
    found, widest = counts()
    assert math.isfinite(widest)
    page = PAGE.read_text(encoding="utf-8")
    drawn = f"<!-- drawn by benchmarks/gain_shift.py -->\n{picture(found)}\n<!-- end -->"
    page, times = re.subn(
        r"<!-- drawn by benchmarks/gain_shift.py -->.*?<!-- end -->", lambda _: drawn, page, flags=re.S
    )
    if not times:
        raise SystemExit(f"{PAGE.name} has no place for the picture")
    PAGE.write_text(page, encoding="utf-8")
    print(write("gain_shift", {"factors": FACTORS, "density": DENSITY, "kept": found, "widest_difference": widest}))


if __name__ == "__main__":
    main()
