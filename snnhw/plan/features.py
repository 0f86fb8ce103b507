"""What the logic of a plan depends on: counts and widths of what its cores are made of.

Every feature is a number of like things (register bits, adder bits, lanes with an address of their own), so that a coefficient
is what one of them takes. Dense cores and cores that walk lists share the features of events, neurons and memories; each has
its own for the weighted sums.
"""

import math
from collections.abc import Sequence

import numpy as np

from snnhw.board import Board
from snnhw.fixed import signed_bits, unsigned_bits
from snnhw.plan.columns import Columns
from snnhw.plan.plan import BITMAP_BITS, LayerPlan, Plan
from snnhw.plan.queued import Queued
from snnhw.plan.ram import RamUse, map_memories
from snnhw.plan.registers import TOTALS, layer_counters
from snnhw.plan.stages import drive_stage, leak_stages, write_stage
from snnhw.plan.synapses import Dense, Scattered

__all__ = ["core_features", "decay_products", "event_products", "multiplier_blocks", "plan_features"]

# Yosys 0.70, dsp_map.v of each family: widest operand, narrowest rest, narrowest product that become a multiplier block.
_MULTIPLIERS = {"ice40": (16, 2, 11), "ecp5": (18, 4, 9), "gowin": (18, 4, 9), "xilinx7": (18, 2, 9)}
# The same of products of a weight and a value: narrowest operand, narrowest product.
_NARROWEST = {"ice40": (2, 11), "ecp5": (2, 4), "gowin": (4, 8), "xilinx7": (2, 9)}
_ADDRESSES = 3  # registers of the event list that hold one: written, read, last to be read
_COUNTS = 3  # registers of the finaliser that hold the number of a neuron: first, written, handed on


def _blocks(bits: int, other: int, family: str) -> int:
    """Return into how many parts an operand is cut."""
    largest, narrowest, product = _MULTIPLIERS[family]
    whole, rest = divmod(bits, largest)
    return max(1, whole + (rest >= narrowest and rest + other >= product))


def multiplier_blocks(bits: int, other: int, board: Board) -> int:
    """Return the multiplier blocks of a product of two signed words; 0 where it is left to logic."""
    if not board.budget.dsp.count or bits + other < _MULTIPLIERS[board.family][2]:
        return 0
    return _blocks(bits, other, board.family) * _blocks(other, bits, board.family)


def event_products(layer: LayerPlan, board: Board) -> tuple[int, int]:
    """Return the multiplier blocks of the products of weights and values, and the partial products that are left to logic."""
    bits, other = layer.weight_bits, layer.input_value_bits
    operand, whole = _NARROWEST[board.family]
    if board.budget.dsp.count and min(bits, other) >= operand and bits + other >= whole:
        return layer.lanes * _blocks(bits, other, board.family) * _blocks(other, bits, board.family), 0
    return 0, layer.lanes * bits * other


def decay_products(layer: LayerPlan) -> list[tuple[int, int]]:
    """Return the widths of state and factor of every decay that multiplies."""
    # That a state is small is only known to a decay that rounds toward zero; others take all bits that reach their result.
    decay = layer.spec.decay
    reached = layer.state.bits if decay.rounding == "zero" else max(layer.state.bits, layer.update_bits + decay.shift)
    words = [(decay, min(layer.state_bits, reached))]
    if layer.spec.synapse is not None and layer.synapse is not None:
        words.append((layer.spec.synapse, min(layer.synapse_bits, layer.synapse.bits)))
    found = []
    for decay, bits in words:
        if decay.kind == "mul":
            factor = np.asarray(decay.factor)
            found.append((bits, signed_bits(int(factor.min()), int(factor.max()))))
    return found


def _address_bits(depth: int) -> int:
    return unsigned_bits(depth - 1)


def _is_late(layer: LayerPlan) -> bool:
    """Whether a reset happens one timestep later."""
    return layer.spec.reset_time == "next" and layer.spec.reset != "none"


