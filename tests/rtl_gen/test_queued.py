"""Lanes behind queues of events against the reference, and against their own schedule."""

import dataclasses

import numpy as np
import pytest
from example_graphs import EXAMPLES, example_graph, spikes_of
from networks import random_plan, random_trains
from test_accelerator import check

from snnhw.plan import Plan, make_plan
from snnhw.plan.queued import Queued


def queued(plan: Plan, rng: np.random.Generator) -> Plan:
    """Return a plan with the cores queued that can be, with queues of any depth."""
    plan = make_plan(plan.graph, lanes={layer.name: layer.lanes for layer in plan.layers}, formats="queued")
    layers = [dataclasses.replace(layer, synapses=dataclasses.replace(layer.synapses, queue=int(rng.choice([1, 2, 3, 8, 16]))))
              if isinstance(layer.synapses, Queued) else layer for layer in plan.layers]
    return dataclasses.replace(plan, layers=tuple(layers))


@pytest.mark.parametrize("seed", range(300, 306))
def test_random_networks_match_in_words_cycles_and_accesses(seed):
    rng = np.random.default_rng(seed)
    plan = queued(random_plan(rng, load_weights=False), rng)
    check(plan, random_trains(rng, plan, 3))


@pytest.mark.parametrize("seed", range(400, 403))
def test_stalls_and_a_reset_change_nothing(seed):
    rng = np.random.default_rng(seed)
    plan = queued(random_plan(rng, load_weights=False), rng)
    check(plan, random_trains(rng, plan, 3), undisturbed=False, rng=rng, isolated=False)
    check(plan, random_trains(rng, plan, 2), undisturbed=False, rng=rng, reset_before=True)


@pytest.mark.parametrize("name", EXAMPLES)
def test_any_graph_matches_in_words_cycles_and_accesses(name):
    """Events with values, delayed ones, and those of several sources among them."""
    graph = example_graph(name)
    check(queued(make_plan(graph, lanes=2), np.random.default_rng(1)), spikes_of(graph, 2))
