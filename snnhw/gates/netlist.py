"""A mapped netlist: what Yosys wrote, with a class, an owner and a place in the order of evaluation for everything."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from snnhw.errors import UsageError
from snnhw.gates.cells import CONVERT, HIGH, LOW, Block, Cell, FlipFlop, Parts, Table
from snnhw.gates.delays import Delays

__all__ = ["CLASSES", "Netlist", "parse_netlist"]

CLASSES = ("register", "carry", "local", "routed", "memory", "multiplier")
"""Of a net, by what drives it and what reads it: a flip-flop; a carry; a table that only one flip-flop or one multiplexer of the
same cell reads; a table otherwise; data of a memory; a product."""

_IGNORED = "$scopeinfo",
_CARRIES = {"SB_CARRY", "CCU2C.COUT"}
_JOINED = {"PFUMX", "L6MUX21"}  # multiplexers that lie beside the tables they choose from
_NEVER = (1 << 32) - 1


@dataclass(frozen=True)
class Netlist:
    """Cells of one module on one clock.

    Parameters
    ----------
    top : str
        Module.
    nets : int
        Number of nets; 0 and 1 never change.
    clock : int
        Net of the clock.
    ports : mapping of str to (bool, tuple of int)
        Whether it is an input, and its nets from the lowest bit on.
    names : tuple of tuple of str
        For each net all its names ``name[bit]`` or ``name``, those that people gave first.
    tables, flip_flops, blocks
        What the cells became, see :mod:`snnhw.gates.cells`.
    file : Path
        What Yosys wrote.
    """

    top: str
    nets: int
    clock: int
    ports: Mapping[str, tuple[bool, tuple[int, ...]]]
    names: tuple[tuple[str, ...], ...]
    tables: tuple[Table, ...]
    flip_flops: tuple[FlipFlop, ...]
    blocks: tuple[Block, ...]
    file: Path

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class of each net; empty for what no cell drives."""
        found = [""] * self.nets
        readers: list[list[str]] = [[] for _ in range(self.nets)]
        for table in self.tables:
            for net in table.inputs:
                readers[net].append("joined" if table.kind in _JOINED else "table")
        for flip_flop in self.flip_flops:
            readers[flip_flop.data].append("data")
            for net in (flip_flop.enable, flip_flop.reset):
                readers[net].append("control")
        for block in self.blocks:
            for net in block.inputs:
                readers[net].append("block")
        for is_input, nets in self.ports.values():
            for net in nets if not is_input else ():
                readers[net].append("port")
        for table in self.tables:
            beside = set(readers[table.output]) <= {"data", "joined"} and len(readers[table.output]) == 1
            found[table.output] = "carry" if table.kind in _CARRIES else "local" if beside else "routed"
        for flip_flop in self.flip_flops:
            found[flip_flop.output] = "register"
        for block in self.blocks:
            for output in block.outputs:
                if output is not None:
                    found[output] = "multiplier" if block.resource == "multiplier" else "memory"
        return tuple(found)

    @cached_property
    def levels(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Order of evaluation: for each table and each block, one more than the deepest of what it reads; 0 for a clocked block.

        Raises
        ------
        UsageError
            Tables feed back into themselves.
        """
        cells: list[tuple[tuple[int, ...], tuple[int | None, ...]]] = [(table.inputs, (table.output,)) for table in self.tables]
        settling = [index for index, block in enumerate(self.blocks) if block.settles]
        cells += [(self.blocks[index].inputs, self.blocks[index].outputs) for index in settling]
        driver = {net: number for number, (_, outputs) in enumerate(cells) for net in outputs if net is not None}
        level = [0] * len(cells)
        missing = [len({driver[net] for net in inputs if net in driver}) for inputs, _ in cells]
        readers: list[list[int]] = [[] for _ in cells]
        for number, (inputs, _) in enumerate(cells):
            for source in {driver[net] for net in inputs if net in driver}:
                readers[source].append(number)
        ready = [number for number, count in enumerate(missing) if not count]
        done = 0
        while ready:
            number = ready.pop()
            done += 1
            level[number] += 1
            for reader in readers[number]:
                level[reader] = max(level[reader], level[number])
                missing[reader] -= 1
                if not missing[reader]:
                    ready.append(reader)
        if done < len(cells):
            loop = next(number for number, count in enumerate(missing) if count)
            names = self.names[next(net for net in cells[loop][1] if net is not None)]
            name = names[0] if names else "a net"
            raise UsageError(f"netlist {self.top!r} must not have loops without a flip-flop, {name!r} is in one")
        blocks = dict(zip(settling, level[len(self.tables):], strict=True))
        return tuple(level[:len(self.tables)]), tuple(blocks.get(index, 0) for index in range(len(self.blocks)))

    @property
    def product_bits(self) -> float:
        """Mean product of the widths of the factors of its multipliers: nets that are not constant, each once; 0 without any."""
        factors = {"mac16": (slice(17, 33), slice(33, 49)), "mult18": (slice(2, 20), slice(20, 38))}
        products = []
        for block in self.blocks:
            if block.kind in factors:
                one, other = (len(set(block.inputs[where]) - {LOW, HIGH}) for where in factors[block.kind])
                products.append(one * other)
        return sum(products) / len(products) if products else 0.0

    @property
    def cells(self) -> dict[str, int]:
        """Number of parts by kind."""
        return dict(Counter([*(table.kind for table in self.tables), *("flip-flop" for _ in self.flip_flops),
                             *(block.kind for block in self.blocks)]))

    def text(self, groups: list[int], accesses: list[tuple[int, int]], count: int, delays: Delays | None) -> str:
        """Return the file of the simulator.

        Parameters
        ----------
        groups : list of int
            For each net the group that its toggles are counted in, negative for none.
        accesses : list of (int, int)
            For each block the groups of its reads and of its writes.
        count : int
            Number of groups.
        delays : Delays or None
            Of cells and connections; None settles in no time.
        """
        levels, block_levels = self.levels
        times = delays if delays is not None else Delays.none()
        wires = times.wires(self)
        edges = f"{times.launch('input')} {times.launch('register')}"
        lines = [f"netlist {self.nets} {self.clock} {count} {int(delays is not None)} {edges}"]
        lines += [f"port {name} {int(is_input)} {len(nets)} {_row(nets)}" for name, (is_input, nets) in self.ports.items()]
        lines.append("groups " + " ".join(str(group if group >= 0 else _NEVER) for group in groups))
        for index, (table, level) in enumerate(zip(self.tables, levels, strict=True)):
            pad = 5 - len(table.inputs)
            inputs = [*table.inputs, *(LOW,) * pad]
            own = [*(times.cell(table.kind, pin) for pin in table.pins), *(0,) * pad]
            wire = [*wires[index], *(0,) * pad]
            lines.append(f"table {level} {table.function:x} {table.output} {_row(inputs)} {_row(own)} {_row(wire)}")
        lines += [
            "flop " + _row([item.data, item.enable, item.reset, item.output, item.enable_level, item.reset_level,
                            item.reset_value, int(item.reset_needs_enable), item.initial])
            for item in self.flip_flops
        ]
        for block, level, (reads, writes) in zip(self.blocks, block_levels, accesses, strict=True):
            outputs = [_NEVER if net is None else net for net in block.outputs]
            words = "" if block.words is None else f" {len(block.words)} {' '.join(f'{word:x}' for word in block.words)}"
            head = _row([level, times.launch(block.kind), times.connection, reads, writes, len(block.inputs), *block.inputs])
            lines.append(f"block {block.kind} {head} {len(outputs)} {_row(outputs)} {_row(block.options)}{words}")
        return "\n".join(lines) + "\n"


def _row(values: Any) -> str:
    return " ".join(map(str, values))


def parse_netlist(path: Path, top: str, clock: str) -> Netlist:
    """Read the flat netlist that Yosys wrote as JSON.

    Parameters
    ----------
    path : Path
        File.
    top : str
        Module, with mapped cells of iCE40 or ECP5 only.
    clock : str
        Its port of the one clock.

    Raises
    ------
    UsageError
        A cell is not modelled, or not on the clock.
    """
    module = json.loads(path.read_text())["modules"][top]
    numbers: dict[int | str, int] = {"0": LOW, "1": HIGH, "x": LOW, "z": LOW}

    def net(bit: int | str) -> int:
        return numbers.setdefault(bit, len(numbers) - 2)

    ports = {name: (port["direction"] == "input", tuple(map(net, port["bits"]))) for name, port in module["ports"].items()}
    cells = [
        Cell(name, cell["type"], {port: tuple(map(net, bits)) for port, bits in cell["connections"].items()}, cell["parameters"])
        for name, cell in module["cells"].items() if cell["type"] not in _IGNORED
    ]
    named: dict[int, list[tuple[bool, str]]] = {}
    for name, item in module["netnames"].items():
        size, begin = len(item["bits"]), item.get("offset", 0)
        vector = size > 1 or "single_bit_vector" in item["attributes"]
        for place, number in enumerate(item["bits"]):
            if number in numbers and isinstance(number, int):
                bit = begin + (size - 1 - place if item.get("upto") else place)
                full = f"{name}[{bit}]" if vector else name
                named.setdefault(numbers[number], []).append((bool(item["hide_name"]), full))
    parts = Parts(len(numbers) - 2)
    for cell in cells:
        if cell.kind not in CONVERT:
            raise UsageError(f"netlist {top!r} must be of {', '.join(sorted(CONVERT))}, and {cell.name!r} is a {cell.kind}")
        CONVERT[cell.kind](parts, cell)
    if clock not in ports:
        raise UsageError(f"netlist {top!r} must have the clock {clock!r}, its ports are {', '.join(ports)}")
    tick = ports[clock][1][0]
    for name, other in parts.clocks:
        if other != tick:
            raise UsageError(f"netlist {top!r} must have one clock, {clock!r}, and cell {name!r} has another")
    names = tuple(tuple(name for _, name in sorted(named.get(number, []))) for number in range(parts.nets))
    return Netlist(top, parts.nets, tick, ports, names, tuple(parts.tables), tuple(parts.flip_flops), tuple(parts.blocks),
                   path)
