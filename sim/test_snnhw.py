"""Test bench of a generated accelerator: needs cocotb and the standard library, nothing else.

Drives the event stream with the samples of ``vectors.json`` and holds every spike of every layer, every membrane
word, the order and marks of the ticks and the number of clock cycles against it. ``run.py`` starts it; the
environment it sets:

    SNNHW_VECTORS   path of vectors.json
    SNNHW_RESULTS   path of the JSON file that receives the counts
    SNNHW_SAMPLES   samples to run, all when empty
    SNNHW_SEED      seed of the stalls, of the order of events and of the moment of the reset
"""

import json
import os
import random
from itertools import zip_longest
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

STALL = 0.3
STALLED_SAMPLES = 20
INTERRUPTED_SAMPLES = 2
PATIENCE = 20_000
SHOWN_STEPS = 12
RESULTS: dict[str, dict[str, int | str]] = {}


class Vectors:
    """Content of ``vectors.json``, cut to the samples that are to be run."""

    def __init__(self) -> None:
        content = json.loads(Path(os.environ["SNNHW_VECTORS"]).read_text(encoding="utf-8"))
        if (content["format"], content["version"]) != ("snnhw-vectors", 2):
            raise ValueError(f"vectors must be snnhw-vectors version 2, not {content['format']} version {content['version']}")
        self.steps: int = content["timesteps"]
        self.layers: list[dict] = content["layers"]
        self.outputs: int = content["outputs"]
        self.address_mask: int = (1 << content["address_bits"]["output"]) - 1
        self.clears: bool = content["clears"]
        self.rest: int = content["rest"]
        self.decides: bool = "result_bytes" in content
        self.words: list[int] = [int(word, 16) for word in content.get("loading", {"words": []})["words"]]
        self.samples: list[dict] = content["samples"][: int(os.environ.get("SNNHW_SAMPLES") or len(content["samples"]))]


class Broken(Exception):
    """The accelerator broke a rule of its interface."""

CONTROL_AXI = "awvalid", "awaddr", "wvalid", "wdata", "wstrb", "bready", "arvalid", "araddr", "rready"
CONTROL_WISHBONE = "cyc", "stb", "we", "adr", "dat_w", "sel"


