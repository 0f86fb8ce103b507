"""Which clocks a board can make, and how: the dividers of its PLL, by exact search within the limits of the data sheet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from snnhw.board.model import Board
from snnhw.errors import BoardError

__all__ = ["BAUD_TOLERANCE", "LIMITS", "ClockSettings", "Limits", "baud_error", "choose_clock", "clocks_of"]

BAUD_TOLERANCE = 0.02
MIN_DIVISOR = 8
HFOSC_HZ = 48_000_000
HFOSC_TOLERANCE = 0.1

Range = tuple[int, int]


@dataclass(frozen=True)
class Limits:
    """What a PLL may be given and may make; every range is lowest and highest frequency in Hz.

    Parameters
    ----------
    input_hz, detector_hz, vco_hz, output_hz : (int, int)
        Of its input, of its phase detector, of its oscillator, of its output.
    source : str
        Where the numbers come from.
    """

    input_hz: Range
    detector_hz: Range
    vco_hz: Range
    output_hz: Range
    source: str


MHZ = 1_000_000
_ICE40 = Limits((10 * MHZ, 133 * MHZ), (10 * MHZ, 133 * MHZ), (533 * MHZ, 1066 * MHZ), (16 * MHZ, 275 * MHZ),
                "Lattice FPGA-DS-02029 and FPGA-DS-02008, sysCLOCK PLL timing; the same in both families")
LIMITS: Mapping[str, Limits] = {
    "SB_PLL40_PAD": _ICE40,
    "SB_PLL40_CORE": _ICE40,
    "EHXPLLL": Limits((8 * MHZ, 400 * MHZ), (10 * MHZ, 400 * MHZ), (400 * MHZ, 800 * MHZ), (3_125_000, 400 * MHZ),
                      "Lattice FPGA-DS-02012, sysCLOCK PLL timing"),
    "rPLL": Limits((3 * MHZ, 400 * MHZ), (3 * MHZ, 400 * MHZ), (400 * MHZ, 1200 * MHZ), (3_125_000, 600 * MHZ),
                   "Gowin DS117, PLL switching characteristics, speed grade C6/I5"),
    # Its four frequencies have no dividers to search; the tolerance is that of the commercial temperature range.
    "SB_HFOSC": Limits((1, 1_000_000_000), (1, 1), (1, 1), (6 * MHZ, 48 * MHZ), "Lattice FPGA-DS-02008, internal oscillators"),
}


@dataclass(frozen=True)
class ClockSettings:
    """A clock that a board makes itself.

    Parameters
    ----------
    primitive : str
        Cell of the device that makes it.
    exact_hz : Fraction
        Its frequency.
    parameters : mapping of str to int
        Dividers, as the cell has them.
    source_hz : int
        Frequency of the oscillator that it is made from; of the cell's own, for one that has its own.
    tolerance : float
        Part by which it may be off, beside the oscillator of the board.
    """

    primitive: str
    exact_hz: Fraction
    parameters: Mapping[str, int]
    source_hz: int
    tolerance: float = 0.0

    @property
    def hz(self) -> int:
        """Its frequency in whole Hz."""
        return round(self.exact_hz)

    def __str__(self) -> str:
        return f"{self.hz / 1e6:.6g} MHz from {self.primitive}"


def _within(value: Fraction | int, limits: Range) -> bool:
    return limits[0] <= value <= limits[1]


def _ice40(source: int, limits: Limits) -> Iterator[tuple[Fraction, Fraction, dict[str, int]]]:
    # FPGA-TN-02052, feedback path SIMPLE: out = in (DIVF + 1) / ((DIVR + 1) 2^DIVQ).
    for reference in range(16):
        detector = Fraction(source, reference + 1)
        if not _within(detector, limits.detector_hz):
            continue
        # The filter suits the frequency of the phase detector: the table of icepll, Project IceStorm.
        filters = sum(detector >= bound * MHZ for bound in (17, 26, 44, 66, 101)) + 1
        for feedback in range(128):
            vco = detector * (feedback + 1)
            if _within(vco, limits.vco_hz):
                for power in range(1, 7):
                    yield vco / (1 << power), detector, {"DIVR": reference, "DIVF": feedback, "DIVQ": power,
                                                         "FILTER_RANGE": filters}


def _ecp5(source: int, limits: Limits) -> Iterator[tuple[Fraction, Fraction, dict[str, int]]]:
    # FPGA-TN-02200. CLKOP feeds back and CLKOS is taken, so that the oscillator can run at any whole multiple of the detector.
    for reference in range(1, 129):
        detector = Fraction(source, reference)
        if not _within(detector, limits.detector_hz):
            continue
        for multiple in range(1, int(limits.vco_hz[1] / detector) + 1):
            vco = detector * multiple
            feedback = next((value for value in range(1, 81) if multiple % value == 0 and multiple // value <= 128), None)
            if feedback is None or not _within(vco, limits.vco_hz):
                continue
            for divider in range(1, 129):
                yield vco / divider, detector, {"CLKI_DIV": reference, "CLKFB_DIV": feedback, "CLKOP_DIV": multiple // feedback,
                                                "CLKOS_DIV": divider}


def _gowin(source: int, limits: Limits) -> Iterator[tuple[Fraction, Fraction, dict[str, int]]]:
    # Gowin UG286: out = in (FBDIV_SEL + 1) / (IDIV_SEL + 1); the oscillator runs ODIV_SEL times as fast.
    for reference in range(64):
        detector = Fraction(source, reference + 1)
        if not _within(detector, limits.detector_hz):
            continue
        for feedback in range(64):
            output = detector * (feedback + 1)
            # Of the dividers that suit, the one with which the oscillator runs fastest.
            suits = [divider for divider in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
                     if _within(output * divider, limits.vco_hz)]
            if suits:
                yield output, detector, {"IDIV_SEL": reference, "FBDIV_SEL": feedback, "ODIV_SEL": suits[-1]}


_SEARCHES = {"SB_PLL40_PAD": _ice40, "SB_PLL40_CORE": _ice40, "EHXPLLL": _ecp5, "rPLL": _gowin}


def limits_of(board: Board) -> Limits:
    """Return the limits of a board's PLL: those of its kind, but for those that the board file states."""
    assert board.pll is not None
    stated = {name: tuple(value) for name in ("input_hz", "detector_hz", "vco_hz", "output_hz")
              if (value := getattr(board.pll, name)) is not None}
    kind = LIMITS[board.pll.primitive]
    return Limits(**({name: getattr(kind, name) for name in Limits.__dataclass_fields__} | stated))


