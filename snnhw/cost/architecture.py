"""Parameters of the architecture model: data files of memories, links and units, each number with its band and its source."""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from snnhw.cost.constants import Constant, Record, Text
from snnhw.cost.encodings import Encoding, parse_encoding
from snnhw.errors import FileError, UsageError
from snnhw.files import read_bytes

__all__ = ["HOMES", "SPADS", "Architecture", "Array", "Formats", "Homes", "Mapping", "Price", "Store", "Zeros",
           "architecture_names", "load_architecture"]

FOLDER = Path(__file__).resolve().parent / "architectures"
MAX_BYTES = 1 << 20
HOMES = "dram", "global_buffer"
SPADS = "input_spad", "weight_spad", "sum_spad"
LINKS = "dram", "array", "unit"
OPERATIONS = "add", "compare", "multiply"

Count = Annotated[int, Field(ge=1, le=1 << 40)]
Energy = tuple[str, ...]  # names of parameters that are multiplied


class Price(Record):
    """A link between levels, or an operation.

    Parameters
    ----------
    energy : tuple of str
        Parameters whose product is the energy of one access, one bit or one bit of one addition, as their units say.
    width : int
        Bits that one access moves; 1 where the energy is that of a bit.
    """

    energy: Energy
    width: Count = 1


class Store(Record):
    """A memory.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int or None
        Words; of a scratchpad, those of one unit. None for as many as are needed.
    read, write : tuple of str
        Parameters whose product is the energy of accessing one word.
    packed : bool
        Neighbouring elements share a word and an access. If not, every element is an access, or several if it is wider.
    bits_per_cycle : int or None
        What it gives or takes in a cycle; None for as much as is needed.
    """

    width: Count
    depth: Count | None = None
    read: Energy
    write: Energy
    packed: bool = True
    bits_per_cycle: Count | None = None

    @property
    def bits(self) -> float:
        """Capacity."""
        return float("inf") if self.depth is None else float(self.width * self.depth)


class Array(Record):
    """The add-and-compare units.

    Parameters
    ----------
    rows, columns : int
        Units of a column add to the same outputs with different weights; columns compute different positions of the output with
        the same weights, or have different weights as well.
    sum_bits : int
        Width of a partial sum.
    """

    rows: Count
    columns: Count
    sum_bits: Count

    @property
    def units(self) -> int:
        """Number of units."""
        return self.rows * self.columns


class Homes(Record):
    """The outermost memory of each kind of data; the others are bypassed. States of neurons may be left out of the model."""

    weights: Literal["dram", "global_buffer"]
    inputs: Literal["dram", "global_buffer"]
    outputs: Literal["dram", "global_buffer"]
    sums: Literal["dram", "global_buffer"]
    states: Literal["dram", "global_buffer", "none"]


class Zeros(Record):
    """What a zero saves: ``"skip"`` access, operation and cycle, ``"gate"`` access and operation, ``"none"`` nothing.

    Weights that are stored dense have to be read before a zero is seen, and cost their access and their cycle.
    """

    inputs: Literal["skip", "gate", "none"]
    weights: Literal["skip", "gate", "none"]


class Formats(Record):
    """How data are stored, by names of :func:`snnhw.cost.encodings.parse_encoding`, and the positions of a fibre."""

    weights: str
    inputs: str
    outputs: str
    fibre: Count

    @model_validator(mode="after")
    def _known(self) -> "Formats":
        for name in (self.weights, self.inputs, self.outputs):
            try:
                parse_encoding(name)
            except UsageError as error:
                raise ValueError(str(error)) from None
        return self

    def encoding(self, kind: str) -> Encoding:
        """Return the encoding of ``"weights"``, ``"inputs"`` or ``"outputs"``."""
        return parse_encoding(getattr(self, kind))


class Mapping(Record):
    """Bounds of the mapping search.

    Parameters
    ----------
    time_batch : int
        Most timesteps that a layer computes before another layer is computed; 1 runs the network timestep by timestep, and
        brings every weight in each of them.
    columns : str
        ``"positions"``: columns have the same weights and compute different positions of the output, as in a row-stationary
        dataflow, except in a layer with fewer positions than columns. ``"free"``: the search decides.
    objective : str
        What is smallest: ``"edp"``, ``"energy"`` or ``"cycles"``.
    """

    time_batch: Count
    columns: Literal["positions", "free"]
    objective: Literal["edp", "energy", "cycles"]


