"""Exact number of cycles of any plan: its control, without its data, cycle by cycle but for those in which nothing changes.

Cores give events to each other through forks, merges and queues, and each may hold up the others at every event, so there is
no formula: the control is simulated, one sample after another. What a core gives is known from the reference; when it gives
it, follows from a few moments. A core's accumulators, and its finaliser, are pipelines that stop as a whole, and each has a
clock that stops with it: in the *ticks* of that clock all is known ahead, and a halt only moves them against real cycles. So a
cycle is looked at only if something moved in the one before, or a core wakes: an event is on offer, a tile is finished, a list
is done, sums are ready, or the last of them is taken. Within a cycle offers come first, since all of them are from registers;
then merges choose, forks and consumers take, which depends on registers too; then queues, the input and the cores go on.

The names are those of :mod:`rtl_gen`: ``events``, ``accumulator``, ``walker``, ``currents``, ``finaliser`` and ``routing``.

What a core does in each cycle follows from the same moments: see :class:`Occupancy`.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snnhw.plan.plan import BITMAP_BITS, LayerPlan, Plan
from snnhw.plan.queued import Queued
from snnhw.plan.stages import ACCUMULATE_STAGES, OUTPUT_STAGES, WALK_STAGES, issue_stages, pause_slots, write_stage
from snnhw.plan.synapses import Dense

__all__ = ["Occupancy", "Schedule", "simulate_control"]

NEVER = 1 << 62
TICK = -1  # the address of a tick
FREE = 2  # timesteps behind in the currents, with which no third may begin

Event = tuple[int, bool]
"""Address, and whether its timestep is the last of a sample."""

Span = tuple[int, int]
"""First cycle, and the one after the last."""


@dataclass(frozen=True)
class Occupancy:
    """What a core did in the cycles of each sample, from the first transfer into the accelerator to the last tick out of it.

    Every cycle is busy, stalled or idle. Each array is int64, (samples,).

    Attributes
    ----------
    adders_waiting : int64 array
        Cycles in which the adders had something to add, and waited for sums of theirs to be taken; where lanes have queues, of
        all lanes together.
    output_waiting : int64 array
        Cycles in which an event or a tick was on offer and was not taken.
    busy : int64 array
        Cycles in which something was added or a neuron was updated.
    stalled : int64 array
        Other cycles in which the adders or the output waited.
    idle : int64 array
        All other cycles.
    """

    adders_waiting: np.ndarray
    output_waiting: np.ndarray
    busy: np.ndarray
    stalled: np.ndarray
    idle: np.ndarray


@dataclass(frozen=True)
class Schedule:
    """When things happen in an accelerator.

    Attributes
    ----------
    cycles : int64 array, (samples,)
        Cycles of each sample.
    rests : int64 array, (samples,)
        Cycles that follow its last tick until all is at rest.
    entered : int64 array, (cores, samples)
        Events that enter the queues of the lanes of each core; 0 of a core without.
    cores : tuple of Occupancy
        What each core does; empty if they were not watched.
    """

    cycles: np.ndarray
    rests: np.ndarray
    entered: np.ndarray
    cores: tuple[Occupancy, ...] = ()


class _Clock:
    """The clock of a pipeline that stops as a whole: of a sample, in which ticks something happens, and where the clock halts."""

    def __init__(self) -> None:
        self.spans: list[Span] = []  # in ticks
        self.halts: list[tuple[int, int]] = []  # before which tick, for how many cycles
        self.late = 0  # cycles of all halts of earlier samples

    def restart(self) -> None:
        """Begin a sample."""
        self.late += sum(length for _, length in self.halts)
        self.spans, self.halts = [], []

    def cycles(self) -> tuple[list[Span], list[Span]]:
        """Return the cycles in which something happens, and those in which the clock halts."""
        running, halted, late = [], [], self.late
        spans = deque(self.spans)
        for tick, length in (*self.halts, (NEVER, 0)):
            while spans and spans[0][0] < tick:
                first, end = spans.popleft()
                running.append((first + late, min(end, tick) + late))
                if end > tick:
                    spans.appendleft((tick, end))
            halted.append((tick + late, tick + late + length))
            late += length
        return running, halted[:-1]


def _covered(spans: Sequence[Span], first: int, cycles: int) -> np.ndarray:
    """Return how many of some spans have each cycle of a sample that begins with `first`: int64, (cycles,)."""
    changes = np.zeros(cycles + 1, np.int64)
    if spans:
        bounds = np.clip(np.asarray(spans, np.int64) - first, 0, cycles)
        np.add.at(changes, bounds[:, 0], 1)
        np.add.at(changes, bounds[:, 1], -1)
    return np.cumsum(changes[:-1])


class _Producer:
    """What gives events: a register that holds one on offer until all who take from it have done so.

    Attributes
    ----------
    offered : int
        Cycle from which the next event is on offer.
    events : deque of (int, Event)
        What will be on offer, with the tick from which each is.
    ends : list of _End
        Who takes them.
    taken : list of bool
        Who has taken the one on offer.
    """

    def __init__(self) -> None:
        self.offered = NEVER
        self.events: deque[tuple[int, Event]] = deque()
        self.ends: list[_End] = []
        self.taken: list[bool] = []

    def give(self) -> bool:
        """Give the event on offer to those who are ready; return whether somebody has taken it. With the last it is gone."""
        event, taken = self.events[0][1], self.taken
        moved = False
        for index, end in enumerate(self.ends):
            if not taken[index] and end.ready():
                end.take(event)
                taken[index] = moved = True
        if moved and all(taken):
            self.events.popleft()
            self.offered = NEVER
            self.taken = [False] * len(taken)
        return moved


class _End:
    """One who takes events of a producer."""

    def ready(self) -> bool:
        """Return whether an event is taken in this cycle."""
        raise NotImplementedError

    def take(self, event: Event) -> None:
        """Take an event."""
        raise NotImplementedError


class _Sink(_End):
    """Output of the accelerator, always ready.

    Attributes
    ----------
    ended : bool
        The last tick of a sample was taken.
    """

    def __init__(self) -> None:
        self.ended = False

    def ready(self) -> bool:
        return True

    def take(self, event: Event) -> None:
        if event == (TICK, True):
            self.ended = True


class _Core(_Producer, _End):
    """A core: its event list and its finaliser.

    Attributes
    ----------
    script : deque of (list of int, bool)
        For each timestep to come, the addresses of the events that leave, and whether it is the last of a sample.
    wake : int
        Next cycle in which something changes by itself.
    closed : bool
        The list is complete and waits for its reader.
    ticked : bool
        It is completed in this cycle.
    entered : int
        Events that have entered queues of lanes, of all samples.
    """

    def __init__(self, layer: LayerPlan):
        super().__init__()
        self.entered = 0
        self.script: deque[tuple[list[int], bool]] = deque()
        self.wake, self.closed, self.ticked = NEVER, False, False
        self.reading = False
        self._outputs, self._pause = layer.outputs, pause_slots(layer)
        self._stages = write_stage(layer) + 1
        self._each = layer.outputs if layer.scattered else layer.lanes  # neurons that are handed over at a time
        self._late, self._halted = 0, NEVER  # of the finaliser: cycles in which it stood still; since when it does
        self._free = 0  # tick from which the next neuron may be taken
        self._neuron = 0
        self._sums = NEVER  # cycle from which there are sums
        self._taking = NEVER  # tick in which the last of them is taken
        self._updates = _Clock()  # of the finaliser

    def restart(self) -> None:
        """Begin a sample, for :meth:`occupancy`."""
        self._updates.restart()

    def occupancy(self, first: int, cycles: int) -> tuple[int, int, int, int]:
        """Return the waiting cycles of the adders and of the output, and the busy and the stalled ones of a sample."""
        added, waited = self._adders()
        updated, held = self._updates.cycles()
        busy = _covered([*added, *updated], first, cycles) > 0
        adders, output = _covered(waited, first, cycles), _covered(held, first, cycles)
        return (int(adders.sum()), int(output.sum()), int(busy.sum()), int(np.count_nonzero(~busy & (adders + output > 0))))

    def _adders(self) -> tuple[list[Span], list[Span]]:
        """Return the cycles of a sample in which something is added, and those in which adders wait, once for each that does."""
        raise NotImplementedError

    def ready(self) -> bool:
        return not self.closed

    def awake(self, cycle: int) -> bool:
        """Return whether something changes in a cycle, in which offers were taken already."""
        return self.wake <= cycle or self.ticked or (self._halted != NEVER and self.offered == NEVER)

    def step(self, cycle: int) -> bool:
        """Go on by a cycle; return whether the list opens."""
        run = self.offered > cycle
        if not run:
            if self._halted == NEVER:
                self._halted = cycle
            tick = self._halted - self._late
        else:
            if self._halted != NEVER:
                self._updates.halts.append((self._halted - self._late, cycle - self._halted))
                self._late += cycle - self._halted
                self._halted = NEVER
            tick = cycle - self._late
        if cycle == self._sums:
            self._begin(tick)
        taken = run and tick == self._taking
        if taken:
            self._taking = NEVER
        finished, wake = self._add(cycle, taken)
        opens = False
        if (self.ticked or self.closed) and (not self.reading or finished):
            opens, self.closed, self.reading = self.closed, False, True
            wake = min(wake, self._hand_over(cycle))
        else:
            if self.ticked:
                self.closed = True
            if finished:
                self.reading = False
        self.ticked = False
        wake = min(wake, self._sums)
        if run:
            self.offered = self.events[0][0] + self._late if self.events else NEVER
            wake = min(wake, self.offered, self._taking + self._late)
        self.wake = wake
        return opens

    def _begin(self, tick: int) -> None:
        """Plan when the sums that are there are taken, and when what comes of them leaves."""
        self._sums = NEVER
        fires, last = self.script[0]
        neuron, first = self._neuron, max(self._free, tick)
        after = min(neuron + self._each, self._outputs)
        # Those before have left it.
        while fires and fires[-1] < after:
            address = fires.pop()
            self.events.append((first + address - neuron + self._stages, (address, last)))
        self._free = first + after - neuron
        self._taking = self._free - 1
        self._updates.spans.append((first, self._free))
        if after == self._outputs:
            self.events.append((self._free + self._stages, (TICK, last)))
            self._free += self._pause
            self.script.popleft()
            after = 0
        self._neuron = after

    def _add(self, cycle: int, taken: bool) -> tuple[bool, int]:
        """Go on with the weighted sums; return whether the reader finishes its list, and the next cycle of interest."""
        raise NotImplementedError

    def _hand_over(self, cycle: int) -> int:
        """Hand the list over to the reader; return the next cycle of interest."""
        raise NotImplementedError


class _DenseCore(_Core):
    """Accumulators: tiles finish at ticks of their clock, which stands still while the shadow register is taken."""

    def __init__(self, layer: LayerPlan):
        super().__init__(layer)
        self._tiles = layer.tiles
        self._wait = issue_stages(layer)
        self._words = -(-layer.inputs // BITMAP_BITS) if layer.events == "bitmap" else 0
        self._events = 0  # that are kept
        self._filled_words: set[int] = set()  # of a bitmap, those with events
        self._slots = 0  # for each tile
        self._first = NEVER  # cycle from which they are issued
        self._filled = False  # the shadow register is
        self._loads: deque[int] = deque()  # ticks in which tiles are finished
        self._last = NEVER  # tick of the last slot of the list
        self._slow, self._blocked = 0, NEVER  # of the accumulators: cycles in which they stood still; since when they do
        self._additions = _Clock()  # of the accumulators

    def restart(self) -> None:
        super().restart()
        self._additions.restart()

    def _adders(self) -> tuple[list[Span], list[Span]]:
        return self._additions.cycles()

    def take(self, event: Event) -> None:
        if event[0] == TICK:
            self.ticked = True
        else:
            self._events += 1
            if self._words:
                self._filled_words.add(event[0] // BITMAP_BITS)

    def _add(self, cycle: int, taken: bool) -> tuple[bool, int]:
        if self._blocked != NEVER and taken:
            self._additions.halts.append((self._blocked - self._slow, cycle - self._blocked))
            self._slow += cycle - self._blocked
            self._blocked = NEVER
        tick = min(cycle, self._blocked) - self._slow
        loads = self._loads
        if cycle == self._first:
            self._first = NEVER
            end = tick + self._tiles * self._slots
            loads.extend(range(tick + self._slots - 1 + ACCUMULATE_STAGES, end + ACCUMULATE_STAGES, self._slots))
            self._last = end - 1
            self._additions.spans.append((tick + ACCUMULATE_STAGES, end + ACCUMULATE_STAGES))
        if self._blocked != NEVER:
            return False, self._first
        if loads and loads[0] == tick:
            if self._filled and not taken:
                self._blocked = cycle
                return False, self._first
            loads.popleft()
            self._filled, self._sums = True, cycle + 1
        elif taken:
            self._filled = False
        finished = tick == self._last
        if finished:
            self._last = NEVER
        return finished, min(self._first, min(loads[0] if loads else NEVER, self._last) + self._slow)

    def _hand_over(self, cycle: int) -> int:
        # A word of a bitmap without events has a slot too, but if there are none at all.
        self._slots = self._events + self._words - len(self._filled_words) if self._events else 1
        self._events = 0
        self._filled_words.clear()
        self._first = cycle + self._wait
        return self._first


class _WalkingCore(_Core):
    """Walker: slots of a cycle for each word move through three registers; sums of whole timesteps are handed over."""

    def __init__(self, layer: LayerPlan):
        super().__init__(layer)
        assert not isinstance(layer.synapses, Dense)
        self._lengths: list[int] = np.maximum(layer.synapses.list_lengths(), 1).tolist()
        self._words: list[int] = layer.synapses.added_words().tolist()
        self._list: list[int] = []  # addresses of the events, the newest last
        self._slots: deque[int] = deque()  # of the list that is read: cycles of each event
        # The slot, stage 0 and stage 1: cycles; 0 without one. The last slot of a timestep is negative.
        self._slot = self._found = self._walked = 0
        self._done = NEVER  # cycle of the last word in stage 1
        self._behind = 0  # timesteps that are over, and whose sums are not all taken
        self._ends: deque[int] = deque()  # cycles in which they are in the currents
        self._sweeping = False
        self._added: deque[int] = deque()  # words that the slots add whose first is not issued yet
        self._present = NEVER  # cycle from which there is a slot in stage 1
        self._spans: tuple[list[Span], list[Span]] = [], []

    def restart(self) -> None:
        super().restart()
        self._spans = [], []

    def _adders(self) -> tuple[list[Span], list[Span]]:
        return self._spans

    def take(self, event: Event) -> None:
        if event[0] == TICK:
            self.ticked = True
        else:
            self._list.append(event[0])

    def _add(self, cycle: int, taken: bool) -> tuple[bool, int]:
        finished, closes = False, False
        if not self._walked or cycle == self._done:
            closes = self._walked < 0
            self._walked, self._found, self._slot, self._done = self._found, self._slot, 0, NEVER
            self._present = cycle + 1
            if self.reading:
                length = self._slots.popleft()
                finished = not self._slots
                self._slot = -length if finished else length
        if self._ends and self._ends[0] <= cycle and (taken or not self._sweeping):
            self._ends.popleft()
            self._sweeping, self._sums = True, cycle + 2
        elif taken:
            self._sweeping = False
        if closes:
            self._ends.append(cycle + WALK_STAGES)
        self._behind += closes - taken
        if self._walked and self._done == NEVER and self._behind < FREE:
            self._done = cycle + abs(self._walked)
            added, waited = self._spans
            if self._present <= cycle:
                waited.append((self._present, cycle + 1))
            end = self._done + WALK_STAGES + 1
            added.append((end - self._added.popleft(), end))
        wake = self._done
        if not self._walked and (self._found or self._slot or (self.reading and not finished)):
            wake = cycle + 1
        if self._ends and not self._sweeping:
            wake = min(wake, self._ends[0])
        return finished, wake

    def _hand_over(self, cycle: int) -> int:
        self._slots = deque([self._lengths[address] for address in self._list] or [1])
        self._added.extend([self._words[address] for address in self._list] or [0])
        self._list = []
        return NEVER if self._walked else cycle + 1


class _QueuedCore(_Core):
    """Lanes behind queues of events, cycle by cycle."""

    def __init__(self, layer: LayerPlan):
        super().__init__(layer)
        assert isinstance(layer.synapses, Queued)
        self._lengths: list[list[int]] = layer.synapses.lengths.tolist()
        self._depth = layer.synapses.queue
        self._none = [0] * layer.lanes
        self._list: list[int] = []  # addresses of the events, the newest last
        # Of the list that is read: words in each lane, and whether it is the last.
        self._slots: deque[tuple[list[int], bool]] = deque()
        self._slot: tuple[list[int], bool] | None = None
        self._found: tuple[list[int], bool] | None = None
        # Of each lane.
        self._queues: list[deque[tuple[int, bool]]] = [deque() for _ in self._none]
        self._walked: list[tuple[int, bool] | None] = [None] * layer.lanes
        self._behind = [0] * layer.lanes  # timesteps that are over, and whose sums are not all taken
        self._ends: list[deque[int]] = [deque() for _ in self._none]  # cycles in which they are in the currents
        self._sweeping = False
        self._spans: tuple[list[Span], list[Span]] = [], []

    def restart(self) -> None:
        super().restart()
        self._spans = [], []

    def _adders(self) -> tuple[list[Span], list[Span]]:
        return self._spans

    def take(self, event: Event) -> None:
        if event[0] == TICK:
            self.ticked = True
        else:
            self._list.append(event[0])

    def _add(self, cycle: int, taken: bool) -> tuple[bool, int]:
        found, finished = self._found, False
        room = all(len(queue) < self._depth for queue in self._queues)
        added, waited = self._spans
        adds = False
        # Lanes first: an event that enters a queue in this cycle is seen in the next.
        for lane, queue in enumerate(self._queues):
            walked = self._walked[lane]
            if walked is not None:
                left, ends = walked
                if self._behind[lane] >= FREE:
                    waited.append((cycle, cycle + 1))
                    continue
                adds |= left > 0
                if left > 1:
                    self._walked[lane] = left - 1, ends
                    continue
                if ends:
                    self._ends[lane].append(cycle + WALK_STAGES)
                    self._behind[lane] += 1
            self._walked[lane] = queue.popleft() if queue else None
        if adds:
            added.append((cycle + WALK_STAGES, cycle + WALK_STAGES + 1))
        if found is None or room:
            if found is not None:
                words, ends = found
                for queue, count in zip(self._queues, words, strict=True):
                    if count or ends:
                        queue.append((count, ends))
                        self.entered += 1
            self._found, self._slot = self._slot, None
            if self.reading:
                self._slot = self._slots.popleft()
                finished = not self._slots
        over = max((ends[0] if ends else NEVER) for ends in self._ends)
        if over <= cycle and (taken or not self._sweeping):
            for ends_of_lane in self._ends:
                ends_of_lane.popleft()
            self._sweeping, self._sums = True, cycle + 2
        elif taken:
            self._sweeping = False
        if taken:
            self._behind = [behind - 1 for behind in self._behind]
        busy = (self._found is not None or self._slot is not None or (self.reading and not finished)
                or any(self._queues) or any(walked is not None for walked in self._walked))
        wake = cycle + 1 if busy else NEVER
        if not self._sweeping:
            wake = min(wake, max((ends[0] if ends else NEVER) for ends in self._ends))
        return finished, wake

    def _hand_over(self, cycle: int) -> int:
        count = len(self._list)
        self._slots = deque((self._lengths[address], place == count - 1) for place, address in enumerate(self._list))
        if not count:
            self._slots.append((self._none, True))
        self._list = []
        return cycle + 1


class _Queue(_End):
    """Queue of a stream: what is written in a cycle is on offer two cycles later at the earliest.

    Attributes
    ----------
    offer : Event or None
        On offer.
    """

    def __init__(self, depth: int):
        self.offer: Event | None = None
        self._room = depth - 1
        self._inside: deque[Event] = deque()
        self._written: Event | None = None

    def ready(self) -> bool:
        return len(self._inside) != self._room

    def take(self, event: Event) -> None:
        self._written = event

    def step(self, read: bool) -> bool:
        """Go on by a cycle, in which the event on offer is taken or not; return whether anything has moved."""
        moved = read or self._written is not None
        if read:
            self.offer = None
        if self.offer is None and self._inside:
            self.offer, moved = self._inside.popleft(), True
        if self._written is not None:
            self._inside.append(self._written)
            self._written = None
        return moved


class _Entry(_End):
    """A source of a merge.

    Attributes
    ----------
    offer : Event or None
        On offer in this cycle.
    chosen : bool
        It is taken in this cycle.
    """

    def __init__(self, offset: int, delayed: bool):
        self.offset, self.delayed = offset, delayed
        self.queue: _Queue | None = None
        self.offer: Event | None = None
        self.chosen = False
        self.ticked = delayed

    def ready(self) -> bool:
        return self.chosen

    def take(self, event: Event) -> None:
        """The merge has handed it on already."""


class _Merge:
    """Several sources of a core."""

    def __init__(self, entries: Sequence[_Entry], core: _Core):
        self.entries, self.core = entries, core
        self._waiting = -1  # the entry whose event has been on offer to the core

    def step(self) -> bool:
        """Choose whose event is taken in this cycle, and hand it on; return whether anything has moved."""
        core, waiting = self.core, self._waiting
        self._waiting = -1
        for entry in self.entries:
            entry.chosen = False
            if entry.queue is not None:
                entry.offer = entry.queue.offer
        if all(entry.ticked for entry in self.entries):
            if core.closed:
                return False
            core.take((TICK, False))
            for entry in self.entries:
                entry.ticked = False
            return True
        for index, entry in enumerate(self.entries):
            if entry.offer is not None and not entry.ticked and index >= waiting:
                address, last = entry.offer
                if address == TICK:
                    entry.ticked = True
                elif not (entry.delayed and last):
                    if core.closed:
                        self._waiting = index
                        return False
                    core.take((address + entry.offset, False))
                entry.chosen = True
                return True
        return False


class _Skeleton:
    """Control of an accelerator, after a reset."""

    def __init__(self, plan: Plan):
        self.source = _Producer()
        kinds: dict[type, type[_Core]] = {Dense: _DenseCore, Queued: _QueuedCore}
        self.cores = [kinds.get(type(layer.synapses), _WalkingCore)(layer) for layer in plan.layers]
        self.sink = _Sink()
        self.merges: list[_Merge] = []
        self.queues: list[tuple[_Queue, _Entry]] = []
        self.producers: list[_Producer] = [self.source, *self.cores]
        # Ends that are entries of merges: producer, place among its ends, entry.
        self.entries: list[tuple[_Producer, int, _Entry]] = []
        for core, layer in zip(self.cores, plan.layers, strict=True):
            if not layer.merged:
                self._join(layer.sources[0].core, core)
                continue
            entries = []
            for given in layer.sources:
                entry = _Entry(given.offset, given.delayed)
                entries.append(entry)
                if given.queue:
                    entry.queue = _Queue(given.queue)
                    self.queues.append((entry.queue, entry))
                    self._join(given.core, entry.queue)
                else:
                    producer = self._producer(given.core)
                    self.entries.append((producer, len(producer.ends), entry))
                    self._join(given.core, entry)
            self.merges.append(_Merge(entries, core))
        self._join(plan.output, self.sink)
        self._cycle = 0

    def _producer(self, core: int | None) -> _Producer:
        return self.source if core is None else self.cores[core]

    def _join(self, core: int | None, end: _End) -> None:
        producer = self._producer(core)
        producer.ends.append(end)
        producer.taken.append(False)

    def run(self, beats: deque[Event], watch: bool) -> tuple[int, int, list[tuple[int, int, int, int]]]:
        """Send the beats of a sample; return its cycles, and those that follow until nothing moves any more.

        And, to `watch` them, what each core does, see :meth:`_Core.occupancy`.
        """
        source, sink, cores, merges = self.source, self.sink, self.cores, self.merges
        cycle = first = self._cycle
        for core in cores:
            core.restart()
        end = NEVER
        while True:
            moved = False
            for producer, place, entry in self.entries:
                there = producer.offered <= cycle and not producer.taken[place]
                entry.offer = producer.events[0][1] if there else None
            for merge in merges:
                moved |= merge.step()
            for producer in self.producers:
                if producer.offered <= cycle:
                    moved |= producer.give()
            for queue, entry in self.queues:
                moved |= queue.step(entry.chosen)
            wake = NEVER
            if beats and source.offered == NEVER:
                source.events.append((0, beats.popleft()))
                source.offered = wake = cycle + 1
            for core in cores:
                if core.awake(cycle):
                    moved |= core.step(cycle)
                if core.wake < wake:
                    wake = core.wake
            if sink.ended:
                sink.ended, end = False, cycle + OUTPUT_STAGES
            if not moved and wake == NEVER:
                assert end != NEVER, "something must move"
                self._cycle = cycle + 1
                # Nothing has moved in the last cycle.
                cycles = end + 1 - first
                return cycles, max(0, cycle - 1 - end), [core.occupancy(first, cycles) for core in cores] if watch else []
            cycle = cycle + 1 if moved else wake


def simulate_control(plan: Plan, trains: Mapping[str, np.ndarray], *, watch: bool = False) -> Schedule:
    """Simulate the control of an accelerator, sample by sample.

    The arguments are those of :func:`snnhw.plan.cycles.predict_cycles`; `cores` is empty unless they are to be watched.
    """
    skeleton = _Skeleton(plan)
    source = np.asarray(trains[plan.graph.input.name])
    samples, timesteps, _ = source.shape
    leaves = [np.ones_like(trains[layer.name], bool) if layer.spec.output == "state" else np.asarray(trains[layer.name]) != 0
              for layer in plan.layers]
    cycles, rests = np.zeros(samples, np.int64), np.zeros(samples, np.int64)
    found, entered = np.zeros((4, len(plan.layers), samples), np.int64), np.zeros((len(plan.layers), samples + 1), np.int64)
    for sample in range(samples):
        beats: deque[Event] = deque()
        for step in range(timesteps):
            last = step == timesteps - 1
            beats.extend((address, False) for address in np.flatnonzero(source[sample, step]).tolist())
            beats.append((TICK, last))
            for core, train in zip(skeleton.cores, leaves, strict=True):
                core.script.append((np.flatnonzero(train[sample, step])[::-1].tolist(), last))
        cycles[sample], rests[sample], watched = skeleton.run(beats, watch)
        entered[:, sample + 1] = [core.entered for core in skeleton.cores]
        if watch:
            found[:, :, sample] = np.transpose(watched)
    cores = tuple(Occupancy(adders, output, busy, stalled, cycles - busy - stalled)
                  for adders, output, busy, stalled in found.transpose(1, 0, 2)) if watch else ()
    return Schedule(cycles, rests, np.diff(entered, axis=1), cores)
