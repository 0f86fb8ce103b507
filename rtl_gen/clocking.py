"""The clock of a board top: made by a cell of the device, with everything in reset until it is steady."""

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.hdl import ClockDomain, Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from snnhw.board import ClockSettings

__all__ = ["ClockMaker", "ClockedTop"]


def _ice40(settings: ClockSettings, pad: str, clk_i: Signal, clk_o: Signal, locked: Signal) -> Instance:
    dividers, bits = settings.parameters, {"DIVR": 4, "DIVF": 7, "DIVQ": 3, "FILTER_RANGE": 3}
    return Instance(settings.primitive, p_FEEDBACK_PATH="SIMPLE", p_PLLOUT_SELECT="GENCLK",
                    **{f"p_{name}": Const(dividers[name], width) for name, width in bits.items()},
                    **{f"i_{pad}": clk_i}, i_RESETB=Const(1), i_BYPASS=Const(0), o_PLLOUTGLOBAL=clk_o, o_LOCK=locked)


def _ice40_oscillator(settings: ClockSettings, clk_o: Signal, locked: Signal) -> Instance:
    return Instance("SB_HFOSC", p_CLKHF_DIV=f"0b{settings.parameters['CLKHF_DIV']:02b}", i_CLKHFPU=Const(1), i_CLKHFEN=Const(1),
                    o_CLKHF=clk_o)


def _ecp5(settings: ClockSettings, clk_i: Signal, clk_o: Signal, locked: Signal) -> Instance:
    dividers, feedback = settings.parameters, Signal(name="feedback")
    names = ("CLKOP", "CLKOS")
    options: dict[str, Any] = {f"p_{name}_{what}": value for name in names
                               for what, value in (("ENABLE", "ENABLED"), ("CPHASE", dividers[f"{name}_DIV"] - 1), ("FPHASE", 0))}
    # The charge pump and filter that ecppll of Project Trellis sets for every frequency.
    options |= {"a_ICP_CURRENT": "12", "a_LPF_RESISTOR": "8", "a_MFG_ENABLE_FILTEROPAMP": "1", "a_MFG_GMCREF_SEL": "2"}
    unused = ("RST", "STDBY", "PHASESEL0", "PHASESEL1", "PHASEDIR", "PHASESTEP", "PHASELOADREG", "PLLWAKESYNC", "ENCLKOP",
              "ENCLKOS")
    options |= {f"i_{name}": Const(0) for name in unused}
    options |= {f"p_{name}": value for name, value in dividers.items()}
    return Instance("EHXPLLL", p_FEEDBK_PATH="CLKOP", p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB", i_CLKI=clk_i,
                    i_CLKFB=feedback, o_CLKOP=feedback, o_CLKOS=clk_o, o_LOCK=locked, **options)


def _gowin(settings: ClockSettings, clk_i: Signal, clk_o: Signal, locked: Signal, device: str) -> Instance:
    options: dict[str, Any] = {f"p_{name}": value for name, value in settings.parameters.items()}
    options |= {f"p_DYN_{name}": "false" for name in ("DA_EN", "IDIV_SEL", "FBDIV_SEL", "ODIV_SEL")}
    unused = {"RESET": 1, "RESET_P": 1, "CLKFB": 1, "FBDSEL": 6, "IDSEL": 6, "ODSEL": 6, "PSDA": 4, "DUTYDA": 4, "FDLY": 4}
    options |= {f"i_{name}": Const(0, bits) for name, bits in unused.items()}
    return Instance("rPLL", p_FCLKIN=f"{settings.source_hz / 1e6:g}", p_DEVICE=device, p_CLKFB_SEL="internal", p_PSDA_SEL="0000",
                    p_DUTYDA_SEL="1000", p_CLKOUT_BYPASS="false", p_CLKOUTP_BYPASS="false", p_CLKOUTD_BYPASS="false",
                    p_CLKOUT_FT_DIR=Const(1), p_CLKOUTP_FT_DIR=Const(1), p_CLKOUT_DLY_STEP=0, p_CLKOUTP_DLY_STEP=0,
                    p_DYN_SDIV_SEL=2, p_CLKOUTD_SRC="CLKOUT", p_CLKOUTD3_SRC="CLKOUT",
                    i_CLKIN=clk_i, o_CLKOUT=clk_o, o_LOCK=locked, **options)


class ClockMaker(wiring.Component):
    """Cell that makes a clock.

    Parameters
    ----------
    settings : ClockSettings
        Which cell, and its dividers.
    device : str
        Variant of the device, where the cell wants to be told.

    Members
    -------
    clk_i : ``In(1)``
        Clock of the board; a cell with an oscillator of its own leaves it alone.
    clk_o : ``Out(1)``
        The clock.
    locked : ``Out(1)``
        It has its frequency. Asynchronous.
    """

    def __init__(self, settings: ClockSettings, *, device: str = ""):
        self.settings, self.device = settings, device
        super().__init__({"clk_i": In(1), "clk_o": Out(1), "locked": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        settings, clocks = self.settings, (self.clk_i, self.clk_o, self.locked)
        made: Mapping[str, Callable[[], Instance]] = {
            "SB_PLL40_PAD": lambda: _ice40(settings, "PACKAGEPIN", *clocks),
            "SB_PLL40_CORE": lambda: _ice40(settings, "REFERENCECLK", *clocks),
            "SB_HFOSC": lambda: _ice40_oscillator(settings, self.clk_o, self.locked),
            "EHXPLLL": lambda: _ecp5(settings, *clocks),
            "rPLL": lambda: _gowin(settings, *clocks, self.device),
        }
        m.submodules.cell = made[settings.primitive]()
        if settings.primitive == "SB_HFOSC":
            m.d.comb += self.locked.eq(1)
        return m


class ClockedTop(Elaboratable):
    """A board top on a clock that is made on the device.

    The top is in reset until two edges after the clock has its frequency, and again whenever it loses it. Its registers have the
    values of their reset from the start, so nothing moves on edges that come too fast.

    Parameters
    ----------
    top : Elaboratable
        The top, in the domain ``sync``.
    maker : ClockMaker
        What makes the clock.
    """

    def __init__(self, top: Elaboratable, maker: ClockMaker):
        self.top, self.maker = top, maker

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = sync = ClockDomain()
        m.submodules.clock = maker = self.maker
        steady = Signal()
        m.submodules.lock = FFSynchronizer(maker.locked, steady, init=0)
        m.d.comb += [sync.clk.eq(maker.clk_o), sync.rst.eq(~steady)]
        m.submodules.board = self.top
        return m
