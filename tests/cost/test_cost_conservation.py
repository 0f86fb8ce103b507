"""Parts add up to wholes, and less is never more, on random accelerators of every format."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhw.cost import activity_energy, energy_ladder, full_energy, load_constants, make_target, memory_energy, operation_energy
from snnhw.cost.ann import ann_energies, graded_trains
from snnhw.cost.flow import predict_counts
from snnhw.cost.metrics import sample_seconds
from snnhw.errors import UsageError
from snnhw.ir import Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import make_plan
from snnhw.reference import run
from snnhw.verify.random_networks import random_case

ASIC, BOARD = load_constants("asic45"), make_target()
SEEDS = st.integers(0, 10_000)


def energies_of(seed):
    case = random_case(seed, largest=30)
    trains = run(case.plan.graph, case.spikes, keep_membranes=False).spikes
    counts = predict_counts(case.plan, trains)
    toggles = {"layer0.accumulator.total_0": 500, "layer0.finaliser.state": 70, "s_axis_tdata": 30}
    found = [operation_energy(case.plan, counts, ASIC, draws=50), memory_energy(case.plan, counts, ASIC, draws=50),
             full_energy(case.plan, counts, BOARD, draws=50), activity_energy(case.plan, counts, toggles, BOARD, draws=50)]
    with suppress(UsageError):  # a network with a loop
        found += ann_energies(case.plan, BOARD, ASIC, draws=50).values()
    return found


@settings(max_examples=25)
@given(seed=SEEDS)
def test_parts_add_up_to_the_whole(seed):
    for energy in energies_of(seed):
        for parts in ([energy.part(kind=kind) for kind in energy.kinds], [energy.part(layer=layer) for layer in energy.layers]):
            assert sum(part.mid_pj for part in parts) == pytest.approx(energy.mid_pj)
            assert sum(part.drawn_pj for part in parts) == pytest.approx(energy.drawn_pj)


@settings(max_examples=25)
@given(seed=SEEDS)
def test_static_power_times_time_and_what_is_dynamic_are_the_whole(seed):
    for energy in energies_of(seed):
        static, dynamic = energy.part(static=True), energy.part(static=False)
        assert static.mid_pj + dynamic.mid_pj == pytest.approx(energy.mid_pj)
        seconds = sample_seconds(energy)
        if energy.constants.kind == "asic":
            assert (seconds, static.mid_pj) == (None, 0)
        else:
            cycles = energy.part(kind="clock").terms[0].amount
            assert seconds == pytest.approx(cycles / BOARD.clock_hz)
            assert static.mid_pj == pytest.approx(energy.constants["static"].mid * 1e-3 * seconds * 1e12)


@settings(max_examples=10)
@given(seed=SEEDS)
def test_records_keep_what_adds_up(seed):
    case = random_case(seed, largest=20)
    trains = run(case.plan.graph, case.spikes, keep_membranes=False).spikes
    for row in energy_ladder(case.plan, trains, draws=50)["rungs"]:
        for parts in ("layers", "kinds"):
            assert sum(part["mid_pj"] for part in row[parts].values()) == pytest.approx(row["mid_pj"])
        assert row["static"]["mid_pj"] + row["dynamic"]["mid_pj"] == pytest.approx(row["mid_pj"])


def one_layer(weight, name):
    nodes = (Input("in", (), (weight.shape[1],)), Linear("fc", ("in",), weight, 4),
             Neuron("lif", ("fc",), NeuronSpec(threshold=9, bits=10)), Readout("out", ("lif",)))
    return make_plan(Graph("layer", nodes, 4), lanes={"lif": 4}, formats=name, packings="none")


@settings(max_examples=20)
@given(seed=SEEDS, name=st.sampled_from(("csc", "bitmap", "queued", "run-length")))
def test_fewer_weights_never_cost_more_in_the_same_format(seed, name):
    rng = np.random.default_rng(seed)
    weight = rng.integers(1, 8, (12, 20))
    order = rng.random(weight.shape)
    before = None
    for kept in (0.9, 0.5, 0.2, 0.05):
        plan = one_layer(np.where(order < kept, weight, 0), name)
        trains = graded_trains(plan, 0.3)
        counts = predict_counts(plan, trains)
        found = [rung(plan, counts, ASIC, draws=20).mid_pj for rung in (operation_energy, memory_energy)]
        assert before is None or all(after <= one * (1 + 1e-12) for after, one in zip(found, before, strict=True))
        before = found
