"""Drive streams in Amaranth's simulator: what goes in waits for nobody's permission, what comes out is written down."""

from collections.abc import Iterable, Mapping, Sequence

from amaranth.hdl import Module
from amaranth.sim import Simulator

__all__ = ["carry", "pattern"]


def pattern(beats: Sequence[bool] | None) -> Iterable[bool]:
    """Return a pattern for ever; None is always true. A pattern that never is gets one beat that is."""
    beats = tuple(beats or (True,))
    if not any(beats):
        beats = (*beats, True)
    while True:
        yield from beats


def carry(dut, given: Mapping[str, Sequence[dict]], wanted: Mapping[str, int], *,
          offers: Mapping[str, Sequence[bool]] | None = None, stalls: Mapping[str, Sequence[bool]] | None = None,
          limit: int = 2000) -> dict[str, list[tuple[int, dict]]]:
    """Pass items through a block.

    Parameters
    ----------
    dut : wiring.Component
        The block.
    given : mapping of str to list of dict
        For each stream that goes in, by name (``o[0]`` is the first of several): the fields of its items.
    wanted : mapping of str to int
        For each stream that comes out: how many items end the run. Two cycles more are run, in which there must be none.
    offers, stalls : mapping of str to list of bool
        Patterns, repeated for ever: in which cycles a new item is offered, in which a consumer is ready. Always, by default.

    Returns
    -------
    dict of str to list of (int, dict)
        For each stream, in both directions: the cycle and the fields of every transfer.
    """
    m = Module()
    m.submodules.dut = dut
    streams = {name: _find(dut, name) for name in (*given, *wanted)}
    fields = {name: tuple(stream.payload.shape().members) for name, stream in streams.items()}
    seen: dict[str, list[tuple[int, dict]]] = {name: [] for name in streams}

    async def testbench(ctx):
        offering = {name: pattern((offers or {}).get(name)) for name in given}
        taking = {name: pattern((stalls or {}).get(name)) for name in wanted}
        offered, extra = dict.fromkeys(given, False), 2
        held: dict[str, dict] = {}
        for cycle in range(limit):
            for name, items in given.items():
                may = next(offering[name])
                place = len(seen[name])
                offered[name] = place < len(items) and (offered[name] or may)
                ctx.set(streams[name].valid, offered[name])
                for field, value in (items[place] if offered[name] else dict.fromkeys(fields[name], 1)).items():
                    ctx.set(getattr(streams[name].payload, field), value)  # what is not offered means nothing
            ready = {name: next(taking[name]) for name in wanted}
            for name in wanted:
                ctx.set(streams[name].ready, ready[name])
            for name in wanted:
                item = {field: ctx.get(getattr(streams[name].payload, field)) for field in fields[name]}
                valid = ctx.get(streams[name].valid)
                assert name not in held or (valid and item == held[name]), f"{name} must keep its offer {held[name]}"
                held.pop(name, None)
                if valid and ready[name]:
                    seen[name].append((cycle, item))
                elif valid:
                    held[name] = item
            for name, items in given.items():
                if offered[name] and ctx.get(streams[name].ready):
                    seen[name].append((cycle, items[len(seen[name])]))
                    offered[name] = False
            if all(len(seen[name]) >= count for name, count in wanted.items()):
                extra -= 1
                if not extra:
                    return
            await ctx.tick()
        raise AssertionError(f"{ {name: len(items) for name, items in seen.items()} } items passed within {limit} cycles")

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    return seen


def _find(dut, name: str):
    name, _, index = name.partition("[")
    stream = getattr(dut, name)
    return stream[int(index[:-1])] if index else stream
