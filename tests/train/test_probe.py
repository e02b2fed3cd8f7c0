"""Criteria that want more than the loop gives are served by a probe, once a move."""

from __future__ import annotations

import torch
from torch.nn import functional as F

import niwaki as nw

from .loops import batch, mlp, train


def test_any_criterion_can_prune_and_grow_and_the_probe_is_asked_once_a_move():
    model = mlp()
    asked: list[frozenset[str]] = []
    inner = nw.probe([batch(99, (12,))], F.cross_entropy)

    def probe(one: torch.nn.Module, needs: frozenset[str]) -> nw.Signals:
        asked.append(needs)
        return inner(one, needs)

    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    sparsifier = nw.iee(
        model, nw.weights(model), density=0.3, steps=40, H=5, J=4, Q=3, criterion=nw.Fisher(), probe=probe
    ).attach(optimizer)
    train(model, optimizer, range(40), shape=(12,))
    scored = [record for record in sparsifier.history if record["move"] != "explore"]
    assert asked == [frozenset({"grad_sq"})] * len(scored)
    assert sparsifier.density == round(0.3 * 512) / 512


def test_a_structure_chosen_at_initialisation_is_the_one_the_criterion_scores_highest():
    model = mlp()
    batches = [batch(step, (12,)) for step in range(3)]
    groups = nw.weights(model)
    scores = nw.score(nw.Snip(), model, groups, batches, F.cross_entropy, per_batch=False)
    sparsifier = nw.static(
        model, groups, density=0.2, init=nw.Snip(), allocator=nw.Global(), probe=nw.probe(batches, F.cross_entropy)
    )
    kept = sparsifier.keep
    every = torch.cat([scores[g.name] for g in groups])
    bar = every.sort(descending=True).values[round(0.2 * every.numel()) - 1]
    for group in groups:
        assert torch.equal(kept[group.name], scores[group.name] >= bar)
