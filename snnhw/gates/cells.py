"""Cells of iCE40 and ECP5 as what the gate simulator knows: tables, flip-flops, memories and multipliers.

What each cell computes is that of the vendors' primitives, as the models of Yosys have them. A cell that is not here, or is used
in a way that is not here (a falling clock edge, an asynchronous reset), is refused by name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snnhw.errors import UsageError

__all__ = ["CONVERT", "HIGH", "INPUTS", "LOW", "Block", "Cell", "FlipFlop", "Parts", "Table"]

LOW, HIGH = 0, 1
"""Nets that never change."""
INPUTS = 5
"""Most inputs of a table."""


@dataclass(frozen=True)
class Cell:
    """A cell of the netlist: its nets by port, those of a bus from the lowest bit on, and its parameters."""

    name: str
    kind: str
    nets: Mapping[str, tuple[int, ...]]
    parameters: Mapping[str, Any]

    def net(self, port: str, default: int = LOW) -> int:
        """Return the net of a port of one bit."""
        nets = self.nets.get(port, ())
        return nets[0] if nets else default

    def bus(self, port: str, bits: int) -> tuple[int, ...]:
        """Return the nets of a port, low where nothing is connected."""
        nets = self.nets.get(port, ())
        return (*nets, *(LOW,) * (bits - len(nets)))

    def pins(self, port: str, bits: int, default: int | None = LOW) -> tuple[int | None, ...]:
        """Return the nets of ports that are numbered: ``ADA0``, ``ADA1`` and so on."""
        return tuple(self.nets[name][0] if self.nets.get(name := f"{port}{bit}") else default for bit in range(bits))

    def number(self, name: str, default: int = 0) -> int:
        """Return a parameter that Yosys writes as binary digits, undefined ones taken for 0, or as a number."""
        value = self.parameters.get(name, default)
        return value if isinstance(value, int) else int(str(value).strip().replace("x", "0").replace("z", "0"), 2)

    def text(self, name: str, default: str) -> str:
        """Return a parameter that is text."""
        return str(self.parameters.get(name, default)).strip()

    def refuse(self, what: str) -> UsageError:
        """Return the error for a use that is not modelled."""
        return UsageError(f"cell {self.name!r} ({self.kind}) must not have {what} to be simulated")


@dataclass(frozen=True)
class Table:
    """A function of up to five nets; bit `i` of `function` is its value for the inputs `i`."""

    kind: str
    pins: tuple[str, ...]
    inputs: tuple[int, ...]
    output: int
    function: int


@dataclass(frozen=True)
class FlipFlop:
    """A flip-flop on the rising edge, with enable and synchronous reset, which act when they have their level."""

    data: int
    output: int
    enable: int = HIGH
    reset: int = LOW
    enable_level: int = 1
    reset_level: int = 1
    reset_value: int = 0
    reset_needs_enable: bool = False
    initial: int = 0


@dataclass(frozen=True)
class Block:
    """A memory or multiplier of one of the kinds in ``gates.cpp``.

    Parameters
    ----------
    name : str
        Of its cell.
    kind : str
        In the simulator.
    resource : str
        ``"block_ram"``, ``"single_port_ram"``, ``"distributed_ram"`` or ``"multiplier"``.
    inputs : tuple of int
        In the simulator's order.
    outputs : tuple of int or None
        None where nothing is connected.
    settles : bool
        Outputs follow inputs without a clock.
    options : tuple of int
        What the simulator reads behind the nets.
    words : tuple of int or None
        Initial content; None for a block without.
    """

    name: str
    kind: str
    resource: str
    inputs: tuple[int, ...]
    outputs: tuple[int | None, ...]
    settles: bool = False
    options: tuple[int, ...] = ()
    words: tuple[int, ...] | None = None


@dataclass
class Parts:
    """What the cells of a netlist became."""

    nets: int
    clocks: list[tuple[str, int]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    flip_flops: list[FlipFlop] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    def on_clock(self, cell: Cell, clock: str, enable: str, default: int = LOW) -> int:
        """Note the clock of a port and return the net of its enable, low where the clock stands still."""
        if cell.net(clock) in (LOW, HIGH):
            return LOW
        self.clocks.append((cell.name, cell.net(clock)))
        return cell.net(enable, default)

    def inner(self) -> int:
        """Return a new net."""
        self.nets += 1
        return self.nets - 1


def _table(parts: Parts, cell: Cell, pins: Sequence[str], output: str, function: int) -> None:
    if cell.nets.get(output):
        parts.tables.append(Table(cell.kind, tuple(pins), tuple(cell.net(pin) for pin in pins), cell.net(output), function))


# ---------------------------------------------------------------------- iCE40


def _sb_lut4(parts: Parts, cell: Cell) -> None:
    _table(parts, cell, ("I0", "I1", "I2", "I3"), "O", cell.number("LUT_INIT"))


def _sb_carry(parts: Parts, cell: Cell) -> None:
    _table(parts, cell, ("I0", "I1", "CI"), "CO", 0b11101000)


def _sb_dff(parts: Parts, cell: Cell) -> None:
    form = cell.kind.removeprefix("SB_DFF")
    if form.startswith("N"):
        raise cell.refuse("a falling clock edge")
    enabled, kind = form.startswith("E"), form.removeprefix("E")
    reset = cell.net("R" if "R" in kind else "S") if kind else LOW
    if kind in ("R", "S") and reset != LOW:
        raise cell.refuse("an asynchronous reset")
    parts.clocks.append((cell.name, cell.net("C")))
    enable = cell.net("E") if enabled else HIGH
    parts.flip_flops.append(FlipFlop(cell.net("D"), cell.net("Q"), enable, reset, reset_value=int("SS" in kind),
                                     reset_needs_enable=enabled))


def _words(cell: Cell, names: Sequence[str], bits: int, step: int, count: int) -> tuple[int, ...]:
    """Return the words that initial values hold one behind the other, `step` bits apart."""
    mask = (1 << bits) - 1
    return tuple(cell.number(name) >> step * word & mask for name in names for word in range(count))


def _sb_ram40(parts: Parts, cell: Cell) -> None:
    read, write = (parts.on_clock(cell, f"{side}CLK", f"{side}CLKE", HIGH) for side in "RW")
    inputs = (read, cell.net("RE"), write, cell.net("WE"), *cell.bus("RADDR", 11), *cell.bus("WADDR", 11), *cell.bus("MASK", 16),
              *cell.bus("WDATA", 16))
    parts.blocks.append(Block(cell.name, "ram40", "block_ram", inputs, _outputs(cell, "RDATA", 16),
                              options=(cell.number("READ_MODE"), cell.number("WRITE_MODE")),
                              words=_words(cell, [f"INIT_{row:X}" for row in range(16)], 16, 16, 16)))


def _outputs(cell: Cell, port: str, bits: int) -> tuple[int | None, ...]:
    nets = cell.nets.get(port, ())
    return (*nets, *(None,) * (bits - len(nets)))


def _sb_spram(parts: Parts, cell: Cell) -> None:
    parts.clocks.append((cell.name, cell.net("CLOCK")))
    if (cell.net("STANDBY"), cell.net("SLEEP"), cell.net("POWEROFF", HIGH)) != (LOW, LOW, HIGH):
        raise cell.refuse("a power mode")
    inputs = (cell.net("CHIPSELECT"), cell.net("WREN"), *cell.bus("ADDRESS", 14), *cell.bus("DATAIN", 16),
              *cell.bus("MASKWREN", 4))
    parts.blocks.append(Block(cell.name, "spram", "single_port_ram", inputs, _outputs(cell, "DATAOUT", 16)))


_MAC16_INPUTS = ("AHOLD", "BHOLD", "CHOLD", "DHOLD", "OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT",
                 "CI", "ACCUMCI", "SIGNEXTIN", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT")
_MAC16_OPTIONS = ("C_REG", "A_REG", "B_REG", "D_REG", "TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG", "PIPELINE_16x16_MULT_REG1",
                  "PIPELINE_16x16_MULT_REG2", "TOPOUTPUT_SELECT", "TOPADDSUB_LOWERINPUT", "TOPADDSUB_UPPERINPUT",
                  "TOPADDSUB_CARRYSELECT", "BOTOUTPUT_SELECT", "BOTADDSUB_LOWERINPUT", "BOTADDSUB_UPPERINPUT",
                  "BOTADDSUB_CARRYSELECT", "MODE_8x8", "A_SIGNED", "B_SIGNED")


def _sb_mac16(parts: Parts, cell: Cell) -> None:
    if cell.nets.get("CLK") and cell.net("CLK") != LOW:
        parts.clocks.append((cell.name, cell.net("CLK")))
    if cell.number("NEG_TRIGGER"):
        raise cell.refuse("a falling clock edge")
    factors = (net for port in "CABD" for net in cell.bus(port, 16))
    inputs = (cell.net("CE", HIGH), *factors, *(cell.net(pin) for pin in _MAC16_INPUTS))
    outputs = (*_outputs(cell, "O", 32), *(_outputs(cell, port, 1)[0] for port in ("CO", "ACCUMCO", "SIGNEXTOUT")))
    options = tuple(cell.number(name) for name in _MAC16_OPTIONS)
    parts.blocks.append(Block(cell.name, "mac16", "multiplier", inputs, outputs, True, options))


# ---------------------------------------------------------------------- ECP5


def _lut4(parts: Parts, cell: Cell) -> None:
    _table(parts, cell, ("A", "B", "C", "D"), "Z", cell.number("INIT"))


def _pfumx(parts: Parts, cell: Cell) -> None:
    _table(parts, cell, ("BLUT", "ALUT", "C0"), "Z", 0b11001010)


def _l6mux21(parts: Parts, cell: Cell) -> None:
    _table(parts, cell, ("D0", "D1", "SD"), "Z", 0b11001010)


def _ccu2c(parts: Parts, cell: Cell) -> None:
    carry, inner = cell.net("CIN"), parts.inner()
    for half, out in enumerate((inner, cell.nets.get("COUT", (None,))[0])):
        init, injected = cell.number(f"INIT{half}"), cell.text(f"INJECT1_{half}", "YES") == "YES"
        total = carried = 0
        for index in range(32):
            lut, carry_in = init >> (index & 15) & 1, index >> 4
            total |= (lut ^ (0 if injected else carry_in)) << index
            generated = 0 if injected else init >> (index & 3) & 1
            carried |= (carry_in if lut else generated) << index
        pins = tuple(f"{name}{half}" for name in "ABCD")
        inputs = (*(cell.net(pin) for pin in pins), carry)
        names = ("A", "B", "C", "D", "CIN")
        if cell.nets.get(f"S{half}"):
            parts.tables.append(Table("CCU2C.S", names, inputs, cell.net(f"S{half}"), total))
        if out is not None:
            parts.tables.append(Table("CCU2C.COUT", names, inputs, out, carried))
        carry = inner


def _trellis_ff(parts: Parts, cell: Cell) -> None:
    if cell.text("CLKMUX", "CLK") == "INV":
        raise cell.refuse("a falling clock edge")
    if cell.text("LSRMODE", "LSR") != "LSR":
        raise cell.refuse("a preloading reset")
    enables = {"1": (HIGH, 1), "0": (LOW, 1), "INV": (cell.net("CE"), 0)}
    enable, enable_level = enables.get(cell.text("CEMUX", "1"), (cell.net("CE"), 1))
    reset_level = int(cell.text("LSRMUX", "LSR") != "INV")
    reset = cell.net("LSR", 1 - reset_level)
    if cell.text("SRMODE", "LSR_OVER_CE") == "ASYNC" and reset != 1 - reset_level:
        raise cell.refuse("an asynchronous reset")
    parts.clocks.append((cell.name, cell.net("CLK")))
    high = int(cell.text("REGSET", "RESET") == "SET")
    parts.flip_flops.append(FlipFlop(cell.net("DI"), cell.net("Q"), enable, reset, enable_level, reset_level, high, initial=high))


_WRITE_MODES = {"NORMAL": 0, "WRITETHROUGH": 1, "READBEFOREWRITE": 2}


def _dp16kd(parts: Parts, cell: Cell) -> None:
    inputs: tuple[int | None, ...] = ()
    outputs: tuple[int | None, ...] = ()
    for side in "AB":
        enable = parts.on_clock(cell, f"CLK{side}", f"CE{side}")
        if cell.text(f"CLK{side}MUX", f"CLK{side}") == "INV" or cell.text(f"REGMODE_{side}", "NOREG") != "NOREG":
            raise cell.refuse("a falling clock edge or an output register")
        if cell.text("RESETMODE", "SYNC") != "SYNC" and cell.net(f"RST{side}") != LOW:
            raise cell.refuse("an asynchronous reset")
        inputs += (enable, cell.net(f"WE{side}"), cell.net(f"RST{side}"), *cell.pins(f"AD{side}", 14),
                   *cell.pins(f"DI{side}", 18))
        outputs += cell.pins(f"DO{side}", 18, None)
    options = (*(cell.number(f"DATA_WIDTH_{side}", 18) for side in "AB"),
               *(_WRITE_MODES[cell.text(f"WRITEMODE_{side}", "NORMAL")] for side in "AB"))
    rows = _words(cell, [f"INITVAL_{row:02X}" for row in range(64)], 18, 20, 16)
    parts.blocks.append(Block(cell.name, "dp16kd", "block_ram", tuple(net or LOW for net in inputs), outputs, options=options,
                              words=tuple(half for row in rows for half in (row & 511, row >> 9))))


def _dpr16x4(parts: Parts, cell: Cell) -> None:
    if cell.text("WCKMUX", "WCK") == "INV" or cell.text("WREMUX", "WRE") != "WRE":
        raise cell.refuse("an inverted control input")
    parts.clocks.append((cell.name, cell.net("WCK")))
    inputs = (cell.net("WRE"), *cell.bus("WAD", 4), *cell.bus("DI", 4), *cell.bus("RAD", 4))
    parts.blocks.append(Block(cell.name, "dpr16x4", "distributed_ram", inputs, _outputs(cell, "DO", 4), True,
                              words=_words(cell, ["INITVAL"], 4, 4, 16)))


def _mult18(parts: Parts, cell: Cell) -> None:
    if any(cell.text(f"REG_{stage}_CLK", "NONE") != "NONE" for stage in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")):
        raise cell.refuse("registers")
    inputs = (cell.net("SIGNEDA"), cell.net("SIGNEDB"), *cell.pins("A", 18), *cell.pins("B", 18))
    outputs = cell.pins("P", 36, None)
    parts.blocks.append(Block(cell.name, "mult18", "multiplier", tuple(net or LOW for net in inputs), outputs, True))


CONVERT: dict[str, Callable[[Parts, Cell], None]] = {
    "SB_LUT4": _sb_lut4, "SB_CARRY": _sb_carry, "SB_RAM40_4K": _sb_ram40, "SB_SPRAM256KA": _sb_spram, "SB_MAC16": _sb_mac16,
    **{f"SB_DFF{form}": _sb_dff for form in ("", "E", "SR", "R", "SS", "S", "ESR", "ER", "ESS", "ES", "N", "NE", "NSR", "NESR")},
    "LUT4": _lut4, "PFUMX": _pfumx, "L6MUX21": _l6mux21, "CCU2C": _ccu2c, "TRELLIS_FF": _trellis_ff, "DP16KD": _dp16kd,
    "TRELLIS_DPR16X4": _dpr16x4, "MULT18X18D": _mult18,
}
"""What makes parts of a cell, by kind."""
