"""What the control port promises to the bus."""

from amaranth.hdl import Assume, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import In

from rtl_gen.control_ports import OKAY, SLVERR, AxiLitePort, WishbonePort
from rtl_gen.properties import Claim

__all__ = ["AxiLiteClaim", "WishboneClaim"]


def _held(m: Module, name: str, valid: Value, ready: Value, payload: Value) -> Value:
    """Return the rule of AXI: what is offered and not taken is still offered in the next cycle, unchanged."""
    waited = Signal(name=f"{name}_waited")
    was = Signal(Value.cast(payload).shape(), name=f"{name}_was")
    m.d.sync += [waited.eq(valid & ~ready), was.eq(payload)]
    return ~waited | (valid & (payload == was))


class AxiLiteClaim(Claim):
    """Every request is answered exactly once, after it is complete; answers wait unchanged; accesses go on as they were asked.

    The registers behind the port answer within a bound, and with anything. A second request of a direction may come in while the
    answer to the first waits; it is not carried out before that is taken.

    Parameters
    ----------
    block : AxiLitePort
        With few address bits.
    latency_cycles : int
        Cycles of an access on the local bus, at most.
    cover : str or None
        See :class:`~rtl_gen.properties.Claim`.

    Members
    -------
    awvalid, awaddr, wvalid, wdata, wstrb, bready, arvalid, araddr, rready : ``In``
        What the initiator does; it keeps its offers.
    done, refused, read : ``In``
        What the registers answer.
    """

    covers = ("data_before_address", "both_wait", "error_waits", "reads_in_turn")

    def __init__(self, block: AxiLitePort, *, latency_cycles: int = 2, cover: str | None = None):
        self.block, self.latency_cycles = block, latency_cycles
        bits = block.address_bits
        super().__init__({"awvalid": In(1), "awaddr": In(bits), "wvalid": In(1), "wdata": In(32), "wstrb": In(4), "bready": In(1),
                          "arvalid": In(1), "araddr": In(bits), "rready": In(1), "done": In(1), "refused": In(1), "read": In(32)},
                         cover)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = block = self.block
        bus = block.bus

        def port(name: str) -> Signal:
            signal = getattr(block, f"s_axi_control_{name}")
            assert isinstance(signal, Signal)
            return signal

        m.d.comb += [port(name).eq(getattr(self, name)) for name in (
            "awvalid", "awaddr", "wvalid", "wdata", "wstrb", "bready", "arvalid", "araddr", "rready")]
        waited = Signal(range(self.latency_cycles + 1))  # of an access
        m.d.sync += waited.eq(Mux(bus.valid & ~bus.done, waited + 1, 0))
        m.d.comb += [bus.done.eq(bus.valid & (self.done | (waited == self.latency_cycles))), bus.refused.eq(self.refused),
                     bus.read.eq(self.read)]
        m.d.comb += [
            Assume(_held(m, "aw", self.awvalid, port("awready"), self.awaddr)),
            Assume(_held(m, "w", self.wvalid, port("wready"), self.wdata)),
            Assume(_held(m, "strobe", self.wvalid, port("wready"), self.wstrb)),
            Assume(_held(m, "ar", self.arvalid, port("arready"), self.araddr)),
        ]

        def taken(name: str) -> Value:
            return port(f"{name}valid") & port(f"{name}ready")

        # Requests that came in and are not answered, and what the last of each was.
        counts = {name: Signal(2, name=f"{name}_open") for name in ("aw", "w", "ar")}
        for name, answer in (("aw", "b"), ("w", "b"), ("ar", "r")):
            m.d.sync += counts[name].eq(counts[name] + taken(name) - taken(answer))
        last = {name: Signal.like(getattr(self, name), name=f"last_{name}") for name in ("awaddr", "wdata", "wstrb", "araddr")}
        for name, signal in last.items():
            channel = name.removesuffix("addr").removesuffix("data").removesuffix("strb")
            with m.If(taken(channel)):
                m.d.sync += signal.eq(getattr(self, name))
        # What was done on the local bus and is not answered.
        wrote, got = Signal(), Signal()
        answers = {"b": Signal(2, name="b_expected"), "r": Signal(2, name="r_expected")}
        word = Signal(32)
        with m.If(taken("b")):
            m.d.sync += wrote.eq(0)
        with m.If(taken("r")):
            m.d.sync += got.eq(0)
        result = Mux(self.refused, SLVERR, OKAY)
        with m.If(bus.done & bus.write):
            m.d.sync += [wrote.eq(1), answers["b"].eq(result)]
        with m.If(bus.done & ~bus.write):
            m.d.sync += [got.eq(1), answers["r"].eq(result), word.eq(self.read)]
        since = {name: Signal(6, name=f"{name}_since") for name in ("b", "r")}  # cycles that a whole request has waited
        asked = {"b": (counts["aw"] != 0) & (counts["w"] != 0), "r": counts["ar"] != 0}
        for name, signal in since.items():
            m.d.sync += signal.eq(Mux(asked[name] & ~port(f"{name}valid"), signal + ~signal.all(), 0))
        # Both directions in turn: at most an access of the other one, then its own, each with the cycles of a handover.
        longest = 2 * (self.latency_cycles + 1) + 2

        was_read = Signal()
        with m.If(bus.done):
            m.d.sync += was_read.eq(~bus.write)
        self.claim(m, {
            "keeps_its_write_answer": _held(m, "b", port("bvalid"), port("bready"), port("bresp")),
            "keeps_its_read_answer": _held(m, "r", port("rvalid"), port("rready"), port("rdata")),
            "keeps_its_read_response": _held(m, "rresp", port("rvalid"), port("rready"), port("rresp")),
            "has_one_to_answer_and_one_that_waits": (counts["aw"] <= 2) & (counts["w"] <= 2) & (counts["ar"] <= 2),
            "answers_writes_that_were_asked": ~port("bvalid") | ((counts["aw"] != 0) & (counts["w"] != 0) & wrote),
            "answers_reads_that_were_asked": ~port("rvalid") | ((counts["ar"] != 0) & got),
            "writes_once": ~(bus.valid & bus.write) | ~wrote,
            "reads_once": ~(bus.valid & ~bus.write) | ~got,
            "writes_what_was_asked": ~(bus.valid & bus.write) | (
                (counts["aw"] == 1) & (counts["w"] == 1) & (bus.address == last["awaddr"][2:])
                & (bus.data == last["wdata"]) & (bus.strobe == last["wstrb"])),
            "reads_what_was_asked": ~(bus.valid & ~bus.write) | ((counts["ar"] == 1) & (bus.address == last["araddr"][2:])),
            "tells_the_result_of_a_write": ~port("bvalid") | (port("bresp") == answers["b"]),
            "tells_the_result_of_a_read": ~port("rvalid") | ((port("rresp") == answers["r"]) & (port("rdata") == word)),
            "answers_in_time": (since["b"] <= longest) & (since["r"] <= longest),
        }, {
            "data_before_address": (counts["w"] == 2) & (counts["aw"] == 1) & port("bvalid"),
            "both_wait": port("bvalid") & port("rvalid") & ~port("bready") & ~port("rready"),
            "error_waits": port("rvalid") & (port("rresp") == SLVERR) & ~port("rready"),
            "reads_in_turn": bus.valid & bus.write & was_read & (counts["ar"] == 1),
        })
        return m


