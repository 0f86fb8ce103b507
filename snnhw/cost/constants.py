"""Energy constants: data files of records, each with its band and where it comes from."""

import tomllib
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from snnhw.errors import FileError, UsageError
from snnhw.files import read_bytes

__all__ = ["PROVENANCES", "Constant", "ConstantSet", "Sram", "constant_sets", "load_constants"]

PROVENANCES = ("measured", "vendor", "derived", "scaled", "assumed")  # from the best evidence to none
MAX_BYTES = 1 << 20
SMALLEST, LARGEST = 1e-12, 1e12  # of a value, so that no product of some is infinite
FOLDER = Path(__file__).resolve().parent / "constants"
# What a unit is in base units, and its factor to them.
_PREFIXED = {"mW": ("pJ/s", 10**9), "uJ/boot": ("pJ/boot", 10**6), "ms/boot": ("s/boot", 1e-3)}

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=500)]


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Constant(Record):
    """One parameter of the energy model.

    Parameters
    ----------
    low, mid, high : float
        5 %, 50 % and 95 % of what the value can be.
    unit : str
        Such as ``"pJ/bit"``: factors separated by ``/``, the first above the line. ``"1"`` for a pure number.
    device, node : str
        What the value holds for; empty means that of the set.
    provenance : str
        ``"measured"``, ``"vendor"``, ``"derived"``, ``"scaled"`` or ``"assumed"``.
    source : str
        Where the value was read, and how it was computed from there.
    drawn_with : str
        Another parameter that rests on the same evidence: where its value is high, that of this one is high too. Empty for
        one that is drawn by itself.
    """

    low: Positive
    mid: Positive
    high: Positive
    unit: Literal["pJ/bit", "pJ/bit2", "pJ/access", "pJ/toggle", "pJ/cycle", "pJ/flip-flop/cycle", "mW", "toggle/bit", "uJ/boot",
                  "ms/boot", "1"]
    provenance: Literal["measured", "vendor", "derived", "scaled", "assumed"]
    source: Text
    device: str = ""
    node: str = ""
    drawn_with: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> "Constant":
        if not self.low <= self.mid <= self.high:
            raise ValueError(f"low, mid and high must be in this order, not {self.low:g}, {self.mid:g}, {self.high:g}")
        if self.low < SMALLEST or self.high > LARGEST:
            raise ValueError(f"low and high must be between {SMALLEST:g} and {LARGEST:g}, not {self.low:g} and {self.high:g}")
        return self

    @property
    def dimensions(self) -> Counter[str]:
        """Exponent of each base unit, without prefixes; a power counts as pJ per second."""
        above, *below = _PREFIXED.get(self.unit, (self.unit, 1))[0].split("/")
        dimensions = Counter({above: 1} if above != "1" else {})
        dimensions.subtract(below)
        return dimensions

    @property
    def scale(self) -> float:
        """Factor from the unit to the base units of :attr:`dimensions`."""
        return float(_PREFIXED.get(self.unit, (self.unit, 1))[1])

    @property
    def brief(self) -> str:
        return f"{self.mid:g} ({self.low:g}..{self.high:g}) {self.unit}"


class Sram(Record):
    """Energy law of an SRAM macro: ``read * KB ** size_exponent * (bits / 16) ** width_exponent``.

    Every field but the last two names a parameter; `read` names one for each flavour of transistor.
    """

    read: dict[str, str]
    write_per_read: str
    size_exponent: str
    width_exponent: str
    smallest_bits: Annotated[int, Field(ge=1)]
    narrowest_bits: Annotated[int, Field(ge=1)]


_NEEDED = {
    "asic": {"add": "pJ/bit", "compare": "pJ/bit", "multiply": "pJ/bit2"},
    "fpga": {
        "static": "mW",
        "clock": "pJ/cycle",
        "flip_flop_clock": "pJ/flip-flop/cycle",
        "toggle": "pJ/toggle",
        **{f"toggle_{kind}": "pJ/toggle" for kind in ("register", "carry", "local", "routed", "memory", "multiplier")},
        "delayed_toggle": "1",
        "netlist_per_rtl_toggle": "1",
        "add_toggles": "toggle/bit",
        "memory_toggles": "toggle/bit",
        "multiply": "pJ/bit2",
    },
}


# What a set may have besides.
_OPTIONAL = {"asic": {}, "fpga": {"boot_energy": "uJ/boot", "boot_time": "ms/boot"}}
_OVER_BASE = frozenset({"name", "title", "device", "node", "devices", "flavour"})