class Architecture(Record):
    """An accelerator: DRAM, a global buffer, and an array of units with three scratchpads each.

    Parameters
    ----------
    name, title, node : str
        For files, for people, and the technology of its energies.
    stores : mapping of str to Store
        ``"global_buffer"``, ``"input_spad"``, ``"weight_spad"``, ``"sum_spad"``, and ``"dram"`` unless nothing lies there.
    links : mapping of str to Price
        ``"dram"`` (between DRAM and what lies inside), ``"array"`` (between the global buffer and the array) and ``"unit"``
        (between scratchpads and their unit). Those that are absent cost nothing.
    operations : mapping of str to Price
        ``"add"`` and ``"compare"``, for each bit; ``"multiply"``, for each bit of both factors: only where inputs are graded.
    parameters : mapping of str to Constant
        The numbers.
    """

    name: Text
    title: Text
    node: Text
    array: Array
    stores: dict[str, Store]
    homes: Homes
    links: dict[str, Price] = Field(default_factory=dict)
    operations: dict[str, Price]
    zeros: Zeros
    formats: Formats
    mapping: Mapping
    parameters: dict[str, Constant]

    @model_validator(mode="after")
    def _complete(self) -> "Architecture":
        for table, known in (("stores", (*HOMES, *SPADS)), ("links", LINKS), ("operations", OPERATIONS)):
            for name in getattr(self, table):
                if name not in known:
                    raise ValueError(f"{table} must be of {', '.join(known)}, not {name!r}")
        for level in ("global_buffer", *SPADS):
            if level not in self.stores:
                raise ValueError(f"table stores.{level} is missing")
        for level in SPADS:
            if self.stores[level].depth is None:
                raise ValueError(f"stores.{level} must have a depth")
        homes = self.homes.model_dump()
        if "dram" not in self.stores and "dram" in homes.values():
            kinds = ", ".join(kind for kind, home in homes.items() if home == "dram")
            raise ValueError(f"table stores.dram is missing, and is the home of {kinds}")
        for operation in OPERATIONS:
            if operation not in self.operations:
                raise ValueError(f"table operations.{operation} is missing")
        for where, energy, unit in self._energies():
            missing = [name for name in energy if name not in self.parameters]
            if missing or not energy:
                raise ValueError(f"{where} must name parameters, not {', '.join(map(repr, missing)) or 'none'}")
            units = sorted(self.parameters[name].unit for name in energy if self.parameters[name].unit != "1")
            if units != [unit]:
                raise ValueError(f"{where} must be in {unit}, not {' x '.join(units) or '1'}")
        return self

    def _energies(self) -> list[tuple[str, Energy, str]]:
        """Return where parameters are named, which ones, and in what unit their product must be."""
        found: list[tuple[str, Energy, str]] = []
        for level, store in self.stores.items():
            found += [(f"stores.{level}.{action}", energy, "pJ/access")
                      for action, energy in (("read", store.read), ("write", store.write))]
        found += [(f"links.{name}", price.energy, "pJ/bit" if price.width == 1 else "pJ/access")
                  for name, price in self.links.items()]
        found += [(f"operations.{name}", price.energy, "pJ/bit2" if name == "multiply" else "pJ/bit")
                  for name, price in self.operations.items()]
        return found

    def __getitem__(self, name: str) -> Constant:
        return self.parameters[name]

    def price(self, energy: Energy, which: str = "mid") -> float:
        """Return the product of parameters in picojoules; `which` is ``"low"``, ``"mid"`` or ``"high"``."""
        result = 1.0
        for name in energy:
            result *= getattr(self.parameters[name], which)
        return result

    def changed(self, **tables: dict[str, Any]) -> "Architecture":
        """Return this architecture with other values in its tables: ``changed(formats={"weights": "cp"})``.

        Raises
        ------
        UsageError
            There is no such value, or it does not fit the others.
        """
        content = self.model_dump(mode="json")
        for table, values in tables.items():
            if not isinstance(content.get(table), dict):
                raise UsageError(f"architecture {self.name!r} has no table {table!r}")
            content[table] |= values
        try:
            return Architecture.model_validate(content)
        except ValidationError as error:
            raise UsageError(f"architecture {self.name!r}: {_first(error)}") from None


def architecture_names() -> tuple[str, ...]:
    """Return the names of the architectures that come with the package."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load_architecture(name: str | Path) -> Architecture:
    """Load an architecture that comes with the package, by name, or one of the user's, by the path of its ``.toml`` file."""
    if isinstance(name, str) and name in architecture_names():
        return _shipped(name)
    if Path(name).suffix != ".toml":
        raise UsageError(f"architecture must be one of {', '.join(architecture_names())} or a .toml file, not {str(name)!r}")
    return _load(Path(name))  # a user's file may change between two calls


@lru_cache
def _shipped(name: str) -> Architecture:
    return _load(FOLDER / f"{name}.toml")


def _load(path: Path) -> Architecture:
    try:
        table = tomllib.loads(read_bytes(path, "architecture file", MAX_BYTES).decode())
    except (ValueError, RecursionError):
        raise FileError(f"architecture file {str(path)!r} must be TOML, and is not") from None
    try:
        return Architecture.model_validate(table)
    except ValidationError as error:
        raise FileError(f"architecture file {str(path)!r}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "its tables"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower() + message[1:]}"
