"""Options and arguments that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from snnhw.errors import UsageError

if TYPE_CHECKING:
    from snnhw.cost import ConstantSet

__all__ = ["Board", "Clock", "Constants", "ControlPort", "Debug", "Decide", "Events", "Fastest", "Formats", "Hardware", "Json",
           "Lanes", "LatencyOf", "LoadWeights", "Out", "Packings", "Quiet", "Run", "Samples", "TargetArea", "TargetLatency",
           "parse_constants", "parse_lanes", "parse_memories"]

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.", rich_help_panel="Output")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.", rich_help_panel="Output")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", rich_help_panel="Output")]

Run = Annotated[Path, typer.Argument(help="Run folder: what `lower` wrote, or a graph file.", show_default=False)]
Hardware = Annotated[Path, typer.Argument(help="Folder that `generate` wrote.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.", show_default=False)]
Board = Annotated[str | None, typer.Option("--board", "-b", help="Board name, or the path of a board file.", show_default=False)]
Lanes = Annotated[list[str] | None, typer.Option(
    "--lanes", help="Lanes of the slowest layer, the others balanced against it (16); or LAYER=N, once for each layer.",
    metavar="N|LAYER=N", show_default=False)]
Formats = Annotated[list[str] | None, typer.Option(
    "--format", help="How weights are stored: auto, dense, bank, csc, queued (queued:4 with queues of 4 events), bitmap, "
    "run-length (run-length:3 with runs of 3 bits), block; or LAYER=NAME, once for each layer.",
    metavar="NAME|LAYER=NAME", show_default=False)]
Packings = Annotated[list[str] | None, typer.Option(
    "--packing", help="How weights of few values are coded: auto, none, codebook, ternary; or LAYER=NAME, once for each layer.",
    metavar="NAME|LAYER=NAME", show_default=False)]
Events = Annotated[list[str] | None, typer.Option(
    "--events", help="How dense layers keep the events of a timestep: list, bitmap (less memory on iCE40, a little slower); or "
    "LAYER=NAME, once for each layer.", metavar="NAME|LAYER=NAME", show_default=False)]
LoadWeights = Annotated[bool | None, typer.Option(
    "--load-weights/--fixed-weights", show_default=False,
    help="Write the weights through a stream at start-up, instead of fixing them in the memories.")]
Decide = Annotated[bool, typer.Option(
    "--decide", help="Also give the class of each sample, its score and its margin, on a stream of their own.")]
ControlPort = Annotated[str | None, typer.Option(
    "--control", help="Add a control port: axi4-lite or wishbone, with registers, counters and a probe.",
    metavar="BUS", show_default=False)]
Samples = Annotated[int | None, typer.Option(
    "--samples", "-n", help="Number of test samples; all by default.", show_default=False)]

Constants = Annotated[list[Path] | None, typer.Option(
    "--constants", metavar="FILE|NAME", show_default=False,
    help="Energy constants in the place of those of the board and of 45 nm: a .toml file, or the name of a set; of an ASIC, of "
    "an FPGA, or once for each.")]

TargetLatency = Annotated[str | None, typer.Option(
    "--target-latency", metavar="TIME", show_default=False, rich_help_panel="Folding",
    help="Choose the lanes: the smallest design that takes at most so long for a sample, such as 1ms or 50us.")]
TargetArea = Annotated[str | None, typer.Option(
    "--target-area", metavar="CELLS|SHARE%", show_default=False, rich_help_panel="Folding",
    help="Choose the lanes: the fastest design of at most so many logic cells, or such a share of the board.")]
Fastest = Annotated[bool, typer.Option(
    "--fastest", rich_help_panel="Folding", help="Choose the lanes: the fastest design that fits the board.")]
LatencyOf = Annotated[str, typer.Option(
    "--latency-of", metavar="worst|p99|mean", rich_help_panel="Folding",
    help="Which of the samples is the latency that lanes are chosen by.")]
Clock = Annotated[str | None, typer.Option(
    "--clock", metavar="MHZ|max", show_default=False, rich_help_panel="Folding",
    help="Clock of a latency: by default the oscillator of the board; max is the estimated highest frequency, its lower bound.")]


def parse_lanes(texts: list[str] | None) -> int | dict[str, int] | None:
    """Return what ``--lanes`` says: one number for the slowest layer, or a number for each named layer."""
    found = _by_layer(texts, "--lanes must be one number, or LAYER=N for each layer")
    if found is None:
        return None
    return _count(found) if isinstance(found, str) else {layer: _count(count) for layer, count in found.items()}


def parse_memories(formats: list[str] | None, packings: list[str] | None,
                   events: list[str] | None) -> dict[str, Any]:
    """Return what ``--format``, ``--packing`` and ``--events`` say, as arguments of ``make_plan``, without what is not given."""
    given = ("formats", "format", formats), ("packings", "packing", packings), ("events", "events", events)
    found = {name: _by_layer(texts, f"--{option} must be one name, or LAYER=NAME for each layer")
             for name, option, texts in given}
    return {name: value for name, value in found.items() if value is not None}


def parse_constants(names: list[Path] | None) -> dict[str, Any]:
    """Return the sets that ``--constants`` names by their kind, ``"asic"`` or ``"fpga"``: arguments of ``energy_ladder``."""
    from snnhw.cost import load_constants
    found: dict[str, ConstantSet] = {}
    for name in names or []:
        constants = load_constants(str(name))
        if constants.kind in found:
            raise UsageError(f"--constants must name at most one set of an {constants.kind.upper()}, not two")
        found[constants.kind] = constants
    return found


def _by_layer(texts: list[str] | None, rule: str) -> str | dict[str, str] | None:
    """Return the one value, or the value of each layer; None where nothing is given."""
    if not texts:
        return None
    if len(texts) == 1 and "=" not in texts[0]:
        return texts[0]
    values: dict[str, str] = {}
    for text in texts:
        layer, equals, value = text.rpartition("=")
        if not equals or not layer:
            raise UsageError(f"{rule}, not {text!r} beside others")
        values[layer] = value
    return values


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise UsageError(f"--lanes must be a whole number, not {text!r}")
    return int(text)