class Bench:
    """Drives and watches the accelerator, cycle by cycle.

    Inputs change after a rising edge, everything is read at the falling edge, when it has settled, and what was
    read there is what the next rising edge acts upon.
    """

    def __init__(self, dut, vectors: Vectors, rng: random.Random | None) -> None:
        self.vectors, self.rng = vectors, rng
        names = ["aclk", "aresetn"] + [
            f"{side}_axis_t{name}" for side in "sm" for name in ("valid", "ready", "data", "last", "user")
        ]
        if vectors.words:
            names += [f"s_axis_weights_t{name}" for name in ("valid", "ready", "data")]
        if vectors.decides:
            names += [f"m_axis_result_t{name}" for name in ("valid", "ready", "data", "last")]
        self.ports = {name: getattr(dut, name) for name in names}
        # A control port asks for nothing while its inputs are 0; a simulator would leave them undefined.
        for name in (*(f"s_axi_control_{part}" for part in CONTROL_AXI), *(f"wb_{part}" for part in CONTROL_WISHBONE)):
            if hasattr(dut, name):
                getattr(dut, name).value = 0
        layers = [getattr(dut, f"layer{index}") for index in range(len(vectors.layers))]
        self.traces = [[getattr(layer, f"trace_{name}") for name in ("valid", "neuron", "spike", "membrane")] for layer in layers]
        self.rising, self.falling = RisingEdge(dut.aclk), FallingEdge(dut.aclk)
        self.driven: dict[str, int] = {}
        self.cycle = 0
        self.updates: list[list[tuple[int, int, int]]] = [[] for _ in layers]  # (neuron, spike, membrane), as they were stored
        self.output: list[list[int]] = [[]]  # tdata of each timestep, as it left
        self.cycles: list[int] = []
        self.results: list[int] = []  # tdata of each decision
        self.held_result: int | None = None

    def read(self, name: str) -> int:
        """Return a port as a number; X and Z are a broken rule."""
        value = self.ports[name].value
        try:
            return int(value)
        except ValueError:
            raise Broken(f"{name} must be defined, not {value} in cycle {self.cycle}") from None

    async def settle(self, **inputs: int) -> None:
        """Apply inputs after the next rising edge, and wait for the falling edge. Without changes that is all it waits for."""
        changes = {name: value for name, value in inputs.items() if self.driven.get(name) != value}
        if changes:
            await self.rising
            for name, value in changes.items():
                self.ports[name].value = value
            self.driven |= changes
        await self.falling

    def chance(self) -> bool:
        return self.rng is not None and self.rng.random() < STALL

    async def reset(self) -> None:
        """Hold the reset for some cycles, with the streams at rest, then load the weights."""
        idle = "s_axis_tvalid", "s_axis_weights_tvalid", "m_axis_tready", "m_axis_result_tready"
        rest = {name: 0 for name in idle if name in self.ports}
        for _ in range(4):
            await self.settle(aresetn=0, **rest)
        await self.settle(aresetn=1)
        if self.vectors.words:
            await self.load()

    async def load(self) -> None:
        """Send the loading words, while an event waits that must not be taken."""
        waited = 0
        for word in self.vectors.words:
            taken = False
            while not taken:
                offered = not self.chance()
                await self.settle(
                    s_axis_weights_tvalid=int(offered),
                    s_axis_weights_tdata=word,
                    s_axis_tvalid=1,
                    s_axis_tlast=0,
                    s_axis_tuser=0,
                    s_axis_tdata=0,
                )
                taken = bool(self.read("s_axis_weights_tready")) and offered
                if self.read("s_axis_tready"):
                    raise Broken("an event must not be taken before the weights are loaded")
                waited = 0 if taken else waited + 1
                if waited > PATIENCE:
                    raise Broken(f"s_axis_weights_tready must rise within {PATIENCE} cycles")
        await self.settle(s_axis_weights_tvalid=0, s_axis_tvalid=0)

    def beats(self, samples: list[dict]) -> list[tuple[int | None, int]]:
        """Return the input beats: tdata, or None for a tick, and tuser. Events of a timestep in random order."""
        beats: list[tuple[int | None, int]] = []
        for sample in samples:
            for step, addresses in enumerate(sample["events"]):
                order = list(addresses)
                if self.rng is not None:
                    self.rng.shuffle(order)
                beats += [(address, 0) for address in order]
                beats.append((None, int(step + 1 == self.vectors.steps)))
        return beats

    def watch_layers(self) -> bool:
        """Record the neurons that are updated in this cycle."""
        active = False
        for (valid, neuron, spike, membrane), updates, layer in zip(self.traces, self.updates, self.vectors.layers, strict=True):
            try:
                if valid.value:
                    active = True
                    state = membrane.value
                    updates.append((int(neuron.value), int(spike.value), state.to_signed()))
            except ValueError:
                raise Broken(f"trace of layer {layer['name']!r} must be defined, and is not in cycle {self.cycle}") from None
        return active

    def receive(self, data: int, last: int, user: int, ticks_sent: int) -> bool:
        """Take an output beat; return whether it ends a sample."""
        beats, mask = self.output[-1], self.vectors.address_mask
        where = (
            f"in timestep {(len(self.output) - 1) % self.vectors.steps} of sample {(len(self.output) - 1) // self.vectors.steps}"
        )
        if not last:
            if data & mask >= self.vectors.outputs:
                raise Broken(f"output address must be below {self.vectors.outputs}, not {data & mask} {where}")
            if beats and data & mask <= beats[-1] & mask:
                raise Broken(f"output addresses must ascend, not {data & mask} after {beats[-1] & mask} {where}")
            beats.append(data)
            return False
        ends = len(self.output) % self.vectors.steps == 0
        if data:
            raise Broken(f"tdata of an output tick must be 0, not {data} {where}")
        if user != ends:
            raise Broken(f"tuser of the output tick must be {int(ends)}, not {user} {where}")
        if len(self.output) > ticks_sent:
            raise Broken(f"output tick must not come before its input tick {where}")
        self.output.append([])
        return ends

    def receive_result(self, willing: bool, ticks_sent: int) -> bool:
        """Look at the decisions; return whether one was taken."""
        valid = self.read("m_axis_result_tvalid")
        data = self.read("m_axis_result_tdata") if valid else None
        if self.held_result is not None and data != self.held_result:
            raise Broken(f"decision must not change while it waits, and became {data} in cycle {self.cycle}")
        self.held_result = None if willing else data
        if data is None:
            return False
        if ticks_sent < (len(self.results) + 1) * self.vectors.steps:
            raise Broken(f"decision of sample {len(self.results)} must not come before its last tick")
        if not self.read("m_axis_result_tlast"):
            raise Broken(f"m_axis_result_tlast must be high, and is not in cycle {self.cycle}")
        if willing:
            self.results.append(data)
        return willing

    async def run(self, samples: list[dict], *, isolated: bool, limit: int | None = None) -> None:
        """Send samples and record what comes out; with `limit`, stop after so many cycles wherever that is."""
        rng, steps, width = self.rng, self.vectors.steps, len(self.ports["s_axis_tdata"])
        beats = self.beats(samples)
        position = ticks = finished = started = idle = ended = 0
        offered = begun = False
        held: tuple[int, ...] | None = None
        inputs = {"s_axis_tdata": 0, "s_axis_tlast": 0, "s_axis_tuser": 0}
        decisions = len(samples) if self.vectors.decides else 0

        def resting() -> bool:
            return self.cycle < ended + self.vectors.rest

        def busy() -> bool:
            return min(finished, len(self.results) + len(samples) - decisions) < len(samples) or resting()

        while busy() if limit is None else self.cycle < limit:
            waits = isolated and (ticks // steps > finished or resting())
            if not offered and position < len(beats) and not waits and not self.chance():
                offered = True
                address, user = beats[position]
                # tdata of a tick says nothing, so it may be anything.
                data = address if address is not None else rng.getrandbits(width) if rng else 0
                inputs = {"s_axis_tdata": data, "s_axis_tlast": int(address is None), "s_axis_tuser": user}
            elif not offered and rng is not None:
                inputs = {
                    "s_axis_tdata": rng.getrandbits(width),
                    "s_axis_tlast": rng.getrandbits(1),
                    "s_axis_tuser": rng.getrandbits(1),
                }
            willing = not self.chance()
            if decisions:
                deciding = not self.chance()
                inputs["m_axis_result_tready"] = int(deciding)
            await self.settle(s_axis_tvalid=int(offered), m_axis_tready=int(willing), **inputs)

            taken = bool(self.read("s_axis_tready")) and offered
            if taken and not begun:
                begun, started = True, self.cycle
            valid = self.read("m_axis_tvalid")
            if held is not None and not valid:
                raise Broken(f"m_axis_tvalid must stay until the beat is taken, and fell in cycle {self.cycle}")
            if valid:
                data, last, user = beat = self.read("m_axis_tdata"), self.read("m_axis_tlast"), self.read("m_axis_tuser")
                if held is not None and beat != held:
                    raise Broken(
                        f"payload must not change while the beat waits, and became {beat} from {held} in cycle {self.cycle}"
                    )
                held = None if willing else beat
                if willing and self.receive(data, last, user, ticks):
                    finished += 1
                    ended = self.cycle + 1
                    self.cycles.append(self.cycle - started + 1)
                    begun = False
            active = self.watch_layers()
            if decisions:
                active |= self.receive_result(deciding, ticks)
            if taken:
                ticks += beats[position][0] is None
                position += 1
                offered = False
            self.cycle += 1
            idle = 0 if taken or active or (valid and willing) else idle + 1
            if idle > PATIENCE:
                raise Broken(
                    f"something must move within {PATIENCE} cycles; timestep {len(self.output) - 1} of the run is not answered"
                )

    def expected_updates(self, samples: list[dict], index: int) -> list[tuple[int, int, int]]:
        """Return the updates of a layer over all samples: (neuron, spike, membrane), neurons ascending in each timestep."""
        updates = []
        for sample in samples:
            for addresses, membranes in zip(sample["spikes"][index], sample["membranes"][index], strict=True):
                fired = set(addresses)
                updates += [(neuron, int(neuron in fired), membrane) for neuron, membrane in enumerate(membranes)]
        return updates

    def check(self, samples: list[dict], *, cycles: bool, broken: str | None) -> dict[str, int | str]:
        """Count what differs, and describe the first difference: earliest sample, timestep, layer, neuron."""
        counts: dict[str, int | str] = dict.fromkeys(
            (
                "spike_words",
                "spike_mismatches",
                "membrane_words",
                "membrane_mismatches",
                "output_words",
                "output_mismatches",
                "cycle_counts",
                "cycle_mismatches",
            ),
            0,
        )
        counts |= {"samples": len(samples), "clock_cycles": self.cycle}
        first: tuple[int, int, int] | None = None  # timestep of the run, layer, neuron
        for index, layer in enumerate(self.vectors.layers):
            neurons = layer["neurons"]
            expected, got = self.expected_updates(samples, index), self.arranged(index)
            for number, (wanted, given) in enumerate(zip(expected, got + [None] * (len(expected) - len(got)), strict=False)):
                counts["spike_words"] += 1
                counts["membrane_words"] += 1
                if given == wanted:
                    continue
                counts["spike_mismatches"] += given is None or given[1] != wanted[1]
                counts["membrane_mismatches"] += given is None or given[2] != wanted[2]
                here = (number // neurons, index, number % neurons)
                first = here if first is None else min(first, here)
            if len(got) > len(expected) and broken is None:
                broken = f"layer {layer['name']!r} must store {len(expected)} states, not {len(got)}"
        wanted_output = [beats for sample in samples for beats in sample["output"]]
        counts["output_words"] = len(wanted_output) * self.vectors.outputs
        for step, addresses in enumerate(wanted_output):
            given_output = self.output[step] if step < len(self.output) else []
            counts["output_mismatches"] += len(set(addresses) ^ set(given_output))
            if given_output != addresses and broken is None and first is None:
                sample, step = divmod(step, self.vectors.steps)
                broken = f"timestep {step} of sample {sample} must give the events {addresses}, not {given_output}"
        if self.vectors.decides:
            counts["decisions"] = len(samples)
            wanted_results = [sample["result"] for sample in samples]
            counts["decision_mismatches"] = sum(
                wanted != given for wanted, given in zip_longest(wanted_results, self.results[: len(samples)])
            )
            if self.results != wanted_results and broken is None and first is None:
                broken = f"decisions must be {wanted_results}, not {self.results}"
        if cycles:
            counts["cycle_counts"] = len(samples)
            for number, sample in enumerate(samples):
                taken = self.cycles[number] if number < len(self.cycles) else 0
                counts["cycle_mismatches"] += taken != sample["cycles"]
                if taken != sample["cycles"] and broken is None and first is None:
                    broken = f"sample {number} must take {sample['cycles']} clock cycles, not {taken}"
        counts["failure"] = "\n".join(filter(None, [broken, self.describe(samples, first) if first else None]))
        return counts

    def arranged(self, index: int) -> list[tuple[int, int, int]]:
        """Return the updates of a layer with the neurons of each complete timestep in ascending order."""
        updates, neurons = self.updates[index], self.vectors.layers[index]["neurons"]
        return [update for start in range(0, len(updates), neurons) for update in sorted(updates[start : start + neurons])]

    def describe(self, samples: list[dict], first: tuple[int, int, int]) -> str:
        """Name the first differing word and show both traces of its neuron."""
        step, index, neuron = first
        layer = self.vectors.layers[index]
        sample, step = divmod(step, self.vectors.steps)
        base = sample * self.vectors.steps
        expected = self.expected_updates(samples, index)[neuron :: layer["neurons"]][base : base + self.vectors.steps]
        arranged = dict(enumerate(self.arranged(index)))
        got = [arranged.get((base + at) * layer["neurons"] + neuron) for at in range(self.vectors.steps)]
        given = got[step]
        word = "membrane" if given is None or given[2] != expected[step][2] else "spike"
        wanted = expected[step][2 if word == "membrane" else 1]
        lines = [
            f"layer {layer['name']!r}, neuron {neuron}, timestep {step} of sample {sample}: "
            f"{word} must be {wanted}, not {'missing' if given is None else given[2 if word == 'membrane' else 1]}"
        ]
        start = max(0, step - SHOWN_STEPS + 4)
        steps = range(start, min(self.vectors.steps, start + SHOWN_STEPS))

        def cell(update: tuple[int, int, int] | None, field: int) -> str:
            return "-" if update is None else str(update[field])

        rows = [
            ("timestep", [str(at) for at in steps]),
            ("membrane expected", [cell(expected[at], 2) for at in steps]),
            ("membrane got", [cell(got[at], 2) for at in steps]),
            ("spike expected", [cell(expected[at], 1) for at in steps]),
            ("spike got", [cell(got[at], 1) for at in steps]),
        ]
        widths = [max(len(values[column]) for _, values in rows) for column in range(len(steps))]
        lines += [
            f"  {title:<18}" + " ".join(f"{value:>{width}}" for value, width in zip(values, widths, strict=True))
            for title, values in rows
        ]
        return "\n".join(lines)


async def conduct(dut, name: str, *, isolated: bool, stalls: bool, interrupted: bool = False, most: int | None = None) -> None:
    """Run one test with at most `most` samples, record its counts, and fail when anything differs."""
    vectors = Vectors()
    rng = random.Random(f"{os.environ.get('SNNHW_SEED', '0')} {name}")
    bench = Bench(dut, vectors, rng if stalls else None)
    Clock(dut.aclk, 10, unit="ns", impl="gpi").start()
    samples, broken = vectors.samples[:most], None
    try:
        await bench.reset()
        if interrupted:
            # Anywhere between the second cycle of the first sample and its end; nothing of it counts.
            limit = rng.randrange(2, max(3, samples[0]["cycles"]))
            await bench.run(samples[:1], isolated=True, limit=limit)
            cocotb.log.info(f"reset in cycle {limit} of sample 0")
            bench = Bench(dut, vectors, rng if stalls else None)
            await bench.reset()
        await bench.run(samples, isolated=isolated)
    except Broken as error:
        broken = str(error)
    RESULTS[name] = counts = bench.check(samples, cycles=isolated and not stalls, broken=broken)
    Path(os.environ["SNNHW_RESULTS"]).write_text(json.dumps(RESULTS, indent=2) + "\n", encoding="utf-8")
    cocotb.log.info(
        f"{name}: {counts['samples']} samples, {counts['clock_cycles']} clock cycles, {counts['spike_words']} spike words, "
        f"{counts['membrane_words']} membrane words, {counts['cycle_counts']} cycle counts compared"
    )
    assert not counts["failure"], f"{name}\n{counts['failure']}"


@cocotb.test()
async def undisturbed(dut) -> None:
    """Each sample for itself, the source always ready to give and the sink to take: everything equal, cycles too."""
    await conduct(dut, "undisturbed", isolated=True, stalls=False)


@cocotb.test()
async def stalled(dut) -> None:
    """Samples without a gap, random pauses on both sides, events of a timestep in random order: the same words."""
    await conduct(dut, "stalled", isolated=False, stalls=True, most=STALLED_SAMPLES)


@cocotb.test()
async def interrupted(dut) -> None:
    """A reset in the middle of a sample leaves nothing behind."""
    await conduct(dut, "interrupted", isolated=True, stalls=False, interrupted=True, most=INTERRUPTED_SAMPLES)
