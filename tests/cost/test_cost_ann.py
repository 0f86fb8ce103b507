"""The network without spikes: counts by hand, and where the spiking one costs as much."""

import re

import numpy as np
import pytest
from cost_plans import example, tiny

from snnhw.cost import Band, load_constants, make_target
from snnhw.cost.ann import RATES, _crossover, ann_energies, graded_trains, sweep_rates
from snnhw.errors import UsageError
from snnhw.ir import Conv, Delay, Graph, Input, Linear, Neuron, NeuronSpec, Readout, Window
from snnhw.plan import make_plan

ASIC, TARGET = load_constants("asic45"), make_target()


def test_one_pass_multiplies_every_weight_once():
    plan = tiny()
    (layer,) = plan.layers
    energy = ann_energies(plan, TARGET)["A0"]
    bits = layer.current_bits + 4
    assert energy.part(kind="accumulate").mid_pj == pytest.approx(3 * 4 * (bits * 0.0035 + 4 * 4 * 0.0031))
    assert energy.part(kind="finalise").mid_pj == pytest.approx(4 * bits * (0.0035 + 0.0009))


def test_every_weight_and_activation_is_read_once_for_each_tile():
    plan = tiny()
    assert plan.layers[0].tiles == 4
    energy = ann_energies(plan, TARGET)["A1"]
    # Every memory is smaller than the smallest macro: 0.5 KB, and 8 bits wide. 3 inputs, 4 tiles.
    access = 0.367 * 0.5**0.5 * 0.5**0.48
    assert energy.part(kind="weights").mid_pj == pytest.approx(12 * access)
    assert energy.part(kind="events").mid_pj == pytest.approx(12 * access + 3 * 1.2 * access)
    assert set(energy.kinds) == {"accumulate", "finalise", "weights", "events"}  # there are no membranes


def test_the_same_core_with_multipliers():
    plan, _, _ = example()
    energy = ann_energies(plan, TARGET)["A2"]
    cycles = energy.part(kind="clock").terms[0].amount
    # Every input of every tile, and what it takes to load them and to finalise the neurons, one layer after the other.
    work = sum(layer.inputs * layer.tiles for layer in plan.layers)
    assert work < cycles < work + sum(layer.inputs + layer.outputs for layer in plan.layers) + 40
    assert energy.part(kind="static").mid_pj == pytest.approx(cycles / TARGET.clock_hz * 0.108e9)


def test_spikes_of_a_lower_rate_are_among_those_of_a_higher():
    plan, _, _ = example()
    before = graded_trains(plan, 0.0)
    assert not any(train.any() for train in before.values())
    for rate in (0.1, 0.35, 1.0):
        trains = graded_trains(plan, rate)
        for name, train in trains.items():
            assert train.mean() == pytest.approx(rate, abs=1 / train.size)
            assert not np.any(before[name] & ~train)
        before = trains


def test_energy_of_spikes_grows_with_the_rate_and_crosses_once():
    plan, trains, _ = example(rate=0.1)
    sweep = sweep_rates(plan, trains)
    assert np.all(np.diff(sweep.rates) >= 0)
    assert sweep.rates[-1] == 1.0
    for rung, bands in sweep.spiking.items():
        medians = [band.median for band in bands]
        assert medians == sorted(medians)
        assert len(bands) == len(RATES)
        (found,) = [row for row in sweep.crossovers if row.rung == rung]
        assert found.rate.median == pytest.approx(found.spikes_per_synapse.median / plan.graph.timesteps)
        # The medians cross about where the median of the crossings is.
        crossed = np.interp(found.rate.median, sweep.rates, medians)
        assert crossed == pytest.approx(sweep.matching[rung].median, rel=0.25)
    assert set(sweep.own_ratios) == {"A0", "A1", "A2"}
    assert sweep.as_json()["assumptions"]


def test_crossing_by_hand():
    """Energy 10 + 100 s against 60: half a spike; 10 + 50 s: one; against 5: never; against 1000: always."""
    seen = np.array([0.0, 0.4, 1.2])
    matching = np.array([60.0, 60.0, 5.0, 1000.0])
    slopes = np.array([100.0, 50.0, 100.0, 100.0])
    found = _crossover("A1", seen, 10 + seen[:, None] * slopes, matching, 2)
    assert (found.never, found.always) == (0.25, 0.25)
    assert found.spikes_per_synapse == Band.of(np.array([0.5, 1.0, 0.0, 1.2]))
    assert found.rate == Band.of(np.array([0.25, 0.5, 0.0, 0.6]))
    once = _crossover("A1", seen, 10 + seen[:, None] * slopes[:1], matching[:1], 2)
    assert once.spikes_per_synapse.median == pytest.approx(0.5)


def test_conclusions_of_certain_cases():
    plan, _, _ = example()
    never = sweep_rates(plan, rates=(0.9, 1.0))
    assert "Under A2 the spiking network needs more than the one without spikes even if nothing spikes." in never.conclusion()
    always = sweep_rates(plan, rates=(0.0, 0.001))
    assert "Under A1 the spiking network needs less at every rate that was looked at." in always.conclusion()


def test_a_convolution_gathers_what_spikes_scatter():
    kernel = np.arange(18).reshape(2, 1, 3, 3) % 7 - 3
    nodes = (Input("in", (), (1, 6, 6)), Conv("conv", ("in",), kernel, 3, Window((3, 3))),
             Neuron("lif", ("conv",), NeuronSpec(threshold=2, bits=8)), Readout("out", ("lif",)))
    plan = make_plan(Graph("conv", nodes, 4), lanes=2)
    energies = ann_energies(plan, TARGET)
    assert energies["A1"].part(kind="currents").mid_pj == energies["A2"].part(kind="membranes").mid_pj == 0
    # An activation for each word of weights, and each is written once; the smallest macros.
    access = 0.367 * 0.5**0.5 * 0.5**0.48
    assert energies["A1"].part(kind="events").mid_pj == pytest.approx((36 * 9 + 36 * 1.2) * access)
    # Each of the 36 inputs walks a list of all 9 positions of the kernel, in both lanes.
    (layer,) = plan.layers
    expected = 36 * 9 * 2 * ((layer.current_bits + 3) * 0.0035 + 9 * 0.0031)
    assert energies["A0"].part(kind="accumulate").mid_pj == pytest.approx(expected)


def test_a_loop_has_no_single_pass():
    weight = np.ones((4, 4), int)
    nodes = (Input("in", (), (4,)), Delay("again", ("lif",), (4,)), Linear("fc", ("in",), weight, 2),
             Linear("loop", ("again",), weight, 2), Neuron("lif", ("fc", "loop"), NeuronSpec(threshold=4, bits=8)),
             Readout("out", ("lif",)))
    plan = make_plan(Graph("loop", nodes, 3), lanes=2)
    message = ("a network to compare with one without spikes must have no delayed connections, and layer 'lif' has one")
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        ann_energies(plan, TARGET)
