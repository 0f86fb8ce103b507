"""What a board file says, and what is wrong with one."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from snnhw.assets import asset
from snnhw.errors import BoardError, FileError
from snnhw.files import read_bytes

__all__ = ["Board", "Budget", "Pins", "Platform", "Pll", "RamBlock", "Resource", "board_names", "load_board"]

MAX_BOARD_BYTES = 1 << 16
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")

# Everything that reaches constraints, scripts or an import is limited to characters that mean nothing there.
Name = Annotated[str, Field(pattern=rf"^{_NAME.pattern}$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
Site = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,16}$")]
Part = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9/_-]{0,39}$")]
Text = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,400}$")]
Attributes = dict[Identifier, Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]{1,32}$")]]
Count = Annotated[int, Field(ge=0, le=100_000_000)]
Size = Annotated[int, Field(ge=1, le=1 << 24)]
Frequencies = Annotated[list[Annotated[int, Field(ge=1, le=10_000_000_000)]], Field(min_length=2, max_length=2)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Resource(_Strict):
    """A countable part of the device.

    Parameters
    ----------
    count : int
        How many there are.
    unit : str
        What one is, for tables and messages.
    source : str
        Where the number comes from.
    """

    count: Count
    unit: Text
    source: Text


class RamBlock(Resource):
    """Memory blocks of one kind.

    Parameters
    ----------
    bits : int
        Data bits of one block.
    shapes : list of (depth, width)
        Every way one block can be organised.
    initialised : bool
        The bitstream can set the content.
    """

    bits: Size
    shapes: Annotated[list[Annotated[list[Size], Field(min_length=2, max_length=2)]], Field(min_length=1, max_length=16)]
    initialised: bool

    @model_validator(mode="after")
    def _fit(self) -> Self:
        for depth, width in self.shapes:
            if depth * width > self.bits:
                raise ValueError(f"shapes must hold at most {self.bits} bits, not {depth} x {width}")
        return self


class Budget(_Strict):
    """What the device has."""

    logic: Resource
    flip_flops: Resource
    block_ram: RamBlock
    single_port_ram: RamBlock | None = None
    dsp: Resource


class Clock(_Strict):
    """The oscillator that clocks the design."""

    hz: Annotated[int, Field(ge=1_000_000, le=1_000_000_000)]
    source: Text


class Pll(_Strict):
    """What makes other clocks than that of the oscillator.

    Parameters
    ----------
    primitive : str
        Cell of the device. ``SB_PLL40_PAD`` where the clock comes in on the pad of the PLL, ``SB_PLL40_CORE`` elsewhere;
        ``SB_HFOSC`` is an oscillator of its own, for boards whose clock cannot reach a PLL.
    input_hz, detector_hz, vco_hz, output_hz : list of two int, optional
        Lowest and highest frequency, where they differ from those of :data:`snnhw.board.pll.LIMITS`.
    tolerance : float, optional
        Part by which the clock may be off; 0.1 for ``SB_HFOSC``, unless it was measured.
    """

    primitive: Literal["SB_PLL40_PAD", "SB_PLL40_CORE", "SB_HFOSC", "EHXPLLL", "rPLL"]
    input_hz: Frequencies | None = None
    detector_hz: Frequencies | None = None
    vco_hz: Frequencies | None = None
    output_hz: Frequencies | None = None
    tolerance: Annotated[float, Field(ge=0, le=0.5)] | None = None
    source: Text

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("input_hz", "detector_hz", "vco_hz", "output_hz"):
            value = getattr(self, name)
            if value is not None and value[0] > value[1]:
                raise ValueError(f"{name} must be the lowest and the highest frequency, not {value[0]} and {value[1]}")
        return self


class Uart(_Strict):
    """The serial line to the host: 8 data bits, no parity, 1 stop bit.

    Parameters
    ----------
    baud : int
        Bits per second.
    connector, rx, tx : str, optional
        Pins of a connector of the platform, for boards without a serial line of their own.
    """

    baud: Annotated[int, Field(ge=300, le=12_000_000)]
    connector: Identifier | None = None
    rx: Annotated[str, Field(pattern=r"^[A-Za-z0-9+-]{1,8}$")] | None = None
    tx: Annotated[str, Field(pattern=r"^[A-Za-z0-9+-]{1,8}$")] | None = None
    source: Text

    @model_validator(mode="after")
    def _together(self) -> Self:
        if len({self.connector is None, self.rx is None, self.tx is None}) != 1:
            raise ValueError("connector, rx and tx must be given together")
        return self


class Platform(_Strict):
    """Class of amaranth-boards that knows the pins.

    Parameters
    ----------
    module : str
        Module of ``amaranth_boards``.
    kind : str
        Class in it.
    led, led_part : str
        Resource of the activity light, and its part when it has several.
    """

    module: Identifier
    kind: Identifier
    led: Identifier = "led"
    led_part: Identifier | None = None


class Pins(_Strict):
    """Pins of a board that amaranth-boards does not know."""

    clock: Site
    rx: Site
    tx: Site
    led: Site
    led_inverted: bool = False
    attributes: Attributes = {}


class Board(_Strict):
    """A board: device, clock, pins, memories, tools, and the source of each number.

    Parameters
    ----------
    name : str
        Short name, also the name of the file.
    title : str
        Full name.
    family : str
        Chip family; decides synthesis, memory rules and constraint format.
    device, variant, package, speed_grade : str
        Part as the tools spell it; those a family does not use are left out.
    flow : str
        ``"nextpnr"`` builds a bitstream; ``"vivado"`` writes a project.
    clock, pll, uart, platform, pins, budget
        Tables of the file.
    program : list of str
        Commands that bring the bitstream to the board, for people; ``{}`` is the file.
    """

    name: Name
    title: Text
    family: Literal["ice40", "ecp5", "gowin", "xilinx7"]
    device: Part
    variant: Part | None = None
    package: Part | None = None
    speed_grade: Part | None = None
    flow: Literal["nextpnr", "vivado"]
    clock: Clock
    pll: Pll | None = None
    uart: Uart
    platform: Platform | None = None
    pins: Pins | None = None
    budget: Budget
    program: Annotated[list[Text], Field(max_length=4)] = []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.platform is None) == (self.pins is None):
            raise ValueError("either platform or pins must be given, not both")
        if self.pins is not None and self.uart.connector is not None:
            raise ValueError("uart.connector needs a platform; give the sites under pins")
        if (self.flow == "vivado") != (self.family == "xilinx7"):
            expected = "vivado" if self.family == "xilinx7" else "nextpnr"
            raise ValueError(f"flow must be {expected} for {self.family}, not {self.flow}")
        if self.family == "gowin" and self.variant is None:
            raise ValueError("variant must be given for gowin")
        if self.family in ("ice40", "ecp5") and self.package is None:
            raise ValueError(f"package must be given for {self.family}")
        kinds = {"ice40": ["SB_PLL40_PAD", "SB_PLL40_CORE"], "ecp5": ["EHXPLLL"], "gowin": ["rPLL"]}.get(self.family, [])
        kinds += ["SB_HFOSC"] if self.device.startswith("iCE40UP") else []
        if self.pll is not None and self.pll.primitive not in kinds:
            known = " or ".join(kinds) or "left out"
            raise ValueError(f"pll.primitive must be {known} for {self.device}, not {self.pll.primitive}")
        divisor = self.clock.hz / self.uart.baud
        if divisor < 8 or abs(round(divisor) / divisor - 1) > 0.02:
            raise ValueError(f"uart.baud must divide the clock by at least 8 and within 2 %, not by {divisor:.3g}")
        return self

    def __str__(self) -> str:
        return f"{self.title} ({self.device})"


def board_names() -> list[str]:
    """Return the names of the boards that come with the toolkit."""
    return sorted(path.stem for path in asset("boards").glob("*.toml"))


def _read(path: Path) -> Board:
    try:
        values = tomllib.loads(read_bytes(path, "board file", MAX_BOARD_BYTES).decode())
    except FileError as error:
        raise BoardError(str(error)) from None
    except (ValueError, RecursionError) as error:
        reason = "text is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error).partition("\n")[0][:120]
        raise BoardError(f"board file {str(path)!r} must be TOML: {reason or 'nested too deeply'}") from None
    try:
        return Board.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:120] or "content"
        raise BoardError(f"board file {str(path)!r}: {where}: {first['msg'].removeprefix('Value error, ')[:200]}") from None


def load_board(name_or_path: str | Path) -> Board:
    """Return a board by its name, or from a board file by its path.

    A path is anything that ends in ``.toml`` or contains a folder.

    Raises
    ------
    BoardError
        The name is unknown, or the file is missing or malformed.
    """
    text = str(name_or_path)
    if text.endswith(".toml") or len(Path(text).parts) > 1:
        return _read(Path(text))
    if _NAME.fullmatch(text) and text in board_names():
        return _read(asset("boards", f"{text}.toml"))
    raise BoardError(f"board must be {', '.join(board_names())} or the path of a board file, not {text[:80]!r}")