class WishboneClaim(Claim):
    """Each access is answered once, in one cycle, while it is asked for; what is given up is not answered.

    Parameters
    ----------
    block : WishbonePort
        With few address bits.
    cover : str or None
        See :class:`~rtl_gen.properties.Claim`.

    Members
    -------
    cyc, stb, we, adr, dat_w, sel : ``In``
        What the initiator asks; it may give up in any cycle, and does not change what it asks before that.
    done, refused, read : ``In``
        What the registers answer.
    """

    covers = ("back_to_back", "error", "given_up")

    def __init__(self, block: WishbonePort, cover: str | None = None):
        self.block = block
        super().__init__({"cyc": In(1), "stb": In(1), "we": In(1), "adr": In(block.address_bits), "dat_w": In(32), "sel": In(4),
                          "done": In(1), "refused": In(1), "read": In(32)}, cover)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.block = block = self.block
        bus = block.bus
        names = "cyc", "stb", "we", "adr", "dat_w", "sel"
        m.d.comb += [getattr(block, f"wb_{name}").eq(getattr(self, name)) for name in names]
        m.d.comb += [bus.done.eq(bus.valid & self.done), bus.refused.eq(self.refused), bus.read.eq(self.read)]
        asked, answered = Signal(), Signal()
        m.d.comb += [asked.eq(self.cyc & self.stb), answered.eq(block.wb_ack | block.wb_err)]
        # An access begins when it is asked for and none is, or the one before was answered in the cycle before.
        pending, steady = Signal(), Const(1)
        was = {name: Signal.like(getattr(self, name), name=f"was_{name}") for name in names[2:]}
        m.d.sync += pending.eq(asked & ~answered)
        for name, signal in was.items():
            m.d.sync += signal.eq(getattr(self, name))
            steady = steady & (getattr(self, name) == signal)
        m.d.comb += Assume(~(pending & asked) | steady)
        served, refused, word, write = Signal(), Signal(), Signal(32), Signal()  # done on the local bus in the cycle before
        m.d.sync += [served.eq(bus.done), refused.eq(self.refused), word.eq(self.read), write.eq(bus.write)]
        mine = Signal()  # the access on the local bus is the one that is asked for now
        begun = Signal()
        m.d.sync += [begun.eq(bus.valid & ~bus.done), mine.eq(asked & ~answered & (mine | ~begun & ~served | ~bus.valid))]
        self.claim(m, {
            "answers_in_one_way": ~(block.wb_ack & block.wb_err),
            "answers_what_was_done": ~answered | (served & (block.wb_err == refused)),
            "reads_what_was_read": ~block.wb_ack | (block.wb_dat_r == word),
            "does_what_is_asked": ~(bus.valid & mine & asked) | ((bus.write == self.we) & (bus.address == self.adr[2:])
                                                                 & (bus.data == self.dat_w) & (bus.strobe == self.sel)),
            "answers_once": ~(answered & bus.valid),
        }, {
            "back_to_back": answered & asked & write & refused,
            "error": block.wb_err & ~write,
            "given_up": served & ~answered,
        })
        return m
