"""Number of cycles of a sample, exactly: of chains of cores by their schedule, of all others by :mod:`snnhw.plan.skeleton`.

The cores of a chain wait for each other only at the ends of tiles and of timesteps, so its schedule
follows those moments alone: for each tile a few maxima and sums, for all samples at once. Two parts of a
core move in lockstep and stop as a whole: the pipeline of the accumulators, while a finished tile finds the
shadow register taken, and the finaliser, while an event finds the next core's list closed. Each is a
:class:`_HaltingClock`.
"""

from collections.abc import Mapping

import numpy as np

from snnhw.plan.accesses import event_slots
from snnhw.plan.plan import LayerPlan, Plan
from snnhw.plan.queued import Queued
from snnhw.plan.skeleton import simulate_control
from snnhw.plan.stages import (
    ACCUMULATE_STAGES,
    INPUT_STAGES,
    OUTPUT_STAGES,
    WALK_STAGES,
    issue_stages,
    pause_slots,
    write_stage,
)
from snnhw.plan.synapses import Dense

__all__ = ["predict_cycles", "rest_cycles"]

REGISTERS = 3  # slots that a walking core keeps of its events
FAR = 1 << 62  # a tick that never comes


class _HaltingClock:
    """Clock that counts the cycles in which a pipeline moves: its ticks, against real cycles.

    Only the latest halts are kept; nothing is asked about the time before them. Every time is int64, (samples,).
    """

    def __init__(self, samples: int, memory: int):
        # A moment: its tick, and the halted cycles up to and before it.
        self._ticks = [np.zeros(samples, np.int64)] * memory
        self._halted = [np.zeros(samples, np.int64)] * memory

    def cycle(self, tick: np.ndarray) -> np.ndarray:
        """Return the cycle of a tick."""
        halted = self._halted[0]
        for moment, later in zip(self._ticks[1:], self._halted[1:], strict=True):
            halted = np.where(moment <= tick, later, halted)
        return tick + halted

    def tick(self, cycle: np.ndarray) -> np.ndarray:
        """Return the first tick that is not before a cycle."""
        result = cycle - self._halted[0]
        for moment, halted in zip(self._ticks[1:], self._halted[1:], strict=True):
            result = np.minimum(result, np.maximum(moment, cycle - halted))
        return result

    def expect(self) -> None:
        """Make room for one more halt, whose tick is not known yet."""
        self._ticks = [*self._ticks[1:], np.full_like(self._ticks[0], FAR)]
        self._halted = [*self._halted[1:], self._halted[-1]]

    def halt(self, tick: np.ndarray, until: np.ndarray, where: np.ndarray | bool = True) -> np.ndarray:
        """Halt before a tick until a cycle, for the samples `where` this is the expected halt; return the cycle of the tick."""
        cycle = np.maximum(self.cycle(tick), until)
        self._ticks[-1] = np.where(where, tick, self._ticks[-1])
        self._halted[-1] = np.where(where, cycle - tick, self._halted[-1])
        return cycle


class _Core:
    """Moments of one core, in cycles since the first transfer into the accelerator.

    Attributes
    ----------
    handed : int64 array, (samples,)
        The list of the newest timestep is handed to the reader; -1 before the first.
    """

    layer: LayerPlan
    handed: np.ndarray

    def step(self, ticked: np.ndarray, train: np.ndarray, first_spike: np.ndarray, ready: np.ndarray) -> np.ndarray:
        """Follow one timestep, and return the cycle in which its tick leaves the core.

        Every argument and the result but one are int64, (samples,).

        Parameters
        ----------
        ticked : int64 array
            Cycle in which its tick enters the core.
        train : bool array, (samples, inputs)
            Its events; they come in ascending order.
        first_spike : int64 array
            First neuron that fires, or the number of neurons.
        ready : int64 array
            First cycle in which its first output can be transferred.
        """
        raise NotImplementedError


