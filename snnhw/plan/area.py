"""What a plan will use of a device, before synthesis.

Memories follow the rules of :mod:`snnhw.plan.ram`. Logic cells and flip-flops are sums over the cores of

    coefficient * feature

where the features are counts and widths of the plan (:mod:`snnhw.plan.features`), and the coefficients of each family were fitted
to a corpus of synthesised random plans (``area.toml``, made by ``benchmarks/area_corpus.py``, has them with the error on plans
that were held out: chains of dense cores, and all others). Of a family whose corpus has no plan with lists, these are estimated
with what lists take in another family, and the bounds are far apart.
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from snnhw.board import RESOURCES, Board, available, shortages
from snnhw.plan.features import decay_products, event_products, multiplier_blocks, plan_features
from snnhw.plan.plan import Plan
from snnhw.plan.ram import RamUse, map_memories

__all__ = ["Area", "estimate_area", "multipliers", "plan_kind"]

UNCALIBRATED_ERROR = 0.4
_FITTED = "logic", "flip_flops"


def plan_kind(plan: Plan) -> Literal["dense", "lists"]:
    """Return which part of the corpus a plan is like: chains of dense cores and nothing else, or all others."""
    plain = plan.chained and not plan.decide and plan.control is None
    return "dense" if plain and not any(layer.clears for layer in plan.layers) else "lists"


def multipliers(plan: Plan, board: Board) -> int:
    """Return the multiplier blocks of a plan on a board: those of decays that multiply, and of events with values.

    Yosys cuts a product into blocks and leaves narrow products and narrow rests to logic.
    """
    return sum(event_products(layer, board)[0] + sum(multiplier_blocks(*widths, board) for widths in decay_products(layer))
               for layer in plan.layers)


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
        The bounds were measured on plans of this kind, on this family. Of others, logic and flip-flops lie between bounds that
        are guessed, and no frequency is known.
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
    return sum(value * features.get(name, 0) for name, value in model["coefficients"].items())


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
    kind = plan_kind(plan)
    calibrated = all(kind in family[name] for name in _FITTED)
    used = {}
    for name in RESOURCES:
        if name in _FITTED:
            value = _fitted(family[name], features)
            error = family[name][kind]["error_p90"] if calibrated else UNCALIBRATED_ERROR
            extra = added.get(name, 0)
            used[name] = round(value + extra), math.floor(value * (1 - error) + extra), math.ceil(value * (1 + error) + extra)
        else:
            count = multipliers(plan, board) if name == "dsp" else sum(use.blocks for use in memories if use.resource == name)
            used[name] = (count + added.get(name, 0),) * 3
    clock = family.get("period_ns", {"boards": {}})
    frequency = None  # of a board that was never measured, nothing is known
    if kind in clock and board.name in clock["boards"]:
        estimate, error = 1e3 / (_fitted(clock, features) * clock["boards"][board.name]), clock[kind]["error_p90"]
        frequency = round(estimate, 1), round(estimate * (1 - error), 1), round(estimate * (1 + error), 1)
    return Area(board, top, used, frequency, memories, calibrated)
