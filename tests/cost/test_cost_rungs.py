"""Rungs: exact by hand, complete, monotone, and honest about what they rest on."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from cost_plans import example, fewer_bits, random_example, tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhw.board import load_board
from snnhw.cost import (
    Counts,
    activity_energy,
    check_counts,
    full_energy,
    load_constants,
    make_target,
    memory_energy,
    network_metrics,
    operation_energy,
)
from snnhw.cost.energy import Energy
from snnhw.cost.flow import estimate
from snnhw.cost.results import energy_json
from snnhw.cost.rungs import finaliser_bits, place
from snnhw.errors import CheckFailed
from snnhw.ir import Graph, Input, Linear, Neuron, NeuronSpec, Readout
from snnhw.plan import make_plan
from snnhw.plan.accesses import count_accesses, count_names
from snnhw.plan.area import estimate_area
from snnhw.plan.cycles import predict_cycles

ASIC, BOARD = load_constants("asic45"), make_target()
SEEDS = st.integers(0, 10_000)


def counts_of(plan, **signals):
    """Return made-up counts of one sample of a one-layer plan."""
    layer = {name: np.array([signals.get(name, 0)]) for name in count_names(plan.layers[0])}
    return Counts.of(plan, [layer], np.array([signals.get("cycles", 1)]))


def test_operations_by_hand():
    plan = tiny()
    (layer,) = plan.layers
    assert layer.current_bits == 4
    energy = operation_energy(plan, counts_of(plan, events_write=10), ASIC)
    assert energy.mid_pj == pytest.approx(10 * 4 * 4 * 0.0035)
    energy = operation_energy(plan, counts_of(plan, finalise=12), ASIC)
    # No leak, no bias, no subtraction: the current is added and the threshold compared.
    assert energy.mid_pj == pytest.approx(12 * (layer.update_bits * 0.0035 + 8 * 0.0009))


def test_finaliser_work_follows_the_neuron():
    from snnhw.ir import Decay

    (plain,) = tiny().layers
    (leaky,) = tiny(decay=Decay("shift", 2)).layers
    (factor,) = tiny(decay=Decay("mul", 4, 15)).layers
    (full,) = tiny(reset="subtract", reset_amount=3, bias=np.array([1, 2, 3, 4])).layers
    (synaptic,) = tiny(synapse=Decay("mul", 4, 15), decay=Decay("shift", 2)).layers
    (rounded,) = tiny(decay=Decay("mul", 4, 15, "zero")).layers
    assert finaliser_bits(synaptic) == (synaptic.update_bits + synaptic.synapse_update_bits + 8, 8, 8 * 5)
    assert finaliser_bits(rounded) == (rounded.update_bits + 8, 8, 8 * 5)
    assert finaliser_bits(plain) == (plain.update_bits, 8, 0)
    assert finaliser_bits(leaky) == (leaky.update_bits + 8, 8, 0)
    assert finaliser_bits(factor) == (factor.update_bits, 8, 8 * 5)
    assert finaliser_bits(full) == (3 * full.update_bits, 8, 0)


def test_memory_accesses_by_hand():
    plan = tiny()
    counts = counts_of(plan, weights_read=7, membranes_write=3)
    energy = memory_energy(plan, counts, ASIC)
    # Every memory of this plan is smaller than the smallest macro: 0.5 KB, and 8 bits wide.
    access = 0.367 * 0.5**0.5 * 0.5**0.48
    assert energy.part(kind="weights").mid_pj == pytest.approx(7 * access)
    assert energy.part(kind="membranes").mid_pj == pytest.approx(3 * access * 1.2)
    assert energy.mid_pj == pytest.approx(7 * access + 3 * access * 1.2)


def test_memory_law_gives_the_published_table():
    # CACTI 7, 45 nm low operating power, pJ per read: bytes, bits, energy. The fit is good to a factor of 2.
    for size, width, read in ((512, 16, 0.20), (2048, 64, 0.81), (8192, 64, 1.68), (65536, 64, 4.95), (131072, 128, 11.4)):
        law = ASIC["sram_read_lop"].mid * (size / 1024) ** 0.5 * (width / 16) ** 0.48
        assert read / 2 < law < read * 2


def wide(inputs=64, outputs=16, lanes=4, formats="dense", load_weights=False):
    """Return a plan of one layer with 4-bit weights and 12-bit states."""
    weight = np.arange(outputs * inputs).reshape(outputs, inputs) % 16 - 8
    neuron = Neuron("lif", ("fc",), NeuronSpec(threshold=4, bits=12))
    nodes = (Input("in", (), (inputs,)), Linear("fc", ("in",), weight, 4), neuron, Readout("out", ("lif",)))
    return make_plan(Graph("wide", nodes, 3), lanes=lanes, formats=formats, load_weights=load_weights)


def test_fpga_energy_by_hand():
    plan = wide()
    energy = full_energy(plan, counts_of(plan, weights_read=5, membranes_write=2, cycles=1000), BOARD)
    registers = estimate_area(plan, BOARD.board, top="core").used["flip_flops"][0]
    # The accumulators alone are 4 lanes of 9 bits.
    assert 36 < registers < 1000
    kinds = {kind: energy.part(kind=kind).mid_pj for kind in ("weights", "membranes", "clock", "static", "flip-flops")}
    # 256 words of 16 bits are one block, and so is a smaller memory.
    assert kinds["weights"] == pytest.approx(5 * 7.0)
    assert kinds["membranes"] == pytest.approx(2 * 7.0)
    assert kinds["clock"] == pytest.approx(52_000)
    assert kinds["static"] == pytest.approx(0.108e-3 * 1000 / 12e6 * 1e12)
    assert kinds["flip-flops"] == pytest.approx(0.0144 * 1000 * registers)
    assert sum(kinds.values()) == pytest.approx(energy.mid_pj)


def test_counted_flip_flops_replace_the_estimate():
    plan = tiny()
    energy = full_energy(plan, counts_of(plan, cycles=10), replace(BOARD, flip_flops=300))
    assert energy.part(kind="flip-flops").mid_pj == pytest.approx(0.0144 * 10 * 300)


def test_a_read_enables_every_block_and_a_write_one_row_of_them():
    # 5000 words of 12 bits are 5 rows of 3 blocks of 1024 words of 4 bits.
    plan = wide(inputs=2500)
    for signal, blocks in (("events_read", 15), ("events_write", 3)):
        energy = full_energy(plan, counts_of(plan, **{signal: 2}), BOARD)
        assert energy.part(kind="events").mid_pj == pytest.approx(2 * 7.0 * blocks)


def test_loaded_weights_lie_in_single_port_blocks():
    plan = wide(load_weights=True)
    energy = full_energy(plan, counts_of(plan, weights_read=3), BOARD)
    assert energy.part(kind="weights").mid_pj == pytest.approx(3 * 10.0)


CURRENTS = {"accumulate": 3, "currents_read": 5, "currents_clear": 2}


@pytest.mark.parametrize(("name", "banks"), [("csc", 4), ("bitmap", 4), ("block", 1)])
def test_a_word_is_added_in_the_memories_of_all_lanes_and_a_sum_is_read_from_one(name, banks):
    """Macros of 0.5 KB, one beside the other in the two halves: an access reaches those of one half, or one of them."""
    plan = wide(formats=name)
    bits = plan.layers[0].current_bits
    assert 8 < bits < 16
    memory = next(memory for memory in plan.layers[0].memories if memory.role == "currents")
    assert (memory.copies, memory.width) == (2 * banks, 4 // banks * bits)
    energy = memory_energy(plan, counts_of(plan, **CURRENTS), ASIC)
    access = 0.367 * 0.5**0.5 * (memory.width / 16) ** 0.48
    assert energy.part(kind="currents").mid_pj == pytest.approx(access * (3 * banks * (1 + 1.2) + 5 + 2 * 1.2))


@pytest.mark.parametrize(("name", "blocks"), [("csc", (4, 1)), ("block", (3, 3))])
def test_blocks_of_currents_are_those_of_one_half(name, blocks):
    """256 words of 9 bits in each lane are a block; 256 words of all four lanes are three."""
    plan = wide(outputs=1024, formats=name)
    assert plan.layers[0].current_bits == 9
    word, one = blocks
    energy = full_energy(plan, counts_of(plan, **CURRENTS), BOARD)
    assert energy.part(kind="currents").mid_pj == pytest.approx(7.0 * (2 * 3 * word + 5 * one + 2 * one))


@pytest.mark.parametrize(("name", "banks"), [("csc", 4), ("block", 1)])
def test_currents_too_small_for_a_block_are_logic(name, banks):
    plan = wide(outputs=8, formats=name)
    bits = plan.layers[0].current_bits * 4 // banks
    energy = full_energy(plan, counts_of(plan, **CURRENTS), BOARD)
    assert energy.part(kind="currents").mid_pj == pytest.approx((2 * 3 * banks + 5 + 2) * bits * 2.0 * 0.25)


def test_a_memory_too_small_for_a_block_is_logic():
    plan = tiny()
    assert plan.layers[0].memories[0].width == 4
    energy = full_energy(plan, counts_of(plan, weights_read=3), BOARD)
    assert energy.part(kind="weights").mid_pj == pytest.approx(3 * 4 * 2.0 * 0.25)


@settings(max_examples=20)
@given(seed=SEEDS)
def test_energy_is_conserved(seed):
    plan, _, counts = random_example(seed)
    toggles = {"layer0.accumulator.total_0": 500, "layer0.finaliser.state": 70, "s_axis_tdata": 30}
    energies = [
        operation_energy(plan, counts, ASIC, draws=200),
        memory_energy(plan, counts, ASIC, draws=200),
        full_energy(plan, counts, BOARD, draws=200),
        activity_energy(plan, counts, toggles, BOARD, draws=200),
    ]
    for energy in energies:
        for parts in (
            [energy.part(kind=kind) for kind in energy.kinds],
            [energy.part(layer=layer) for layer in energy.layers],
            [energy.part(layer=layer, kind=kind) for layer, kind in energy.cells],
            [energy.part(static=True), energy.part(static=False)],
        ):
            assert sum(part.mid_pj for part in parts) == pytest.approx(energy.mid_pj, rel=1e-12)
            assert np.allclose(sum(part.drawn_pj for part in parts), energy.drawn_pj, rtol=1e-12)
        assert sum(driver.share for driver in energy.drivers) == pytest.approx(1.0)


@settings(max_examples=20)
@given(seed=SEEDS)
def test_fewer_weight_bits_never_cost_more(seed):
    plan, trains, counts = random_example(seed)
    narrow = fewer_bits(plan)
    same = Counts.of(narrow, count_accesses(narrow, trains), predict_cycles(narrow, trains))
    for rung in (operation_energy, memory_energy):
        before, after = rung(plan, counts, ASIC, draws=50), rung(narrow, same, ASIC, draws=50)
        assert after.mid_pj <= before.mid_pj * (1 + 1e-12)
        assert (after.drawn_pj <= before.drawn_pj * (1 + 1e-12)).all()


@settings(max_examples=20)
@given(seed=SEEDS, keep=st.floats(0.0, 0.99))
def test_fewer_spikes_never_cost_more(seed, keep):
    plan, trains, counts = random_example(seed)
    rng = np.random.default_rng(seed)
    quiet = {name: train & (rng.random(train.shape) < keep) for name, train in trains.items()}
    fewer = Counts.of(plan, count_accesses(plan, quiet), predict_cycles(plan, quiet))
    for rung in (operation_energy, memory_energy):
        assert rung(plan, fewer, ASIC, draws=50).mid_pj <= rung(plan, counts, ASIC, draws=50).mid_pj * (1 + 1e-12)


@settings(max_examples=20)
@given(seed=SEEDS)
def test_same_counts_give_the_same_energy(seed):
    plan, _, counts = random_example(seed)
    copy = Counts.of(
        plan, [{name: values.copy() for name, values in layer.items()} for layer in counts.layers], counts.cycles.copy()
    )
    compared = check_counts(plan, counts, copy)
    assert compared == counts.samples * (1 + sum(len(layer) for layer in counts.layers))
    one, other = (
        full_energy(plan, counts, BOARD, draws=50),
        full_energy(plan, copy, BOARD, draws=50, rung="R1", basis="simulated"),
    )
    assert other.mid_pj == one.mid_pj
    assert np.array_equal(other.drawn_pj, one.drawn_pj)


@settings(max_examples=20)
@given(seed=SEEDS, data=st.data())
def test_any_wrong_count_is_named(seed, data):
    plan, _, counts = random_example(seed)
    layers = [{name: values.copy() for name, values in layer.items()} for layer in counts.layers]
    cycles = counts.cycles.copy()
    index = data.draw(st.integers(0, len(layers)))
    name = data.draw(st.sampled_from(sorted(layers[index]))) if index < len(layers) else "cycles"
    sample = data.draw(st.integers(0, counts.samples - 1))
    values = layers[index][name] if index < len(layers) else cycles
    values[sample] += 1
    where = f"layer {plan.layers[index].name!r} (core {index})" if index < len(layers) else "the design"
    message = (
        f"^count '{name}' of {re.escape(where)} in sample {sample} was predicted as {values[sample] - 1} "
        f"and measured as {values[sample]}; 1 of [0-9]+ counts differ$"
    )
    with pytest.raises(CheckFailed, match=message):
        check_counts(plan, counts, Counts.of(plan, layers, cycles))


def test_other_number_of_samples_fails():
    plan, _, counts = example()
    fewer = Counts.of(plan, [{name: values[:2] for name, values in layer.items()} for layer in counts.layers], counts.cycles[:2])
    with pytest.raises(CheckFailed, match=r"^counts were predicted for 3 samples and measured for 2$"):
        check_counts(plan, counts, fewer)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"finalise": np.array([-1])}, r"^Counts 'finalise' of layer 'lif' must not be negative, not -1$"),
        ({"finalise": np.array([1.5])}, r"^Counts 'finalise' of layer 'lif' must be 1 integers, not float64 of shape \(1,\)$"),
        ({"finalise": np.array([1, 2])}, r"^Counts 'finalise' of layer 'lif' must be 1 integers, not int64 of shape \(2,\)$"),
    ],
)
def test_counts_are_checked(change, message):
    plan = tiny()
    layer = dict.fromkeys(count_names(plan.layers[0]), np.array([0]))
    with pytest.raises(ValueError, match=message):
        Counts.of(plan, [layer | change], np.array([1]))
    with pytest.raises(ValueError, match=r"^Counts must have 1 layers, not 2$"):
        Counts.of(plan, [layer, layer], np.array([1]))
    with pytest.raises(ValueError, match=r"^Counts of layer 'lif' must have 'accumulate'$"):
        Counts.of(plan, [{name: values for name, values in layer.items() if name != "accumulate"}], np.array([1]))


def test_toggles_by_hand():
    plan, _, counts = example()
    toggles = {
        "layer0.accumulator.total_3": 300,
        "layer0.accumulator.weight": 60,
        "layer1.finaliser.state": 30,
        "layer0.address": 3,
        "m_axis_tdata": 9,
        "layer0.current": 90,
    }
    aliases = {"layer0.accumulator.shadow_0": "layer0.current", "layer1.finaliser.drive": "gone"}
    energy = activity_energy(plan, counts, toggles, BOARD, aliases=aliases)
    per_toggle = 1.9 * 0.25 / counts.samples

    def part(layer, kind):
        """Return the energy of toggles alone."""
        found = energy.part(layer=layer, kind=kind)
        return replace(found, terms=tuple(term for term in found.terms if term.unit == "toggle")).mid_pj

    assert part("hidden", "accumulate") == pytest.approx(per_toggle * (300 + 60 + 90))
    assert part("last", "finalise") == pytest.approx(per_toggle * 30)
    assert part("hidden", "logic") == pytest.approx(per_toggle * 3)
    assert part("", "logic") == pytest.approx(per_toggle * 9)
    others = full_energy(plan, counts, BOARD)
    for kind in ("weights", "events", "membranes", "parameters", "flip-flops", "clock", "static"):
        assert energy.part(kind=kind).mid_pj == others.part(kind=kind).mid_pj


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["layer2.accumulator.accumulator_1"], (2, "accumulate")),
        (["layer0.state_value", "trace0_membrane", "layer0.finaliser.state_value"], (0, "finalise")),
        (["trace1_membrane"], (1, "logic")),
        (["layer0.events.write_address"], (0, "logic")),
        (["accumulator"], (None, "logic")),
        (["layers.accumulator.sum"], (None, "accumulate")),
        (["s_axis_tvalid"], (None, "logic")),
    ],
)
def test_wires_belong_to_the_unit_of_their_deepest_name(names, expected):
    assert place(names) == expected


def test_every_joule_names_its_evidence():
    plan, _, counts = example()
    assumed = str(full_energy(plan, counts, make_target(load_board("ulx3s-85f"))))
    assert re.search(r"ECP5 constants; largest term ASSUMED: static \d+% ASSUMED, \w+.* \d+% \w+, ", assumed)
    known = str(memory_energy(plan, counts, ASIC))
    band = r"^A1 \d\S* \wJ \(\d.* \.\. \d.*\) per sample"
    assert re.search(rf"{band}, estimated counts, 45 nm ASIC constants; largest terms: sram_read_lop \d+% derived", known)
    assert "ASSUMED" not in known
    # Almost nothing but memory accesses, whose energy nobody has published.
    single = full_energy(wide(), counts_of(wide(), weights_read=10_000), BOARD)
    assert single.largest_is_assumed
    assert "largest term ASSUMED: ebr 100% ASSUMED" in str(single)


def test_product_has_the_weakest_evidence():
    plan, _, counts = example()
    energy = full_energy(plan, counts, BOARD)
    driver = next(driver for driver in energy.drivers if driver.parameters == ("add_toggles", "toggle"))
    assert (BOARD.constants["add_toggles"].provenance, BOARD.constants["toggle"].provenance) == ("scaled", "derived")
    assert driver.provenance == "scaled"


def test_an_energy_survives_its_record():
    plan, trains, _ = example()
    for record in estimate(plan, trains)["energy"]:
        restored = Energy.from_json(json.loads(json.dumps(record)), load_constants(record["constants"]))
        assert restored.mid_pj == pytest.approx(record["mid_pj"], rel=1e-12)
        assert restored.band.median == pytest.approx(record["median"], rel=1e-12)
        assert energy_json(restored, network_metrics(plan, trains))["rows"] == record["rows"]
    with pytest.raises(ValueError, match=r"^Constants must be 'ice40up5k', not 'asic45'$"):
        Energy.from_json(record, load_constants("asic45"))