class _DenseCore(_Core):
    """Moments of an output-stationary core."""

    def __init__(self, layer: LayerPlan, samples: int):
        self.layer = layer
        never = np.full(samples, -1, np.int64)
        self.handed = never
        self._finished = never  # the last slot of the newest timestep is issued: its cycle,
        self._issued = never  # and its tick
        self._taken = never  # the last neuron of the newest tile is taken: its cycle,
        self._free = never + 1  # and the tick from which the next neuron may be
        # A tile is loaded 4 ticks after its last slot is issued, and behind it come the last slots of up to 4 tiles.
        self._accumulators = _HaltingClock(samples, ACCUMULATE_STAGES + 2)
        # One halt per timestep, before its first output, and at most 3 timesteps in the pipeline.
        self._finaliser = _HaltingClock(samples, 4)

    def step(self, ticked: np.ndarray, train: np.ndarray, first_spike: np.ndarray, ready: np.ndarray) -> np.ndarray:
        layer, accumulators, finaliser = self.layer, self._accumulators, self._finaliser
        output_stage = write_stage(layer) + 1
        slots = event_slots(layer, train)
        self.handed = np.maximum(ticked, self._finished)
        self._issued = accumulators.tick(self.handed + issue_stages(layer)) - 1
        finaliser.expect()
        for tile in range(layer.tiles):
            self._issued = self._issued + slots
            finished = accumulators.cycle(self._issued)
            accumulators.expect()
            loaded = accumulators.halt(self._issued + ACCUMULATE_STAGES, self._taken)
            neuron = tile * layer.lanes
            neurons = min(layer.lanes, layer.outputs - neuron)
            first = np.maximum(self._free, finaliser.tick(loaded + 1))
            within = (first_spike >= neuron) & (first_spike < neuron + neurons)
            finaliser.halt(first + (first_spike - neuron) + output_stage, ready, within)
            self._free = first + neurons
            self._taken = finaliser.cycle(self._free - 1)
        self._finished = finished
        tick = self._free + output_stage
        finaliser.halt(tick, ready, first_spike == layer.outputs)
        left = finaliser.cycle(tick)
        self._free = self._free + pause_slots(layer)
        return left


class _CurrentsCore(_Core):
    """Moments of a core whose sums are handed over from currents in two halves, a timestep at a time."""

    def __init__(self, layer: LayerPlan, samples: int):
        self.layer = layer
        never = np.full(samples, -1, np.int64)
        self.handed = self._issued = never  # the latter: the last slot of the newest timestep is issued
        # The last sums of the newest timestep, and of the one before, are taken.
        self._taken, self._taken_before = never, never
        self._free = never + 1  # the tick from which the next neuron may be
        self._finaliser = _HaltingClock(samples, 4)

    def _hand_over(self, end: np.ndarray, first_spike: np.ndarray, ready: np.ndarray) -> np.ndarray:
        """Follow the sums of a timestep whose last word is issued in cycle `end`; return the cycle in which its tick leaves."""
        layer, finaliser = self.layer, self._finaliser
        output_stage = write_stage(layer) + 1
        finaliser.expect()
        begun = np.maximum(end + WALK_STAGES, self._taken)
        start = np.maximum(self._free, finaliser.tick(begun + 2))
        finaliser.halt(start + first_spike + output_stage, ready, first_spike < layer.outputs)
        self._free = start + layer.outputs
        self._taken_before, self._taken = self._taken, finaliser.cycle(self._free - 1)
        tick = self._free + output_stage
        finaliser.halt(tick, ready, first_spike == layer.outputs)
        left = finaliser.cycle(tick)
        self._free = self._free + pause_slots(layer)
        return left


