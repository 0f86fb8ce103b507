"""What a plan will use of a device, before synthesis.

Memories follow the rules of :mod:`snnhw.plan.ram`. Logic cells and flip-flops are sums over the cores of

    coefficient * feature

where the features are widths and counts of the plan, and the coefficients of each family were fitted to a corpus of synthesised
random plans (``area.toml``, made by ``benchmarks/area_corpus.py``, has them with the error on plans that were held out). The
corpus has no cores with lists and none with several sources: what such a plan takes is estimated with the features of dense
cores, and its bounds are far apart.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from snnhw.board import RESOURCES, Board, available, shortages
from snnhw.fixed import signed_bits
from snnhw.plan.plan import LayerPlan, Plan
from snnhw.plan.ram import RamUse, map_memories
from snnhw.plan.stages import write_stage

__all__ = ["Area", "core_features", "estimate_area", "multipliers", "plan_features"]

UNCALIBRATED_ERROR = 0.4
_FITTED = "logic", "flip_flops"
# Yosys 0.70, dsp_map.v of each family: widest operand, narrowest rest, narrowest product that become a multiplier block.
_MULTIPLIERS = {"ice40": (16, 2, 11), "ecp5": (18, 4, 9), "gowin": (18, 4, 9), "xilinx7": (18, 2, 9)}
# The same of products of a weight and a value: narrowest operand, narrowest product.
_NARROWEST = {"ice40": (2, 11), "ecp5": (2, 4), "gowin": (4, 8), "xilinx7": (2, 9)}


def _calibrated(plan: Plan) -> bool:
    """Whether the corpus has plans like this one."""
    return not any(layer.scattered or len(layer.sources) > 1 or layer.sources[0].delayed for layer in plan.layers)


def core_features(layer: LayerPlan, uses: Sequence[RamUse]) -> dict[str, float]:
    """Return what the logic of one core depends on; `uses` are its memories.

    A core with lists has, in each lane, registers for what is added and for what was written last beside the sum, as wide as
    the two accumulators of a dense lane; its pointers and places are counted as addresses.
    """
    spec = layer.spec
    memories = {memory.role: memory for memory in layer.memories}
    state_bits = min(layer.state_bits, layer.state.bits)
    synapse_bits = min(layer.synapse_bits, layer.synapse.bits) if layer.synapse is not None else 0
    clipped = ((state_bits, layer.update_bits > layer.state_bits), (synapse_bits, layer.synapse_update_bits > layer.synapse_bits))
    multiplied = ((state_bits, spec.decay), (synapse_bits, spec.synapse))
    late = spec.reset_time == "next" and spec.reset != "none"
    return {
        "core": 1,
        "lane_current_bits": layer.lanes * layer.current_bits,
        "lane_weight_bits": layer.lanes * layer.weight_bits,
        "lanes": layer.lanes,
        # The walker keeps as many addresses of its currents as an event list has of its own.
        "event_address_bits": math.log2(memories["currents" if layer.scattered else "events"].depth) + 1,
        "weight_address_bits": math.log2(memories["weights"].depth) + 1 if layer.tiles > 1 or layer.scattered else 0,
        "neuron_bits": layer.output_address_bits,
        "stages": write_stage(layer),
        "state_bits": state_bits + synapse_bits,
        "update_bits": layer.update_bits + layer.synapse_update_bits,
        "reset_bits": 0 if spec.reset == "none" else state_bits,
        "late_bits": layer.update_bits if late else 0,
        "clipped_bits": sum(bits for bits, wider in clipped if wider) if spec.overflow == "saturate" else 0,
        "parameter_bits": sum(layer.parameter_bits.values()),
        "multiplied_bits": sum(bits + decay.shift for bits, decay in multiplied if decay is not None and decay.kind == "mul")
        + 2 * layer.lanes * layer.weight_bits * layer.input_value_bits,
        "mux_bits": sum(use.mux_bits for use in uses if use.resource != "lut_ram"),
        "lut_rams": sum(use.blocks for use in uses if use.resource == "lut_ram"),
        "lut_ram_mux_bits": sum(use.mux_bits for use in uses if use.resource == "lut_ram"),
        "constant_bits": sum(use.memory.bits for use in uses if use.resource == "logic" and use.memory.content == "rom"),
        "register_bits": sum(use.memory.bits for use in uses if use.resource == "logic" and use.memory.content != "rom"),
        "loaded_bits": memories["weights"].width if layer.weights_loaded else 0,
    }


def plan_features(plan: Plan, board: Board) -> dict[str, float]:
    """Return the features of all cores, added up."""
    uses = map_memories(plan, board)
    total: dict[str, float] = {"accelerator": 1}
    for layer in plan.layers:
        for name, value in core_features(layer, [use for use in uses if use.layer == layer.index]).items():
            total[name] = total.get(name, 0) + value
    return total | {
        "widest_update": max(layer.update_bits for layer in plan.layers),
        "widest_current": max(layer.current_bits for layer in plan.layers),
        "deepest_mux": math.log2(max(use.rows for use in uses)),
    }


def multipliers(plan: Plan, board: Board) -> int:
    """Return the multiplier blocks of a plan on a board: those of decays that multiply, and of events with values.

    Yosys cuts a product into blocks and leaves narrow products and narrow rests to logic.
    """
    if not board.budget.dsp.count:
        return 0
    largest, narrowest, product = _MULTIPLIERS[board.family]

    def parts(bits: int, other: int) -> int:
        whole, rest = divmod(bits, largest)
        return max(1, whole + (rest >= narrowest and rest + other >= product))

    total = 0
    for layer in plan.layers:
        value_bits, (operand, whole) = layer.input_value_bits, _NARROWEST[board.family]
        if min(layer.weight_bits, value_bits) >= operand and layer.weight_bits + value_bits >= whole:
            total += layer.lanes * parts(layer.weight_bits, value_bits) * parts(value_bits, layer.weight_bits)
        words = [(layer.spec.decay, min(layer.state_bits, layer.state.bits))]
        if layer.spec.synapse is not None and layer.synapse is not None:
            words.append((layer.spec.synapse, min(layer.synapse_bits, layer.synapse.bits)))
        for decay, bits in words:
            if decay.kind == "mul":
                factor = np.asarray(decay.factor)
                factor_bits = signed_bits(int(factor.min()), int(factor.max()))
                if bits + factor_bits >= product:
                    total += parts(bits, factor_bits) * parts(factor_bits, bits)
    return total


@dataclass(frozen=True)
class Area:
    """Estimate of what a plan uses of a board.

    Attributes
    ----------
    board : Board
        The board.
    top : str
        ``"core"`` alone, or with the serial line of the ``"board"``.
    used : dict of str to (estimate, low, high)
        For each resource; nine of ten plans that the estimator had not seen lay between low and high. Memory blocks and
        multipliers are counted, not fitted.
    fmax_mhz : (estimate, low, high) or None
        Highest clock frequency after place and route; None where it is left to the vendor's tool.
    memories : tuple of RamUse
        What each memory becomes.
    calibrated : bool
        The bounds were measured on plans of this kind. Of others, logic and flip-flops lie between bounds that are guessed, and
        no frequency is known.
    """

    board: Board
    top: Literal["core", "board"]
    used: dict[str, tuple[int, int, int]]
    fmax_mhz: tuple[float, float, float] | None
    memories: tuple[RamUse, ...]
    calibrated: bool = True

    def problems(self, design: str, *, weights_loaded: bool = False) -> list[str]:
        """Return a sentence for each resource of which the device has too few, even if the estimate is too high."""
        used = {name: low for name, (_, low, _) in self.used.items()}
        return shortages(used, self.board, design, weights_loaded=weights_loaded, estimated=_FITTED)

    @property
    def fits(self) -> bool:
        """The device has enough of everything, unless the estimate is too low."""
        have = available(self.board)
        return all(estimate <= have[name] for name, (estimate, _, _) in self.used.items())

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return a line for each resource: name, estimate, low, high, available."""
        have = available(self.board)
        lines = {name.replace("_", " "): [f"{value:,}" for value in self.used[name]] + [f"{have[name]:,}"]
                 for name in RESOURCES if have[name]}
        if self.fmax_mhz is not None:
            lines["clock MHz"] = [f"{value:.0f}" for value in self.fmax_mhz] + [f"{self.board.clock.hz / 1e6:g}"]
        return [(name, estimate, low, high, there) for name, (estimate, low, high, there) in lines.items()]

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate for ``estimate.json``."""
        have = available(self.board)
        frequency = dict(zip(("estimate", "low", "high"), self.fmax_mhz, strict=True)) if self.fmax_mhz else None
        return {
            "board": self.board.name, "top": self.top, "fits": self.fits, "calibrated": self.calibrated,
            "used": {name: {"used": used, "low": low, "high": high, "available": have[name]}
                     for name, (used, low, high) in self.used.items() if have[name]},
            "fmax_mhz": frequency,
            "memories": [{"layer": use.layer, "role": use.memory.role, "resource": use.resource, "blocks": use.blocks}
                         for use in self.memories],
        }


@cache
def _model() -> Mapping[str, Any]:
    return tomllib.loads((Path(__file__).parent / "area.toml").read_text())


def _fitted(model: Mapping[str, Any], features: Mapping[str, float]) -> float:
    return sum(value * features[name] for name, value in model["coefficients"].items())


def estimate_area(plan: Plan, board: Board, *, top: Literal["core", "board"] = "board") -> Area:
    """Estimate what `plan` uses of `board`, without synthesis.

    Parameters
    ----------
    plan : Plan
        What is built.
    board : Board
        Where.
    top : str
        ``"core"`` alone, or with the serial line of the ``"board"``, as :func:`snnhw.build.build` builds it.
    """
    family = _model()[board.family]
    features = plan_features(plan, board)
    memories = map_memories(plan, board)
    added = family["board_top"] if top == "board" else {}
    calibrated = _calibrated(plan)
    used = {}
    for name in RESOURCES:
        if name in _FITTED:
            value, error = _fitted(family[name], features), family[name]["error_p90"] if calibrated else UNCALIBRATED_ERROR
            extra = added.get(name, 0)
            used[name] = round(value + extra), math.floor(value * (1 - error) + extra), math.ceil(value * (1 + error) + extra)
        else:
            count = multipliers(plan, board) if name == "dsp" else sum(use.blocks for use in memories if use.resource == name)
            used[name] = (count + added.get(name, 0),) * 3
    clock = family.get("period_ns", {"boards": {}})
    frequency = None  # of a board that was never measured, nothing is known
    if calibrated and board.name in clock["boards"]:
        estimate, error = 1e3 / (_fitted(clock, features) * clock["boards"][board.name]), clock["error_p90"]
        frequency = round(estimate, 1), round(estimate * (1 - error), 1), round(estimate * (1 + error), 1)
    return Area(board, top, used, frequency, memories, calibrated)
