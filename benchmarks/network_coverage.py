"""Which networks can be cut, and is what is left exact? Half of every group goes, at random places.

    python benchmarks/network_coverage.py --families torchvision transformers others timm

Every network runs in a process of its own, with a limit of time, and leaves a file under --runs; what is there is not
repeated. Exact: the dense network with the removed units' parameters set to zero gives what the smaller one gives.
Torch-Pruning runs in the same process: the time of its dependency graph, and what it keeps.
Times are seconds of the processor, the least of some runs each, so that what else the machine does hardly counts.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import multiprocessing
import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import covered_networks as networks
import torch
from lively_networks import compared, liven, mask, run
from record import write
from torch import Tensor, nn

import niwaki as nw

FORK = multiprocessing.get_context("fork")  # what is imported stays so
FAMILIES = ("torchvision", "transformers", "others", "timm")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--networks", nargs="+", help="only these, in this order: timm:resnet18 transformers:llama ...")
    parser.add_argument("--runs", type=Path, default=Path("runs/coverage"))
    parser.add_argument(
        "--earlier", type=Path, help="where Torch-Pruning failed in the runs there, it is not tried again"
    )
    parser.add_argument("--limit", type=float, default=300, help="seconds for one network, all in all")
    parser.add_argument("--other-limit", type=float, default=60, help="seconds of the processor for Torch-Pruning")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no network after so many minutes")
    parser.add_argument("--largest", type=float, default=400e6, help="leave out networks of more parameters")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--collect", action="store_true", help="only gather what is there")
    return parser.parse_args()


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return call(), round(time.process_time() - start, 3)


def least(call: Callable[[], Any]) -> tuple[Any, float]:
    """The least of some times: five, or as many as fit in about two seconds."""
    found, times = None, list[float]()
    while len(times) < 5 and sum(times) < 2:
        found, seconds = timed(call)
        times.append(seconds)
    return found, min(times)


def as_graph(model: nn.Module, example: Any, groups: nw.Groups, keep: dict[str, Tensor]) -> dict[str, Any]:
    """What only a graph can lose; of the model its plain groups are masked already."""
    more = [group for group in groups if group.needs_graph]
    if not more:
        return {}
    result: dict[str, Any] = {"groups": len(more), "heads": sum(group.kind == "head" for group in more)}
    try:
        small = nw.shrink_graph(model, groups, keep, example)
    except nw.GroupError as error:
        return result | {"runs": False, "error": str(error)[:200]}
    mask(model, more, keep)
    kept = round(count(small) / count(model), 4)
    inputs = example if small.meta["fixed_batch"] else shorter(model, example)
    result |= compared(run(small, inputs), run(model, inputs))
    return result | {"runs": True, "kept": kept}


def shorter(model: nn.Module, example: Any) -> Any:
    """For large networks a batch of one, which takes half the time."""
    return example[:1] if isinstance(example, Tensor) and count(model) > 1e8 else example


def ours(model: nn.Module, example: Any) -> dict[str, Any]:
    model.eval()
    inputs = shorter(model, example)
    whole, before = run(model, inputs), peak()
    _, first = timed(lambda: nw.discover(model, example))
    groups, seconds = least(lambda: nw.discover(model, example))
    everything = nw.discover(model, example, graph=True)
    generator, keep = torch.Generator().manual_seed(1), {}
    for group in everything:
        keep[group.name] = torch.zeros(group.size, dtype=torch.bool)
        keep[group.name][torch.randperm(group.size, generator=generator)[: max(1, group.size // 2)]] = True
    own = {group.name: keep[group.name] for group in groups}
    small, shrinking = timed(lambda: nw.shrink(model, groups, own) if len(groups) else model)
    result: dict[str, Any] = {
        "groups": len(groups),
        "heads": sum(group.kind == "head" for group in groups),
        "discovery_seconds": min(first, seconds),
        "first_discovery_seconds": first,
        "shrink_seconds": shrinking,
        "peak_mib": round(peak() - before, 1),
        "parameters": count(model),
        "kept": round(count(small) / count(model), 4),
    }
    got = run(small, inputs)
    mask(model, groups, keep)
    wanted = run(model, inputs)
    result["changed"] = max(float((a - b).abs().max()) for a, b in zip(whole, wanted, strict=True))
    result |= compared(got, wanted)
    result["exact"] = bool(result["exact"] and len(groups))
    result["as_graph"] = as_graph(model, example, everything, keep)
    left: dict[str, int] = {}
    for why in groups.left_out.values():
        left[why] = left.get(why, 0) + 1
    result["left_out"] = dict(sorted(left.items(), key=lambda pair: -pair[1])[:6])
    return result


def _late(*_: object) -> None:
    raise TimeoutError("not done in time")


def theirs(model: nn.Module, example: Any, limit: float) -> dict[str, Any]:
    """Torch-Pruning on the same network: its graph, then half of every group by magnitude; outputs are left whole."""
    import torch_pruning as tp

    model.eval()
    signal.signal(signal.SIGVTALRM, _late)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    try:
        _, seconds = least(lambda: tp.DependencyGraph().build_dependency(model, example))
        outputs = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 1000]
        pruner = tp.pruner.MagnitudePruner(
            model, example, importance=tp.importance.MagnitudeImportance(p=2), pruning_ratio=0.5, ignored_layers=outputs
        )
        dense = count(model)
        pruner.step()
        run(model, example)
    except Exception as error:  # whatever it raises is what is recorded
        return {"runs": False, "error": f"{type(error).__name__}: {str(error)[:160]}"}
    return {"runs": True, "graph_seconds": seconds, "kept": round(count(model) / dense, 4)}


def file_of(address: str) -> str:
    return f"{address.replace(':', '-').replace('/', '-')}.json"


def other_failed(address: str, given: argparse.Namespace) -> dict[str, Any] | None:
    """What is known of Torch-Pruning from earlier runs, if it failed there."""
    file = given.earlier / file_of(address) if given.earlier else None
    if file is None or not file.exists():
        return None
    found: dict[str, Any] = json.loads(file.read_text()).get("torch_pruning", {"runs": True})
    return None if found["runs"] else found


def one(address: str, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What is found; at first without Torch-Pruning, should that not come back."""
    torch.manual_seed(0)
    model, example = networks.case(address)
    if count(model) > given.largest:
        yield {"network": address, "skipped": f"{count(model):,} parameters"}
        return
    liven(model)
    result = {"network": address, "runs": True, **ours(model, example)}
    known = other_failed(address, given)
    yield result | {"torch_pruning": known or {"runs": False, "error": "ended"}}
    if known is None:
        fresh, example = networks.case(address)
        yield result | {"torch_pruning": theirs(fresh, example, given.other_limit)}