def _pipeline_bits(layer: LayerPlan) -> int:
    """Return the bits of registers between the stages of a finaliser, products aside; see :class:`rtl_gen.neuron.Neuron`."""
    spec, last = layer.spec, write_stage(layer)
    state_bits = min(layer.state_bits, layer.state.bits)
    first = spec.decay if spec.synapse is None else spec.synapse
    begin = drive_stage(layer) - 1 - leak_stages(spec.decay)  # of the decay of the membrane
    drive = layer.current_bits + (spec.frac if np.any(spec.bias) else 0)
    bits = layer.current_bits * (1 + leak_stages(first)) + drive + 3 * last
    bits += state_bits * (begin - 1 + (spec.decay.kind != "mul"))
    if layer.synapse is not None:
        bits += layer.synapse_update_bits + layer.synapse_bits * (1 + last - drive_stage(layer))
        bits += layer.synapse_bits * (first.kind != "mul")
    bits += layer.update_bits * (1 + (_is_late(layer) and spec.reset == "subtract"))
    if spec.grades > 1:
        bits += 3 * layer.state_bits + 2 * spec.grades
    elif spec.reset_time == "immediate" and spec.reset == "subtract":
        bits += layer.state_bits
    delays = {"bias": leak_stages(first), "threshold": last - 2, "reset_amount": last - 2}
    bits += sum(width * delays.get(name, 1) for name, width in layer.parameter_bits.items())
    return bits + layer.value_bits


def _dense_features(layer: LayerPlan) -> dict[str, float]:
    """Return what the accumulators of a dense core are made of."""
    assert isinstance(layer.synapses, Dense)
    address = _address_bits(layer.memories[0].depth)
    # The base of a tile is a multiple of the inputs: zeros at its lower end are not stored.
    base = max(0, address - ((layer.inputs & -layer.inputs).bit_length() - 1)) if layer.tiles > 1 else 0
    return {
        # Of a short memory, many bits are the same function of its address.
        "sum_registers": layer.lanes * (2 * layer.current_bits + layer.weight_bits) + address + base
        + min(layer.lanes * layer.weight_bits, 1 << min(layer.memories[0].depth, 16)),
        "tiled": layer.tiles > 1,
    }


def _list_features(layer: LayerPlan) -> dict[str, float]:
    """Return what the walker and the currents of a core with lists are made of."""
    synapses = layer.synapses
    assert not isinstance(synapses, Dense)
    place = _address_bits(synapses.words) if synapses.words > 1 else 0
    counters = 3 * place + 2 * _address_bits(layer.lanes)
    if isinstance(synapses, Scattered):
        counters += sum(_address_bits(size) for size in (synapses.grid.rows, synapses.grid.columns, synapses.tiles) if size > 1)
    rows = synapses.words if isinstance(synapses, Columns) and synapses.headers else 0
    if isinstance(synapses, Queued):
        # Each lane has pointers of its own, what fills its queue, and flags of its pipeline.
        pointers = layer.lanes * (synapses.queue_bits + synapses.queue + 2 * layer.input_value_bits + 12)
        queued = layer.lanes * synapses.queue_bits
    else:
        fields = [bits for _, bits in layer.source_fields]
        pointers = _address_bits(layer.memories[0].depth) + (fields[-1] if fields else 0)
        pointers += 2 * fields[0] if len(fields) == 3 else 0  # the base, in two stages
        pointers += 3 * layer.input_value_bits
        queued = 0
    return {
        # What is added, what is being added, what was written last.
        "sum_registers": 3 * layer.lanes * layer.current_bits + 2 * synapses.banks * place + pointers + counters
        + layer.lanes * synapses.headers * layer.weight_bits,
        "walker": 1,
        "list_current_bits": layer.lanes * layer.current_bits,
        "banks": synapses.banks,
        "place_bits": synapses.banks * place,
        "mask_bits": layer.lanes * rows,
        "queued_bits": queued,
    }


def _join_features(plan: Plan, layer: LayerPlan) -> dict[str, float]:
    """Return what joins the sources of a core."""
    if not layer.merged:
        return {}
    queues = 0
    for source in layer.sources:
        if source.queue:
            given = plan.layers[source.core] if source.core is not None else None
            bits = given.output_address_bits + given.value_bits if given is not None else plan.input_bits
            queues += bits + 2 + 3 * _address_bits(source.queue)
    return {"merged_bits": len(layer.sources) * (layer.input_address_bits + layer.input_value_bits + 4), "registers": queues}


