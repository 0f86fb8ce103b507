"""How the weights of a fully connected layer are stored: what each way costs, and which one is chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snnhw.plan.columns import COLUMN_FORMATS, Columns
from snnhw.plan.packing import Packing, pack
from snnhw.plan.plan import Plan
from snnhw.plan.queued import DEFAULT_QUEUE, MAX_QUEUE, Queued
from snnhw.plan.synapses import Dense, Path, Scattered, scatter

__all__ = ["EXPECTED_RATE", "FORMATS", "PARAMETERS", "UNPACKED", "Alternative", "alternative_rows", "alternatives", "best",
           "loadable", "stored_bits"]

#: Every way to store a layer; the first two of what is equal are preferred in this order.
FORMATS = "dense", "bank", "csc", "queued", "bitmap", "run-length", "block"
#: Formats whose words hold something else in the place of weights, so that these cannot be packed.
UNPACKED = ("bitmap", "queued")
#: Formats with a number behind a colon: the least, the most, and what it is.
PARAMETERS = {"run-length": (1, 16, "run bits"), "queued": (1, MAX_QUEUE, "queue depth")}
EXPECTED_RATE = 0.1  # events per input and timestep; only compares what is to be chosen, never enters a result
#: What a memory of its own is charged at least, in bits: the smallest that a device has.
SMALLEST_MEMORY = 1024
#: What a bit in a register is charged, in bits of a memory.
REGISTER_BITS = 16


@dataclass(frozen=True)
class Alternative:
    """One way to store the weights of a layer.

    Attributes
    ----------
    format : str
        Its name.
    synapses : Dense, Scattered or Columns
        The weights, stored that way.
    bits : int
        Stored bits: weights, what tells their rows, where lists lie.
    cycles : float
        Expected cycles of a timestep at a rate of 0.1.
    break_even : float or None
        Density of weights, spread evenly over the lanes, below which fewer bits are stored than dense, neither being packed;
        None of dense itself.
    packing : Packing or None
        How the weights of a word are packed; None if they are not.
    """

    format: str
    synapses: Dense | Scattered | Columns | Queued
    bits: int
    cycles: float
    break_even: float | None
    packing: Packing | None = None

    @property
    def cost(self) -> float:
        """Bits times cycles, with the memories of currents and the queues that it needs."""
        synapses = self.synapses
        added = 0 if isinstance(synapses, Dense) else 2 * synapses.banks * max(SMALLEST_MEMORY, synapses.words * 16)
        if isinstance(synapses, Queued):
            lane = synapses.depth * (synapses.weight_bits + synapses.row_bits)
            added += synapses.lanes * (max(SMALLEST_MEMORY, lane) - lane + REGISTER_BITS * synapses.queue * synapses.queue_bits)
        return (self.bits + added) * self.cycles


def break_even(name: str, weight_bits: int, rows: int, run_bits: int = 0) -> float | None:
    """Return the density below which a format stores fewer bits than dense weights; `rows` are those of a lane.

    Where entries are spread evenly over lanes, and lists of differing lengths do not need to be filled up: ``b / (b + i)`` for an
    index of i bits, ``1 - h / b`` for h bits of header per row, without what tells where lists lie. 0 where there is none.
    """
    if name == "dense":
        return None
    if name in ("bank", "csc", "queued"):
        index = max(0, rows - 1).bit_length()
        return weight_bits / (weight_bits + index)
    if name == "bitmap":
        header = -(-rows // weight_bits) * weight_bits / rows if rows > 1 else 0.0
        return max(0.0, 1 - header / weight_bits)
    if name == "run-length":
        # Entries of runs that are too long count too: found where d (b + r) (1 + q^R / (1 - q^R)) = b, q = 1 - d, R = 2^r - 1.
        density = np.arange(1, 1000) / 1000
        kept = (1 - density) ** max(1, (1 << run_bits) - 1)
        bits = density * (weight_bits + run_bits) * (1 + kept / (1 - kept))
        return float(density[bits <= weight_bits].max(initial=0.0))
    return 1.0


def _cycles(synapses: Dense | Scattered | Columns | Queued, outputs: int, inputs: int, lanes: int) -> float:
    """Return the expected cycles of a timestep: one for each word, but not less than the serial finaliser."""
    if isinstance(synapses, Queued):
        # A lane at most an event in a cycle, and the busiest lane.
        lane = EXPECTED_RATE * synapses.lengths.sum(axis=0).max()
        return max(float(lane), EXPECTED_RATE * inputs, float(outputs))
    words = (-(-outputs // lanes) * max(1.0, EXPECTED_RATE * inputs) if isinstance(synapses, Dense)
             else EXPECTED_RATE * float(np.maximum(synapses.list_lengths(), 1).sum()))
    return max(words, float(outputs))


def store(name: str, weight: np.ndarray, weight_bits: int, lanes: int, where: str,
          parameter: int = 0) -> Dense | Scattered | Columns | Queued:
    """Return a matrix, (neurons, sources), stored in one way; `parameter` is that of :data:`PARAMETERS`, 0 for the usual."""
    if name == "dense":
        return Dense(weight, weight_bits)
    if name == "queued":
        return Queued(weight, weight_bits, lanes, parameter or DEFAULT_QUEUE)
    if name == "block":
        target, source = np.nonzero(weight)
        zeros = np.zeros_like(source)
        path = Path(source, target, zeros, zeros, weight[target, source])
        return scatter([(path, weight.shape[1])], (weight.shape[0],), lanes, where)
    column = next(format for format in COLUMN_FORMATS if format == name)
    return Columns(weight, weight_bits, lanes, column, parameter if name == "run-length" else 0)


def loadable(name: str) -> str:
    """Return a format, or the nearest to it whose weights can be loaded at run time."""
    return "csc" if name == "queued" else name


def stored_bits(synapses: Dense | Scattered | Columns | Queued, lanes: int, packing: Packing | None) -> int:
    """Return the bits of weights, packed or not, of what tells their rows, and of where lists lie."""
    if packing is None:
        return synapses.stored_bits
    if isinstance(synapses, Dense):
        outputs, inputs = synapses.weight.shape
        tiles, rest = divmod(outputs, lanes)
        return inputs * (tiles * packing.bits(lanes) + packing.bits(rest))
    lanes = synapses.lanes
    return synapses.stored_bits - synapses.stored // lanes * (lanes * synapses.weight_bits - packing.bits(lanes))


def alternatives(weight: np.ndarray, weight_bits: int, lanes: int, where: str, *, names: Sequence[str] = FORMATS,
                 packing: str = "auto", parameter: int = 0) -> list[Alternative]:
    """Return what each way to store a matrix, (neurons, sources), costs with so many lanes; what cannot be packed is left out.

    Raises
    ------
    ValueError
        No format can be packed as :func:`~snnhw.plan.packing.pack` is asked to.
    """
    outputs, inputs = weight.shape
    found, problem = [], ValueError(f"Format must be one that can be packed, not {' or '.join(names)}")
    for name in names:
        if name in UNPACKED and packing not in ("auto", "none"):
            continue
        synapses = store(name, weight, weight_bits, lanes, where, parameter)
        try:
            mine = lanes if isinstance(synapses, Dense) else synapses.lanes
            packed = None if name in UNPACKED else pack(packing, synapses.values, synapses.weight_bits, mine)
        except ValueError as error:
            problem = error
            continue
        rows, run_bits = -(-outputs // lanes), synapses.chosen_run_bits if isinstance(synapses, Columns) else 0
        found.append(Alternative(name, synapses, stored_bits(synapses, lanes, packed), _cycles(synapses, outputs, inputs, lanes),
                                 break_even(name, weight_bits, rows, run_bits), packed))
    if not found:
        raise problem
    return found


def alternative_rows(plan: Plan) -> list[dict[str, object]]:
    """Return one row for each way to store each fully connected layer, beside the one that the plan has."""
    rows: list[dict[str, object]] = []
    for layer in plan.layers:
        if isinstance(layer.synapses, Scattered):
            continue
        weight = layer.synapses.weight
        density = float((weight != 0).mean())
        dense = weight.size * layer.weight_bits
        for one in alternatives(weight, layer.weight_bits, layer.lanes, layer.name,
                                names=FORMATS if not layer.input_value_bits else FORMATS[1:]):
            rows.append({
                "layer": layer.name, "format": one.format, "chosen": one.format == layer.format,
                "packing": one.packing.name if one.packing else "none", "bits": one.bits, "share_of_dense": one.bits / dense,
                "expected_cycles": one.cycles, "density": density, "break_even": one.break_even,
                "verdict": "" if one.bits <= dense else "stores more than dense",
            })
    return rows


def best(some: Sequence[Alternative]) -> Alternative:
    """Return the alternative with the lowest product of bits and cycles; nothing that stores more bits than dense is chosen."""
    dense = next((one.bits for one in some if one.format == "dense"), None)
    allowed = [one for one in some if dense is None or one.bits <= dense]
    return min(allowed, key=lambda one: (one.cost, FORMATS.index(one.format)))