def _child(address: str, given: argparse.Namespace, results: Connection) -> None:
    try:
        for found in one(address, given):
            results.send(found)
    except Exception as error:  # whatever it raises is what is recorded
        results.send({"network": address, "runs": False, "error": f"{type(error).__name__}: {str(error)[:300]}"})


def measured(address: str, given: argparse.Namespace) -> dict[str, Any]:
    """The last that a process of its own has to say within the limit of time."""
    found = {"network": address, "runs": False, "error": f"not done in {given.limit:g} s"}
    results, end = FORK.Pipe(duplex=False)
    child = FORK.Process(target=_child, args=(address, given, end))
    child.start()
    end.close()
    latest = time.monotonic() + given.limit
    try:
        while results.poll(max(0, latest - time.monotonic())):
            found = results.recv()
    except EOFError:
        pass  # it has ended
    child.kill()
    child.join()
    return found


def warm(threads: int) -> None:
    """The first use of anything loads half of torch; that is not what is measured."""
    import torch_pruning as tp

    for library in ("timm", "torchvision", "transformers"):
        importlib.import_module(library)
    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    tiny = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    nw.discover(tiny, torch.zeros(1, 4))
    tp.DependencyGraph().build_dependency(tiny, example_inputs=torch.zeros(1, 4))


def geometric(ratios: list[float]) -> float | None:
    return round(math.exp(sum(map(math.log, ratios)) / len(ratios)), 3) if ratios else None


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    played = [row for row in rows if "skipped" not in row]
    both = [row for row in played if "discovery_seconds" in row and row.get("torch_pruning", {}).get("runs")]
    ratios = [row["discovery_seconds"] / row["torch_pruning"]["graph_seconds"] for row in both]
    return {
        "networks": len(played),
        "skipped": len(rows) - len(played),
        "runs": sum(bool(row.get("runs")) for row in played),
        "exact": sum(bool(row.get("exact")) for row in played),
        "torch_pruning_runs": sum(bool(row.get("torch_pruning", {}).get("runs")) for row in played),
        "discovery_time_over_torch_pruning": geometric(ratios),
        "ratios": len(ratios),
    }


def collect(given: argparse.Namespace) -> None:
    """Write what is there; a network that was run earlier alone counts, but its times, taken in another way, do not."""
    rows: dict[str, list[dict[str, Any]]] = {}
    found = {file.name: json.loads(file.read_text()) for file in given.runs.glob("*.json")}
    for file in given.earlier.glob("*.json") if given.earlier else ():
        if file.name not in found:
            old = json.loads(file.read_text())
            found[file.name] = {key: value for key, value in old.items() if "seconds" not in key} | {"earlier": True}
    for _, row in sorted(found.items()):
        rows.setdefault(row["network"].partition(":")[0].partition("-")[0], []).append(row)
    result = {"summary": {family: summary(each) for family, each in rows.items()}, "networks": rows}
    print(write("network_coverage", result), json.dumps(result["summary"], indent=1))


def main() -> None:
    given = arguments()
    if not given.collect:
        warm(given.threads)
    begun = time.monotonic()
    given.runs.mkdir(parents=True, exist_ok=True)
    wanted = given.networks or (name for family in given.families for name in networks.names(family))
    for address in wanted if not given.collect else ():
        out = given.runs / file_of(address)
        if out.exists() or time.monotonic() - begun > 60 * given.minutes:
            continue
        found = measured(address, given)
        out.write_text(json.dumps(found))
        print(address, {key: found.get(key) for key in ("exact", "kept", "discovery_seconds", "error")}, flush=True)
    collect(given)


if __name__ == "__main__":
    main()
