"""What counts mean by width: accesses of each memory by what a word of it holds, and operations of each unit by their bits."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from snnhw.board import Board
from snnhw.cost.counts import Counts
from snnhw.cost.memories import ACCESSES, at_once, queue_accesses
from snnhw.cost.tables import TextTable
from snnhw.plan import LayerPlan, Memory, Plan
from snnhw.plan.accesses import events_of
from snnhw.plan.columns import Columns
from snnhw.plan.queued import Queued
from snnhw.plan.ram import RamUse, map_memories, queue_use

__all__ = ["access_rows", "count_table", "finaliser_steps", "operation_rows", "work_json"]

Json = dict[str, Any]


def _parts(layer: LayerPlan, memory: Memory) -> dict[str, int]:
    """Return the bits of a word of a memory by what they hold."""
    if memory.role == "weights":
        lanes = 1 if isinstance(layer.synapses, Queued) else layer.lanes
        weights = sum(layer.packing.widths(lanes)) if layer.packing else lanes * layer.weight_bits
        return {"weights": weights, "index": memory.width - weights} if memory.width > weights else {"weights": weights}
    if memory.role == "events" and layer.events == "list":
        return {"address": layer.input_address_bits} | ({"value": layer.input_value_bits} if layer.input_value_bits else {})
    if memory.role == "membranes":
        return {"membrane": layer.state_bits} | ({"synapse": layer.synapse_bits} if layer.synapse_bits else {})
    if memory.role == "parameters":
        return dict(layer.parameter_bits)
    return {{"sources": "pointers", "events": "flags", "currents": "sums"}.get(memory.role, "event"): memory.width}


def _row(
    layer: LayerPlan, memory: Memory, use: RamUse, signal: str, count: float, writes: bool, parts: Mapping[str, int]
) -> Json:
    blocks = use.blocks // use.memory.copies
    return {
        "layer": layer.name,
        "memory": memory.role,
        "access": "write" if writes else "read",
        "signal": signal,
        "count": count,
        "word_bits": memory.width,
        "parts": dict(parts),
        "bits": count * memory.width,
        "resource": use.resource,
        "blocks": -(-blocks // use.rows) if writes else blocks,
    }


def access_rows(plan: Plan, counts: Counts, board: Board) -> list[Json]:
    """Return the accesses of every memory, means over the samples.

    Each row has: `layer`; `memory`; `access`, read or write; `signal`, the count that it is; `count`, words per sample, of all
    copies together; `word_bits`, and what they hold in `parts`; `resource` of the board that the memory becomes, and `blocks`
    of it that an access enables, 0 for registers and logic. Header words of the bitmap format, which hold bits of rows in the
    place of weights, have a row of their own.
    """
    uses: list[dict[str, RamUse]] = [{} for _ in plan.layers]
    for use in map_memories(plan, board):
        uses[use.layer][use.memory.role] = use
    rows = []
    for layer in plan.layers:
        memories = {memory.role: memory for memory in layer.memories}
        for role, signal, writes in ACCESSES:
            if role in memories and signal in counts.layers[layer.index]:
                count = counts.mean(layer.index, signal) * at_once(layer, role, signal)
                memory, use = memories[role], uses[layer.index][role]
                headers = 0.0
                if role == "weights" and isinstance(layer.synapses, Columns) and layer.synapses.headers:
                    headers = count - counts.mean(layer.index, "accumulate")
                    rows.append(_row(layer, memory, use, signal, headers, writes, {"index": memory.width}))
                rows.append(_row(layer, memory, use, signal, count - headers, writes, _parts(layer, memory)))
        rows += [_row(layer, memory, queue_use(memory, board, layer), signal, counts.mean(layer.index, signal), writes,
                      _parts(layer, memory)) for memory, signal, writes in queue_accesses(plan, layer)]
    return rows


def finaliser_steps(layer: LayerPlan) -> list[tuple[str, int, int]]:
    """Return what one update of a neuron takes: operation, its bits, how many.

    The leak is a subtraction (shift) or a product (factor), with a correction where that is rounded toward zero; the sum is
    added, and the bias where there is one; the threshold is compared, or every threshold of a count; a subtracting reset is one
    more subtraction. A synapse leaks and adds once more.
    """
    spec = layer.spec
    steps = [("add", layer.update_bits, 1 + bool(np.any(spec.bias)) + (spec.reset == "subtract"))]
    if spec.synapse is not None:
        steps.append(("add", layer.synapse_update_bits, 1))
    for decay, bits in ((spec.decay, layer.state_bits), (spec.synapse, layer.synapse_bits)):
        if decay is not None and (decay.kind == "shift" or (decay.kind == "mul" and decay.rounding == "zero")):
            steps.append(("add", bits, 1))
        if decay is not None and decay.kind == "mul":
            steps.append(("multiply", bits * (decay.shift + 1), 1))
    if spec.output != "state":
        steps.append(("compare", layer.state_bits, spec.grades))
    return steps


def operation_rows(plan: Plan, trains: Mapping[str, np.ndarray], counts: Counts) -> list[Json]:
    """Return the operations of every unit by their width, means over the samples.

    Each row has: `layer`; `unit`, adders or finaliser; `operation`, add, compare or multiply; `bits`, of its operands, for a
    product those of one times those of the other; `count` per sample. That of adders is every addition that lanes make, in all
    slots: those past the last neuron, of zeros that fill up lists, and of slots without an event too; `not_zero` are the
    additions of weights that are not zero.
    """
    rows = []
    for layer in plan.layers:
        slots = counts.mean(layer.index, "accumulate") * (1 if isinstance(layer.synapses, Queued) else layer.lanes)
        events = events_of(layer, trains)
        not_zero = int(events.sum(axis=(0, 1), dtype=np.int64) @ layer.synapses.fan_out()) / len(events)
        adders = [("add", layer.current_bits)]
        if layer.input_value_bits:
            adders.append(("multiply", layer.weight_bits * layer.input_value_bits))
        rows += [{"layer": layer.name, "unit": "adders", "operation": operation, "bits": bits, "count": slots,
                  "not_zero": not_zero} for operation, bits in adders]
        together: dict[tuple[str, int], int] = {}
        for operation, bits, number in finaliser_steps(layer):
            together[operation, bits] = together.get((operation, bits), 0) + number
        updates = counts.mean(layer.index, "finalise")
        rows += [{"layer": layer.name, "unit": "finaliser", "operation": operation, "bits": bits, "count": updates * number}
                 for (operation, bits), number in together.items()]
    return rows


def work_json(plan: Plan, trains: Mapping[str, np.ndarray], counts: Counts, board: Board) -> Json:
    """Return accesses and operations by width."""
    return {"accesses": access_rows(plan, counts, board), "operations": operation_rows(plan, trains, counts)}


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def count_table(layers: list[Json], work: Json) -> TextTable:
    """Return what each core does in a sample; words and additions with their bits.

    Parameters
    ----------
    layers : list of dict
        :func:`snnhw.cost.results.layers_json`.
    work : dict
        :func:`work_json`.
    """

    def words(layer: str, *signals: str) -> str:
        sums: dict[tuple[int, str], float] = {}
        for row in work["accesses"]:
            if row["layer"] == layer and any(row["signal"].startswith(signal) for signal in signals):
                place = row["word_bits"], row["signal"]
                sums[place] = sums.get(place, 0.0) + row["count"]
        return " / ".join(f"{_amount(count)} × {bits}" for (bits, _), count in sums.items()) or "-"

    rows = []
    for layer in layers:
        name, counts = layer["layer"], layer["counts"]
        adds = next(row for row in work["operations"] if row["layer"] == name and row["unit"] == "adders")
        total = counts.get("busy", 0) + counts.get("stalled", 0) + counts.get("idle", 0)
        shares = [f"{counts[kind] / total:.1%}" if total else "-" for kind in ("busy", "stalled", "idle")]
        rows.append((
            name, words(name, "weights_read"), words(name, "sources_read"), words(name, "membranes_read", "membranes_write"),
            words(name, "queue", "lane_queues"), f"{_amount(adds['count'])} × {adds['bits']}", _amount(counts["finalise"]),
            _amount(counts["events_sent"]), *shares,
        ))
    return TextTable(
        "counts per sample, words and additions × their bits",
        ("layer", "weights read", "pointers read", "states read / written", "queues written / read", "additions", "updates",
         "events sent", "busy", "stalled", "idle"),
        tuple(rows),
        frozenset(range(1, 11)),
    )
