"""Counts of the RTL against predicted ones, and what a wrong counter or a wrong gate looks like."""

import re

import pytest

from snnhw.cost import Counts, check_counts
from snnhw.cost.flow import predict_counts
from snnhw.errors import CheckFailed
from snnhw.plan import make_plan
from snnhw.plan.accesses import TIMES, count_accesses, count_names, count_times, predict_schedule
from snnhw.reference import run
from snnhw.verify import check_undisturbed, compile_batch, random_case
from snnhw.verify.cxxrtl import build_cxxrtl
from snnhw.verify.design import Design
from snnhw.verify.native import Simulator
from snnhw.verify.random_graphs import random_graph_case

# Chains and graphs with every format, queues between cores, merged sources with lane queues, loaded weights, events as bits.
NETWORKS, GRAPHS, BITS = (6, 38), (39,), (2,)


def as_bits(case):
    names = {layer.name: layer.lanes for layer in case.plan.layers}
    return make_plan(case.plan.graph, lanes=names, formats="dense", events="bitmap"), case.spikes


def predicted(plan, spikes):
    trains = run(plan.graph, spikes, keep_membranes=False).spikes
    return predict_counts(plan, trains)


def test_every_count_is_equal():
    cases = [random_case(seed, largest=12) for seed in NETWORKS] + [random_graph_case(seed) for seed in GRAPHS]
    pairs = [(case.plan, case.spikes) for case in cases] + [as_bits(random_case(seed, largest=20)) for seed in BITS]
    seen = set()
    for (plan, spikes), simulator in zip(pairs, compile_batch([plan for plan, _ in pairs]), strict=True):
        trains = run(plan.graph, spikes, keep_membranes=False).spikes
        times = count_times(predict_schedule(plan, trains))
        found = simulator.run(spikes)
        for layer, counts, kinds, got in zip(plan.layers, count_accesses(plan, trains), times, found.accesses, strict=True):
            assert set(got) == {*count_names(layer), *TIMES} == {*counts, *kinds}
            for name, values in (counts | kinds).items():
                assert got[name].tolist() == values.tolist(), (layer.name, name)
                seen |= {re.sub(r"\d", "", name)} if values.any() else set()
            seen |= {f"format {layer.format}", f"events as {layer.events}"}
        assert check_counts(plan, predicted(plan, spikes), Counts.of(plan, found.accesses, found.cycles)) > 0
    assert seen >= {*TIMES, "queue_write", "queue_read", "lane_queues_write", "lane_queues_read", "events_sent", "sources_read",
                    "currents_clear", "events_clear", "format queued", "format block", "events as bitmap"}


class _Wrong(Design):
    """A design some of whose counters are tied to something else, by port."""

    def __init__(self, plan, wrong):
        super().__init__(plan)
        self.wrong = wrong

    @property
    def taps(self):
        taps = super().taps
        assert set(self.wrong) <= set(taps)
        return taps | {port: (signal, taps[port][1]) for port, signal in self.wrong.items()}


def differing(design, spikes):
    """Return the counts that differ, by core and name, and what those say who compare them; the words of the design are right."""
    folder, _ = build_cxxrtl([design], optimize="-O0")
    check = check_undisturbed(Simulator(design.plan, "cxxrtl", folder, 0, 0.0), spikes)
    assert check.comparison.equal
    found = check.simulation
    trains = run(design.plan.graph, spikes, keep_membranes=False).spikes
    counts = predict_counts(design.plan, trains)
    names = {(index, name) for index, layers in enumerate(zip(counts.layers, counts.times, strict=True)) for layer in layers
             for name in layer if (layer[name] != found.accesses[index][name]).any()}
    with pytest.raises(CheckFailed, match="was predicted as") as caught:
        check_counts(design.plan, counts, Counts.of(design.plan, found.accesses, found.cycles))
    assert check.access_mismatches >= len(names) > 0
    return names, str(check.problem), str(caught.value)


def test_wrong_counters_are_found():
    """Wrong by little: where nothing happens, at one end of a queue, of one core of several; all others are as predicted."""
    case = random_graph_case(5)
    core, place = next((layer.index, place) for layer in case.plan.layers for place, source in enumerate(layer.sources)
                       if source.queue)
    names, problem, _ = differing(_Wrong(case.plan, {
        "count0_membranes_read": "layer0.membranes_write",  # also in the first timestep
        f"pass{core}_queue{place}_write_ready": "1'0",
        "state0_free": "1'0",
        "state1_tick": "1'0",
    }), case.spikes)
    assert names >= {(0, "membranes_read"), (core, f"queue{place}_write"), (0, "adders_waiting"), (1, "events_sent")}
    assert names <= {(0, "membranes_read"), (core, f"queue{place}_write"), (0, "adders_waiting"), (0, "stalled"), (0, "idle"),
                     (1, "events_sent")}
    assert problem.startswith("layer ")


class _Greedy(Design):
    """A design whose first core also reads its event list in timesteps without events."""

    @property
    def text(self):
        name, read = r"module \\snnhw_top_layer0_event_list\n", r"connect \\Y \\read\n"
        before, module, after = re.split(rf"^({name}.*?^end\n)", super().text, flags=re.DOTALL | re.MULTILINE)
        changed, found = re.subn(rf"(connect \\B) \S+ \[0\](\n *{read})", r"\1 1'1\2", module)
        assert found == 1
        return before + changed + after


def test_hardware_that_reads_too_often_is_found():
    """Every word and every cycle is right, but for an access for each tile of a timestep without events."""
    case = random_case(9, largest=20)
    plan = make_plan(case.plan.graph, lanes=2, formats="dense")
    silent = (~case.spikes.any(axis=2)).sum(axis=1)
    reads = count_accesses(plan, run(plan.graph, case.spikes).spikes)[0]["events_read"]
    assert silent[0]
    names, problem, other = differing(_Greedy(plan), case.spikes)
    assert names == {(0, "events_read")}
    counted = reads[0] + silent[0] * plan.layers[0].tiles
    assert problem == f"layer {plan.layers[0].name!r}: events_read must be {reads[0]} in sample 0, not {counted}"
    assert f"predicted as {reads[0]} and measured as {counted}" in other