class _WalkingCore(_CurrentsCore):
    """Moments of a core that walks lists.

    The slots of its events follow each other through three registers (slot, stage 0, stage 1) that move together, whenever
    stage 1 is empty or done. So what is handed over moves in the cycles in which none of the latest slots has words left.
    """

    def __init__(self, layer: LayerPlan, samples: int):
        super().__init__(layer, samples)
        assert not isinstance(layer.synapses, Dense)
        self._lengths = np.maximum(layer.synapses.list_lengths(), 1)
        # The latest three slots: the cycles of their first and of their last word, the oldest first.
        self._slots = [(self.handed, self.handed)] * REGISTERS

    def _moves(self, cycle: np.ndarray) -> np.ndarray:
        """Return the first cycle, not before `cycle`, in which the registers move."""
        for begin, end in self._slots:
            cycle = np.where((begin <= cycle) & (cycle < end), end, cycle)
        return cycle

    def step(self, ticked: np.ndarray, train: np.ndarray, first_spike: np.ndarray, ready: np.ndarray) -> np.ndarray:
        events = train.sum(axis=1, dtype=np.int64)
        slots = np.maximum(events, 1)
        work = np.where(events > 0, train @ self._lengths, 1)
        last = self._last_lengths(train)  # of the last slots, the last one first; those that are not there are 0

        self.handed = np.maximum(ticked, self._issued)
        moves = [self._moves(self.handed + 1)]  # of the first slot: into the slot register, stage 0, stage 1
        for _ in range(REGISTERS - 1):
            moves.append(self._moves(moves[-1] + 1))
        first = np.maximum(moves[-1] + 1, self._taken_before + 1)  # its first word
        end = first + work - 1
        ends = [end]  # of the last slots, the last one first
        for length in last[:-1]:
            ends.append(ends[-1] - length)
        begins = [np.where(slots == place + 1, moves[-1] + 1, stop - length + 1)
                  for place, (stop, length) in enumerate(zip(ends, last, strict=True))]
        new = list(zip(begins, ends, strict=True))
        # Where a timestep has fewer slots than there are registers, those of the one before are still the latest.
        for place in range(1, REGISTERS):
            for index in range(2):
                older = np.choose(np.minimum(place - slots, REGISTERS - 1).clip(0), [slot[index] for slot in self._slots[::-1]])
                pair = list(new[place])
                pair[index] = np.where(slots > place, pair[index], older)
                new[place] = (pair[0], pair[1])
        self._slots = new[::-1]
        # The last slot is issued when the one three before it is done.
        self._issued = np.where(slots <= REGISTERS, np.choose(np.minimum(slots, REGISTERS) - 1, moves), ends[-1] - last[-1])

        return self._hand_over(end, first_spike, ready)

    def _last_lengths(self, train: np.ndarray) -> list[np.ndarray]:
        """Return the cycles of the last slots of a timestep, the last one first; 0 of those that are not there."""
        rest, found = train, []
        for place in range(REGISTERS):
            there = rest.any(axis=1)
            address = rest.shape[1] - 1 - rest[:, ::-1].argmax(axis=1)
            found.append(np.where(there, self._lengths[address], 1 if place == 0 else 0))
            rest = rest.copy()
            rest[np.arange(len(rest)), address] = False
        return found


