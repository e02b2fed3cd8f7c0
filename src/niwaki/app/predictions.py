"""What models predict for each example of the data, with the attributes an audit looks for: one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.errors import AddressError, StoreError, TrainError
from ..measure.timing import pinned
from ..patterns.table import Table, write_text
from ..report.picture_attributes import picture_attributes
from .assemble import device_named
from .data import Data, load_data
from .evaluation import answers, check_fit
from .saved import open_model

LABEL = "class"


def _columns(texts: Sequence[str]) -> list[str]:
    names = [Path(text).resolve().name if Path(text).exists() else text for text in texts]
    if len(set(names)) < len(names):
        names = list(texts)
    if len(set(names)) < len(names) or LABEL in names:
        raise AddressError(f"each model needs a column of its own beside {LABEL!r}; these are {', '.join(names)}")
    return names


def _attributes(x: Tensor) -> dict[str, list[Any]]:
    """Those of pictures; the features themselves where an example is a row of them."""
    values = x.cpu().numpy()
    if x.dim() == 4 and x.shape[1] in (1, 3) and min(x.shape[2:]) > 1:
        return {name: column.tolist() for name, column in picture_attributes(values).items()}
    return {f"x{i}": column.tolist() for i, column in enumerate(values.T)} if x.dim() == 2 else {}


def _predicted(text: str, name: str, data: Data, part: tuple[Tensor, Tensor], where: str) -> list[str]:
    model = open_model(text, classes=len(data.classes), channels=data.channels).to(part[0].device)
    check_fit(model, data, (name, where))
    found = torch.cat([scores.argmax(-1) for scores, _ in answers(model, data, part)])
    # A model may know more classes than the data have.
    return [data.classes[i] if i < len(data.classes) else f"class {i}" for i in found.tolist()]


def predict(
    texts: Sequence[str],
    address: str,
    out: Path,
    *,
    part: str = "test",
    device: str = "auto",
    threads: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a table with a row per example: its class, what each model predicts, its attributes.

    Args:
        texts: models, by addresses or folders.
        address: of the data.
        out: the CSV file.
        part: ``test``, ``valid`` or ``train``.
        device: where the models run.
        threads: of torch on the CPU.
        overwrite: replace the file.

    Returns:
        Plain data: the file, the columns, the accuracy of each model.

    Raises:
        AddressError: an unknown part, or two models under one name.
        StoreError: the file is there already.
        TrainError: examples have no class each.
    """
    if part not in ("test", "valid", "train"):
        raise AddressError(f"the part {part!r} is none of test, valid, train")
    if out.exists() and not overwrite:
        raise StoreError(f"{out} is there already; add --overwrite to replace it, or name another file")
    names, place = _columns(texts), device_named(device)
    data = load_data(address).to(place)
    chosen: tuple[Tensor, Tensor] = getattr(data, part)
    if chosen[1].dim() != 1:
        raise TrainError(f"the examples of {address} have no class each but a sequence of them; an audit needs one")
    labels = [data.classes[i] for i in chosen[1].tolist()]
    with pinned(threads):
        found = {n: _predicted(t, n, data, chosen, address) for n, t in zip(names, texts, strict=True)}
    attributes = _attributes(chosen[0])
    write_text(out, Table({LABEL: labels, **found, **attributes}).to_csv())
    right = {name: sum(a == b for a, b in zip(column, labels, strict=True)) for name, column in found.items()}
    return {
        "out": str(out),
        "examples": len(labels),
        "attributes": list(attributes),
        "accuracy": {name: count / len(labels) for name, count in right.items()},
    }