def core_features(layer: LayerPlan, uses: Sequence[RamUse], board: Board) -> dict[str, float]:
    """Return what the logic of one core depends on; `uses` are its memories on `board`. Features that are 0 may be missing."""
    spec = layer.spec
    outside = [use for use in uses if use.resource in ("logic", "lut_ram") and use.memory.role != "lane_queues"]
    # Of a short table, many bits are the same function of its address.
    widths = [min(use.memory.width, 1 << min(use.memory.depth, 16)) if use.memory.content == "rom" else use.memory.width
              for use in outside]
    sums = _list_features(layer) if layer.scattered else _dense_features(layer)
    if layer.events == "bitmap":
        # The word that is read, its number in five registers, the tile in two, the address that is handed on.
        events = BITMAP_BITS + 5 * _address_bits(-(-layer.inputs // BITMAP_BITS)) + 2 * _address_bits(layer.tiles)
        events += layer.input_address_bits
    else:
        events = _ADDRESSES * _address_bits(2 * layer.inputs)
    return sums | {
        "core": 1,
        "registers": sums["sum_registers"] + events + _COUNTS * layer.output_address_bits + _pipeline_bits(layer),
        "event_address_bits": 0 if layer.events == "bitmap" else _address_bits(2 * layer.inputs),
        "event_bitmaps": layer.events == "bitmap",
        "update_bits": layer.update_bits + layer.synapse_update_bits,
        "counted_bits": spec.grades * layer.state_bits if spec.grades > 1 else 0,
        "parameter_bits": sum(layer.parameter_bits.values()),
        "multiplied_bits": sum(bits + other for bits, other in decay_products(layer)),
        "product_bits": event_products(layer, board)[1]
        + sum(bits * other for bits, other in decay_products(layer) if not multiplier_blocks(bits, other, board)),
        "mux_bits": sum(use.mux_bits for use in uses if use.resource != "lut_ram"),
        "lut_rams": sum(use.blocks for use in uses if use.resource == "lut_ram"),
        "output_bits": sum(use.memory.copies * width for use, width in zip(outside, widths, strict=True)),
        # A table of up to 16 words is one cell for each bit.
        "tables": sum(width * -(-use.memory.depth // 16) for use, width in zip(outside, widths, strict=True)
                      if use.resource == "logic" and use.memory.content == "rom"),
        "register_bits": sum(use.memory.bits for use in uses if use.resource == "logic" and use.memory.content != "rom"),
    }


def plan_features(plan: Plan, board: Board) -> dict[str, float]:
    """Return the features of all cores, added up; those that are 0 may be missing."""
    uses = map_memories(plan, board)
    # Registers of the ports: one for what comes in, two for what leaves.
    total: dict[str, float] = {"accelerator": 1, "registers": plan.input_bits + 2 * plan.output_bits}
    if plan.control is not None:
        total["counters"] = len(TOTALS) + sum(len(layer_counters(layer)) for layer in plan.layers)
    if plan.decision is not None:
        # The best two, the class and the score that come, and the result.
        total["decision_bits"] = 5 * plan.decision.score_bits + 3 * plan.last.output_address_bits
    for layer in plan.layers:
        core = core_features(layer, [use for use in uses if use.layer == layer.index], board)
        for name, value in (*core.items(), *_join_features(plan, layer).items()):
            total[name] = total.get(name, 0) + value
    return total | _path_features(plan, uses)


def _path_features(plan: Plan, uses: Sequence[RamUse]) -> dict[str, float]:
    """Return what the longest path may be made of: the widest sums, and what the slow output of a block of memory feeds."""
    blocks = {use.memory.role for use in uses if use.resource in ("block_ram", "single_port_ram")}
    lists = [layer for layer in plan.layers if layer.scattered]
    return {
        "widest_update": max(layer.update_bits for layer in plan.layers),
        "deepest_mux": math.log2(max(use.rows for use in uses)),
        "block_states": "membranes" in blocks,
        "lists": len(lists) > 0,
        # Of a weight, as it is read, and a value.
        "widest_product": max((layer.weight_bits + layer.input_value_bits for layer in lists if layer.input_value_bits),
                              default=0),
    }
