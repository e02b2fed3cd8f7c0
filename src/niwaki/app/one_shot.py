"""The work behind ``niwaki prune``: score once, cut, prove it, mend what is left, write it down."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..allocate import at_least
from ..core.errors import TrainError
from ..core.group import Group
from ..criteria import Normalised, Taylor
from ..measure import count_flops
from ..measure.environment import device_of
from ..measure.timing import pinned
from ..report.pruning_page import write_pruning_page
from ..signals import score
from ..store import export_onnx, save, save_program
from ..store.files import check_empty
from ..structure import Outcome, outcome, verify
from ..structure.shrink import copied
from .assemble import device_named, versions
from .batches import Batches
from .bottlenecks import bottlenecks
from .data import Data, load_data
from .delivery import file_facts
from .evaluation import check_fit, loss_of
from .folder import RESULT, write_json
from .inspection import example_of
from .mending import mended, quality
from .methods import criterion_named, groups_of
from .origin import Origin, origin_of, write_origin
from .plans import planner
from .progress import Shown, Silent, shown
from .request import Request
from .saved import is_program, open_model


@dataclass(frozen=True, eq=False)
class Shot:
    """The dense model, the smaller one, and what was found on the way."""

    request: Request
    dense: nn.Module
    small: nn.Module
    example: Tensor
    outcome: Outcome
    origin: Origin
    result: dict[str, Any]


def _macs(model: nn.Module, example: Tensor) -> int:
    return round(count_flops(copied(model).eval(), (example[:1],)).total / 2)


def cut(request: Request, progress: Shown | None = None) -> Shot:
    """Score, rank, shrink or put zeros, verify, mend.

    Args:
        request: what to do.
        progress: shows where it stands.

    Returns:
        The models and what was found. A refusal of any part comes as its error.
    """
    if is_program(Path(request.model)):
        request = replace(request, graph=True)  # what comes of a graph is a graph
    device = device_named(request.device)
    torch.manual_seed(request.seed)
    data = load_data(request.data) if request.data is not None else None
    classes, channels = (None, None) if data is None else (len(data.classes), data.channels)
    model = open_model(request.model, classes=classes, channels=channels)
    if data is not None and request.data is not None:
        check_fit(model, data, (request.model, request.data))
        data = data.to(device)
    model.to(device).eval()
    with pinned(request.threads):
        return _cut(request, model, data, progress or Silent())


def _criterion(request: Request, *, has_data: bool) -> Any:
    criterion = criterion_named(request.asked_criterion)
    if not has_data and criterion.needs - {"weight", "noise"}:
        raise TrainError(
            f"{request.asked_criterion} needs {', '.join(sorted(criterion.needs))}; give --data, or a criterion of "
            "weights alone such as magnitude"
        )
    if isinstance(criterion, Taylor):
        # Squares of batches rank as absolute values do, and add up within a budget, which these do not.
        criterion = replace(criterion, reduce="square")
    # The knapsack adds scores up as they are; what makes them comparable comes before.
    if not request.costs.shares or request.normalise == "none":
        return criterion
    return Normalised(criterion, request.normalise)


def _groups(request: Request, model: nn.Module, example: Tensor) -> Sequence[Group]:
    found = groups_of(model, request.units, example, graph=request.graph, ignore=request.ignore)
    return at_least(found, request.min_share)


def _cut(request: Request, model: nn.Module, data: Data | None, progress: Shown) -> Shot:
    begun = time.perf_counter()
    batches = None if data is None else Batches(data, request.batch, request.seed)
    seen = None if batches is None else [batches.at(step) for step in range(request.batches)]
    example = seen[0][0][:2] if seen else example_of(model, request.size, [request.model])
    if example is None:
        raise TrainError(
            "an example is needed to follow the model; give --data, or the size of an input: --input 3x32x32"
        )
    groups = _groups(request, model, example)
    criterion = _criterion(request, has_data=seen is not None)
    plan = planner(request, model, groups, example, progress)
    generator = torch.Generator().manual_seed(request.seed)
    scores = score(criterion, model, groups, seen, loss_of if seen else None, generator=generator)
    keep = plan.keep(scores, progress)
    small = plan.small(keep)
    # Zeros may be all a model says of its input; they would prove nothing. Tokens must be ones that it knows.
    drawn = not seen and example.is_floating_point()
    proof = torch.randn(example.shape, generator=generator).to(example) if drawn else example
    verdict = verify(model, small, groups, keep, proof)
    reached = outcome(model, groups, keep, density=request.asked_density)
    before, macs = quality(model, data), (_macs(model, example), _macs(small, example))
    costs = plan.facts(keep, small)
    result = {
        "request": {**asdict(request), "density": request.asked_density, "criterion": request.asked_criterion},
        "parameters": reached.parameters,
        "zeros": reached.zeros,
        "macs": macs,
        "units": reached.units,
        "dense": before,
        "steps": mended(request, small, data, batches, plan.holding(small, keep), progress),
        "verified": {"same": verdict.same, "difference": verdict.difference, "words": verdict.words},
        "groups": [asdict(group) for group in reached.groups],
        "untouched": dict(reached.untouched),
        "notes": bottlenecks(groups, keep),
        **costs,
        "seconds": round(time.perf_counter() - begun, 2),
        "versions": versions(device_of(model, [example])),
    }
    return Shot(request, model, small, proof, reached, origin_of(request.model, data, example), result)


def write(made: Shot, folder: Path | None, onnx: Path | None, *, overwrite: bool) -> dict[str, Any]:
    """Write the smaller model where asked.

    Args:
        made: the cut.
        folder: for `save`.
        onnx: the ONNX file.
        overwrite: replace what is there.

    Returns:
        The result, with what was written.
    """
    result = dict(made.result)
    if folder is not None:
        if made.request.graph:
            save_program(made.small, folder, made.example, overwrite=overwrite)
        else:
            save(made.small, folder, overwrite=overwrite, compact=made.outcome.zeros > 0)
            result["file"] = file_facts(folder, made.dense)
        write_origin(folder, made.origin)
        result["saved"] = str(folder)
    if onnx is not None:
        parity = export_onnx(made.small, onnx, made.example, overwrite=overwrite)
        result["onnx"] = {"file": str(onnx), "difference": parity.difference}
    return result


def prune_and_write(
    given: Mapping[str, Any],
    places: tuple[Path | None, Path | None, Path | None],
    command: str,
    *,
    overwrite: bool,
    quiet: bool,
) -> dict[str, Any]:
    """All that ``niwaki prune`` does, once the command line is read.

    Args:
        given: the fields of the request.
        places: folder of the model, ONNX file, page; each may be None, and the page then goes into the folder.
        command: how it was called.
        overwrite: replace what is there.
        quiet: show no progress.

    Returns:
        The result.
    """
    request, (folder, onnx, page) = Request(**given), places
    if folder is not None:
        check_empty(folder, overwrite=overwrite)  # before the work, not after it
    with shown(quiet=quiet) as progress:
        made = cut(request, progress)
    result = {"command": command, **write(made, folder, onnx, overwrite=overwrite)}
    if folder is not None:
        write_json(folder / RESULT, result)
    page = page or (folder / "report.html" if folder is not None else None)
    if page is not None:
        result["report"] = str(write_pruning_page(result, command, page))
    return result
