"""Discovery of a seven-billion-parameter decoder from its config alone, and seconds for the networks people know.

    python benchmarks/discovery_at_scale.py

The large model lives on the meta device: no weight is ever made. Seconds are those of the processor, in one thread;
memory is the growth of the process's peak.
"""

from __future__ import annotations

import resource
import statistics
import time
from typing import Any

import torch
from record import write
from torch import nn

import niwaki as nw

LLAMA_7B = {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32} | {
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
}


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def seven_billion() -> dict[str, Any]:
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**LLAMA_7B))
    before, start = peak_gib(), time.process_time()
    groups = nw.discover(model, {"input_ids": torch.zeros(1, 8, dtype=torch.long)})
    kinds = {kind: sum(g.size for g in groups if g.kind == kind) for kind in ("head", "channel")}
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(time.process_time() - start, 2),
        "peak_growth_gib": round(peak_gib() - before, 3),
        "peak_gib": round(peak_gib(), 3),
        "groups": len(groups),
        "units": kinds,
    }


def known(rounds: int = 5) -> dict[str, Any]:
    import torchvision

    found = {}
    for name in ("resnet50", "vit_b_16", "swin_t", "efficientnet_b7", "densenet201"):
        model, seconds = torchvision.models.get_model(name), []
        for _ in range(rounds):
            start = time.process_time()
            groups = nw.discover(model, torch.zeros(1, 3, 224, 224))
            seconds.append(time.process_time() - start)
        found[name] = {
            "groups": len(groups),
            "seconds": round(statistics.median(seconds), 3),
            "least": round(min(seconds), 3),
        }
    return found


def main() -> None:
    torch.set_num_threads(1)
    nw.discover(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)), torch.zeros(1, 4))  # half of torch is loaded here
    result = {"llama_7b": seven_billion(), "torchvision": known()}
    print(result)
    print(write("discovery_at_scale", result))


if __name__ == "__main__":
    main()
