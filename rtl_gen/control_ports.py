"""Two buses in front of the registers: AXI4-Lite and Wishbone."""

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from snnhw.plan import Control, Plan
from snnhw.plan.registers import register_map

__all__ = ["OKAY", "SLVERR", "AxiLitePort", "LocalBus", "WishbonePort", "control_inputs", "control_port", "port_members"]

OKAY, SLVERR = 0b00, 0b10


class LocalBus(wiring.Signature):
    """One access at a time, of a 32-bit word.

    The initiator holds `valid`, and everything that goes out with it, until the cycle with `done`; what comes back belongs to
    that cycle.

    Parameters
    ----------
    address_bits : int
        Width of an address in bytes.

    Members
    -------
    valid, write : ``Out(1)``
        There is an access; it writes.
    address : ``Out(address_bits - 2)``
        Of the word.
    data, strobe : ``Out(32)``, ``Out(4)``
        What is written, and which of its bytes.
    done, refused : ``In(1)``
        The access is over; there is no such register.
    read : ``In(32)``
        What was read.
    """

    def __init__(self, address_bits: int):
        super().__init__({"valid": Out(1), "write": Out(1), "address": Out(address_bits - 2), "data": Out(32), "strobe": Out(4),
                          "done": In(1), "refused": In(1), "read": In(32)})


_AXI = {"awvalid": In(1), "awready": Out(1), "awaddr": In(0), "wvalid": In(1), "wready": Out(1), "wdata": In(32),
        "wstrb": In(4), "bvalid": Out(1), "bready": In(1), "bresp": Out(2), "arvalid": In(1), "arready": Out(1), "araddr": In(0),
        "rvalid": Out(1), "rready": In(1), "rdata": Out(32), "rresp": Out(2)}
_WISHBONE = {"cyc": In(1), "stb": In(1), "we": In(1), "adr": In(0), "dat_w": In(32), "sel": In(4), "dat_r": Out(32),
             "ack": Out(1), "err": Out(1)}
_ADDRESSES = "awaddr", "araddr", "adr"
PREFIXES = {"axi4-lite": "s_axi_control_", "wishbone": "wb_"}


def port_members(control: Control, address_bits: int) -> dict[str, wiring.Member]:
    """Return the ports of a bus by the name they have at the accelerator, without the clock and the reset."""
    members = {"axi4-lite": _AXI, "wishbone": _WISHBONE}[control]
    return {PREFIXES[control] + name: In(address_bits) if name in _ADDRESSES else member for name, member in members.items()}