@lru_cache(maxsize=16)
def _settings(primitive: str, source: int, limits: Limits, tolerance: float) -> tuple[ClockSettings, ...]:
    if primitive == "SB_HFOSC":
        return tuple(ClockSettings(primitive, Fraction(HFOSC_HZ, 1 << power), {"CLKHF_DIV": power}, HFOSC_HZ, tolerance)
                     for power in range(4) if _within(HFOSC_HZ >> power, limits.output_hz))
    found: dict[Fraction, tuple[Fraction, dict[str, int]]] = {}
    if _within(source, limits.input_hz):
        for output, detector, parameters in _SEARCHES[primitive](source, limits):
            # The faster the phase detector, the less jitter.
            if _within(output, limits.output_hz) and (output not in found or detector > found[output][0]):
                found[output] = detector, parameters
    return tuple(ClockSettings(primitive, output, found[output][1], source, tolerance) for output in sorted(found, reverse=True))


def clocks_of(board: Board) -> tuple[ClockSettings, ...]:
    """Return every clock that a board can make besides that of its oscillator, the fastest first; none without a PLL."""
    if board.pll is None:
        return ()
    tolerance = board.pll.tolerance
    if tolerance is None:
        tolerance = HFOSC_TOLERANCE if board.pll.primitive == "SB_HFOSC" else 0.0
    return _settings(board.pll.primitive, board.clock.hz, limits_of(board), tolerance)


def baud_error(hz: float | Fraction, baud: int, tolerance: float = 0.0) -> float:
    """Return by which part the bits of a serial line are too long or too short, at worst; 1 where the clock is too slow."""
    divisor = round(hz / baud)
    return abs(float(divisor * baud / hz) - 1) + tolerance if divisor >= MIN_DIVISOR else 1.0


def choose_clock(board: Board, hz: float) -> ClockSettings | None:
    """Return the fastest clock of a board that is not above `hz`; None for that of its oscillator.

    Raises
    ------
    BoardError
        The board cannot make such a clock, or not its serial line from it.
    """
    if abs(hz - board.clock.hz) < 1:
        return None
    options = clocks_of(board)
    if not options:
        which = f"its {board.pll.primitive} cannot be used at" if board.pll is not None else "its board file has no pll beside"
        raise BoardError(f"board {board.name!r} has no other clock than its own, {which} {board.clock.hz / 1e6:g} MHz")
    fitting = [item for item in options if item.exact_hz <= Fraction(hz) + 1]
    if not fitting or hz > options[0].exact_hz + 1:
        lowest, highest = options[-1].hz / 1e6, options[0].hz / 1e6
        raise BoardError(f"board {board.name!r}: clock must be between {lowest:.6g} and {highest:.6g} MHz for its "
                         f"{options[0].primitive}, not {hz / 1e6:.6g}")
    chosen, baud = fitting[0], board.uart.baud
    error = baud_error(chosen.exact_hz, baud, chosen.tolerance)
    if error > BAUD_TOLERANCE:
        near = [item for item in fitting if baud_error(item.exact_hz, baud, item.tolerance) <= BAUD_TOLERANCE]
        advice = f"; the next lower clock that does is {near[0].hz / 1e6:.6g} MHz" if near else ""
        how = f"is off by {error:.1%}" if error < 1 else f"divides by less than {MIN_DIVISOR}"
        raise BoardError(f"board {board.name!r}: a clock of {chosen.hz / 1e6:.6g} MHz must give {baud} baud within "
                         f"{BAUD_TOLERANCE:.0%}, and {how}{advice}")
    return chosen