class ConstantSet(Record):
    """The constants of one technology.

    Parameters
    ----------
    name, title : str
        For files and for people.
    kind : str
        ``"asic"`` or ``"fpga"``. Energies of different kinds are never put in one ratio without saying so.
    devices : tuple of str
        Devices, as the board files write them, that this set is for.
    flavour : str
        Transistors of the SRAM macros, a key of ``sram.read``.
    sram : Sram
        Only of an ASIC: the law of its memories.
    blocks : mapping of str to str
        Only of an FPGA: for each resource of :class:`snnhw.plan.ram.RamUse` the parameter for one access of one block.
    """

    name: Text
    title: Text
    kind: Literal["asic", "fpga"]
    device: Text
    node: Text
    devices: tuple[str, ...] = ()
    flavour: str = ""
    parameters: dict[str, Constant]
    sram: Sram | None = None
    blocks: dict[str, str] = {}

    @model_validator(mode="after")
    def _complete(self) -> "ConstantSet":
        needed = dict(_NEEDED[self.kind])
        if self.kind == "asic":
            if self.sram is None:
                raise ValueError("an ASIC set must have a table sram")
            if self.flavour not in self.sram.read:
                raise ValueError(f"flavour must be one of {', '.join(self.sram.read)}, not {self.flavour!r}")
            needed |= dict.fromkeys(self.sram.read.values(), "pJ/access")
            needed |= dict.fromkeys((self.sram.write_per_read, self.sram.size_exponent, self.sram.width_exponent), "1")
        else:
            if "block_ram" not in self.blocks:
                raise ValueError("an FPGA set must name the parameter of block_ram in its table blocks")
            needed |= dict.fromkeys(self.blocks.values(), "pJ/access")
        optional = {name: unit for name, unit in _OPTIONAL[self.kind].items() if name in self.parameters}
        for name, unit in (needed | optional).items():
            if name not in self.parameters:
                raise ValueError(f"parameter {name!r} is missing")
            if self.parameters[name].unit != unit:
                raise ValueError(f"unit of parameter {name!r} must be {unit}, not {self.parameters[name].unit}")
        if unknown := sorted(set(self.parameters) - set(needed | optional)):
            raise ValueError(f"parameter {unknown[0]!r} is none of this set's: {', '.join(needed)}")
        for name, record in self.parameters.items():
            if record.drawn_with and (record.drawn_with not in self.parameters or self.parameters[record.drawn_with].drawn_with):
                raise ValueError(f"drawn_with of parameter {name!r} must be a parameter that is drawn by itself, "
                                 f"not {record.drawn_with[:40]!r}")
        return self

    def __getitem__(self, name: str) -> Constant:
        return self.parameters[name]

    def where(self, constant: Constant) -> tuple[str, str]:
        """Return the device and node a constant of this set holds for."""
        return constant.device or self.device, constant.node or self.node


def constant_sets() -> tuple[str, ...]:
    """Return the names of the sets that come with the package."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load_constants(name: str | Path, *, flavour: str | None = None) -> ConstantSet:
    """Load a set that comes with the package, by name, or one of the user's, by the path of its file.

    A user's file is a whole set, or names the set it changes, ``base = "ice40up5k"``: then its records replace those of
    the base, whose parameters it must name with their units, and everything else stays.

    Parameters
    ----------
    name : str or Path
        A name of :func:`constant_sets`, or the path of a ``.toml`` file.
    flavour : str or None
        Transistors of the SRAM macros, in the place of the set's own choice.
    """
    if isinstance(name, str) and name in constant_sets():
        return _load(FOLDER / f"{name}.toml", flavour)
    if Path(name).suffix != ".toml":
        raise UsageError(f"constants must be one of {', '.join(constant_sets())} or a .toml file, not {str(name)!r}")
    return _load.__wrapped__(Path(name), flavour)  # a user's file may change between two calls


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_bytes(path, "constants file", MAX_BYTES).decode())
    except (ValueError, RecursionError):
        raise FileError(f"constants file {str(path)!r} must be TOML, and is not") from None


def _on_base(table: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the table of the base with the records of a user's file in it."""
    what, base = f"constants file {str(path)!r}", table.pop("base")
    if base not in constant_sets():
        raise FileError(f"{what}: base must be one of {', '.join(constant_sets())}, not {str(base)!r}")
    whole, changes = _read(FOLDER / f"{base}.toml"), table.pop("parameters", {})
    if unknown := sorted(set(table) - _OVER_BASE):
        raise FileError(f"{what}: with a base it may have {', '.join(sorted(_OVER_BASE))} and parameters, not {unknown[0]!r}")
    if not isinstance(changes, dict):
        raise FileError(f"{what}: parameters must be a table")
    units = {name: record["unit"] for name, record in whole["parameters"].items()} | _OPTIONAL[whole["kind"]]
    for name, record in changes.items():
        unit = units.get(name)
        if unit is None:
            raise FileError(f"{what}: parameter {name!r} must be one of {base}: {', '.join(units)}")
        if isinstance(record, dict) and record.setdefault("unit", unit) != unit:
            raise FileError(f"{what}: unit of parameter {name!r} must be {unit}, not {str(record['unit'])[:40]}")
    # The name stays: draws belong to it, so that what is left of the base is common to both in a ratio.
    title = {"title": f"{whole['title']}, {path.name}"}
    return whole | title | table | {"parameters": whole["parameters"] | changes}


@lru_cache
def _load(path: Path, flavour: str | None) -> ConstantSet:
    table = _read(path)
    if "base" in table:
        table = _on_base(table, path)
    if flavour is not None:
        table["flavour"] = flavour
    try:
        return ConstantSet.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its tables"
        message = first["msg"].removeprefix("Value error, ")
        raise FileError(f"constants file {str(path)!r}: {where}: {message[0].lower() + message[1:]}") from None