class AxiLitePort(wiring.Component):
    """AXI4-Lite in front of a local bus.

    Address and data of a write come in any order. Reads and writes take turns when both wait. While the answer to a request
    waits, one more of its kind comes in, and is carried out when the answer is taken. All outputs are registers.

    Parameters
    ----------
    address_bits : int
        Width of an address in bytes.

    Members
    -------
    s_axi_control_* :
        The five channels, without ``prot``. A response is ``OKAY``, or ``SLVERR`` where there is no register.
    bus : ``Out(LocalBus(address_bits))``
        Accesses.
    """

    def __init__(self, *, address_bits: int):
        self.address_bits = address_bits
        super().__init__(port_members("axi4-lite", address_bits) | {"bus": Out(LocalBus(address_bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        prefix, bus = PREFIXES["axi4-lite"], self.bus
        aw, w, b, ar, r = ({name: getattr(self, f"{prefix}{channel}{name}") for name in names} for channel, names in (
            ("aw", ("valid", "ready", "addr")), ("w", ("valid", "ready", "data", "strb")), ("b", ("valid", "ready", "resp")),
            ("ar", ("valid", "ready", "addr")), ("r", ("valid", "ready", "data", "resp"))))
        write_address = Signal(self.address_bits - 2)
        read_address = Signal(self.address_bits - 2)
        # What is held of each request; `ready` is a register of its own, so that a reset holds it low.
        held = {name: Signal(name=f"{name}_held") for name in ("aw", "w", "ar")}
        writing = Signal()  # the access on the bus
        reading = Signal()
        wrote = Signal()  # the last access was a write, a read is next
        write_refused = Signal()
        read_refused = Signal()
        write_waits = Signal()
        read_waits = Signal()
        m.d.comb += [
            bus.valid.eq(writing | reading),
            bus.write.eq(writing),
            b["resp"].eq(Mux(write_refused, SLVERR, OKAY)),
            r["resp"].eq(Mux(read_refused, SLVERR, OKAY)),
            write_waits.eq(held["aw"] & held["w"] & ~b["valid"]),
            read_waits.eq(held["ar"] & ~r["valid"]),
        ]
        with m.If(writing):
            m.d.comb += bus.address.eq(write_address)
        with m.Else():
            m.d.comb += bus.address.eq(read_address)
        for name, channel in (("aw", aw), ("w", w), ("ar", ar)):
            with m.If(channel["valid"] & channel["ready"]):
                m.d.sync += [channel["ready"].eq(0), held[name].eq(1)]
            with m.Elif(~held[name]):
                m.d.sync += channel["ready"].eq(1)
        with m.If(aw["valid"] & aw["ready"]):
            m.d.sync += write_address.eq(aw["addr"][2:])
        with m.If(w["valid"] & w["ready"]):
            m.d.sync += [bus.data.eq(w["data"]), bus.strobe.eq(w["strb"])]
        with m.If(ar["valid"] & ar["ready"]):
            m.d.sync += read_address.eq(ar["addr"][2:])
        with m.If(~bus.valid):
            with m.If(write_waits & (~wrote | ~read_waits)):
                m.d.sync += [writing.eq(1), wrote.eq(1)]
            with m.Elif(read_waits):
                m.d.sync += [reading.eq(1), wrote.eq(0)]
        with m.If(b["ready"]):
            m.d.sync += b["valid"].eq(0)
        with m.If(r["ready"]):
            m.d.sync += r["valid"].eq(0)
        with m.If(bus.done):
            with m.If(writing):
                m.d.sync += [writing.eq(0), held["aw"].eq(0), held["w"].eq(0), b["valid"].eq(1), write_refused.eq(bus.refused)]
            with m.If(reading):
                m.d.sync += [reading.eq(0), held["ar"].eq(0), r["valid"].eq(1), read_refused.eq(bus.refused),
                             r["data"].eq(bus.read)]
        return m


class WishbonePort(wiring.Component):
    """Wishbone B4, classic cycles, in front of a local bus.

    Each access is answered by one cycle of `ack`, or of `err` where there is no register. A cycle that the initiator gives up
    is completed inside and not answered. All outputs are registers.

    Parameters
    ----------
    address_bits : int
        Width of an address in bytes.

    Members
    -------
    wb_* :
        Words of 32 bits with a granularity of 8; ``wb_adr`` counts bytes, its two lowest bits are ignored.
    bus : ``Out(LocalBus(address_bits))``
        Accesses.
    """

    def __init__(self, *, address_bits: int):
        self.address_bits = address_bits
        super().__init__(port_members("wishbone", address_bits) | {"bus": Out(LocalBus(address_bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bus = self.bus
        asked = Signal()
        active = Signal()
        given_up = Signal()
        m.d.comb += [asked.eq(self.wb_cyc & self.wb_stb), bus.valid.eq(active)]
        m.d.sync += [self.wb_ack.eq(0), self.wb_err.eq(0)]
        with m.If(~active), m.If(asked & ~self.wb_ack & ~self.wb_err):
            m.d.sync += [active.eq(1), given_up.eq(0), bus.write.eq(self.wb_we), bus.address.eq(self.wb_adr[2:]),
                         bus.data.eq(self.wb_dat_w), bus.strobe.eq(self.wb_sel)]
        with m.Else():
            with m.If(~asked):
                m.d.sync += given_up.eq(1)
            with m.If(bus.done):
                answered = asked & ~given_up
                m.d.sync += [active.eq(0), self.wb_dat_r.eq(bus.read), self.wb_ack.eq(answered & ~bus.refused),
                             self.wb_err.eq(answered & bus.refused)]
        return m


def control_inputs(plan: Plan) -> dict[str, int]:
    """Return the inputs of an accelerator's control port, with their widths; nothing is asked of it while all are 0."""
    if plan.control is None:
        return {}
    members = port_members(plan.control, register_map(plan).address_bits)
    return {name: Shape.cast(member.shape).width for name, member in members.items() if member.flow is In}


def control_port(control: Control, address_bits: int) -> AxiLitePort | WishbonePort:
    """Return the front end of a bus."""
    return (AxiLitePort if control == "axi4-lite" else WishbonePort)(address_bits=address_bits)