class _QueuedCore(_CurrentsCore):
    """Moments of a core whose lanes run ahead of each other.

    An event goes through two registers, slot and found, which move together unless the event that is found finds a queue full.
    It then enters the queues of the lanes where it has weights, the last of a timestep those of all; a lane loads it in a later
    cycle, when its last word before is issued, and issues a word in each cycle from the next on.
    """

    def __init__(self, layer: LayerPlan, samples: int):
        super().__init__(layer, samples)
        assert isinstance(layer.synapses, Queued)
        self._lengths = layer.synapses.lengths
        # The latest two events: when each was found, and when it left into the queues, the oldest first.
        self._stalls = [(self.handed, self.handed)] * 2
        # When the latest of each lane were loaded, the oldest first.
        self._loaded = np.full((samples, layer.lanes, layer.synapses.queue), -1, np.int64)
        self._done = np.full((samples, layer.lanes), -1, np.int64)  # its last word is issued

    def _moves(self, cycle: np.ndarray) -> np.ndarray:
        """Return the first cycle, not before `cycle`, in which the registers move."""
        for found, left in self._stalls:
            cycle = np.where((found <= cycle) & (cycle < left), left, cycle)
        return cycle

    def _pass(self, earliest: np.ndarray, lengths: np.ndarray, ends: np.ndarray, there: np.ndarray) -> None:
        """Follow an event; `lengths` are its weights in each lane, (samples, lanes); it `ends` a timestep, or is not `there`."""
        issued = self._moves(np.maximum(self._issued + 1, earliest))
        found = self._moves(issued + 1) + 1
        left = np.maximum(found, self._loaded[:, :, 0].max(axis=1) + 1)
        self._issued = np.where(there, issued, self._issued)
        self._stalls = [(np.where(there, new[0], old[0]), np.where(there, new[1], old[1]))
                        for new, old in zip((self._stalls[1], (found, left)), self._stalls, strict=True)]
        enters = there[:, None] & ((lengths > 0) | ends[:, None])
        loaded = np.maximum(left[:, None] + 1, self._done)
        begun = np.maximum(loaded + 1, self._taken_before[:, None] + 1)
        self._done = np.where(enters, begun + np.maximum(lengths, 1) - 1, self._done)
        self._loaded = np.where(enters[:, :, None], np.concatenate([self._loaded[:, :, 1:], loaded[:, :, None]], axis=2),
                                self._loaded)

    def step(self, ticked: np.ndarray, train: np.ndarray, first_spike: np.ndarray, ready: np.ndarray) -> np.ndarray:
        self.handed = np.maximum(ticked, self._issued)
        count = train.sum(axis=1)
        order = np.argsort(~train, axis=1, kind="stable")
        earliest = self.handed + 1
        for place in range(max(1, int(count.max()))):
            lengths = np.where((place < count)[:, None], self._lengths[order[:, place]], 0)
            self._pass(earliest, lengths, place == np.maximum(count, 1) - 1, place < np.maximum(count, 1))
        end = self._done.max(axis=1)

        return self._hand_over(end, first_spike, ready)


def _core(layer: LayerPlan, samples: int) -> _Core:
    kinds = {Dense: _DenseCore, Queued: _QueuedCore}
    return kinds.get(type(layer.synapses), _WalkingCore)(layer, samples)


def _follow_chain(plan: Plan, trains: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the cycles of each sample of a chain of cores: int64, (samples,)."""
    source = np.asarray(trains[plan.graph.input.name])
    samples, timesteps, _ = source.shape
    cores = [_core(layer, samples) for layer in plan.layers]
    inputs = [source != 0, *(np.asarray(trains[layer.name]) != 0 for layer in plan.layers)]
    # A layer that hands on its states has an event for each neuron.
    firsts = [np.where(train.any(axis=2), train.argmax(axis=2), train.shape[2]) if layer.spec.output != "state" else
              np.zeros(train.shape[:2], np.int64) for layer, train in zip(plan.layers, inputs[1:], strict=True)]
    always = np.zeros(samples, np.int64)
    moment = always
    for t in range(timesteps):
        # The source is never late: the first event is there as soon as the list is open.
        moment = np.maximum(cores[0].handed + 1, INPUT_STAGES) + inputs[0][:, t].sum(axis=1)
        for index, core in enumerate(cores):
            ready = cores[index + 1].handed + 1 if index + 1 < len(cores) else always
            moment = core.step(moment, inputs[index][:, t], firsts[index][:, t], ready)
    return moment + OUTPUT_STAGES + 1


def predict_cycles(plan: Plan, trains: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the exact number of clock cycles of each sample, when each is run alone.

    They are counted from the first transfer into the accelerator to the transfer of the last tick out of it, both included,
    with a source that always has an event, in ascending order, and a sink that always takes one. A sample may begin in the cycle
    after the last tick of the one before has left; where :attr:`Plan.lags`, after as many more as :func:`rest_cycles` tells.

    Parameters
    ----------
    plan : Plan
        The accelerator.
    trains : mapping of str to array, (samples, timesteps, neurons)
        Spikes of the input and of every core, by name: ``Trace.spikes`` of the reference.

    Returns
    -------
    int64 array, (samples,)
    """
    return _follow_chain(plan, trains) if plan.chained else simulate_control(plan, trains).cycles


def rest_cycles(plan: Plan, trains: Mapping[str, np.ndarray]) -> int:
    """Return the most cycles that pass behind the last tick of a sample until the accelerator is at rest.

    The arguments are those of :func:`predict_cycles`.
    """
    return int(simulate_control(plan, trains).rests.max(initial=0)) if plan.lags else 0
