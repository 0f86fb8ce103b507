"""What a point of the energy grid comes to in hardware: exact counts, activity of the RTL, and the rungs that follow from them.

What takes long is cached as it was counted, so that energies follow the present constants: cycles, accesses and toggles of the
RTL, and the toggles of the netlist. Records are made of that in seconds.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from snnhw import ir
from snnhw.board import load_board
from snnhw.cost import Energy, energy_ladder, load_constants
from snnhw.cost.metrics import network_metrics
from snnhw.cost.netlist import NetlistActivity
from snnhw.cost.sampling import choose_samples
from snnhw.gates import fingerprint, gate_simulator
from snnhw.ir import Graph
from snnhw.plan import Plan, make_plan
from snnhw.plan.accesses import count_names
from snnhw.plan.cycles import predict_cycles
from snnhw.reference import run
from snnhw.studies.energy_grid import LOADED, GridPoint, GridStudy
from snnhw.verify.native import simulate

__all__ = ["BOARD", "EACH", "Hardware", "priced", "rounded", "stratified"]

BOARD = "icebreaker"
EACH = 1  # samples of each class whose activity is counted
KEPT = ("rung", "title", "basis", "constants", "constants_title", "constants_kind", "unit", "mid_pj", "median", "low", "high",
        "terms", "sampling")
NETLIST_SAMPLES = 3
SLOW = 150_000  # cycles above which compiling for longer pays
REVISION = 1

AUTO = "auto"


def stratified(labels: np.ndarray, each: int) -> np.ndarray:
    """Return the indices of the first samples of each class, in ascending order."""
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:each] for label in np.unique(labels)]))


def rounded(value: Any, digits: int = 6) -> Any:
    """Return plain values with their floats rounded to significant digits."""
    if isinstance(value, Mapping):
        return {name: rounded(item, digits) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, digits) for item in value]
    if isinstance(value, float):
        value = float(f"{value:.{digits}g}")
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    return value


def priced(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record whose energies have the present constants: the counts stay."""
    rows = []
    for row in record["energy"]:
        energy = Energy.from_json(row, load_constants(row["constants"]))
        rows.append(rounded(row | {"mid_pj": energy.mid_pj, **energy.band.as_json()}))
    return dict(record) | {"energy": rows}


class Hardware:
    """The accelerator of one point.

    Parameters
    ----------
    study : GridStudy
        Where the point was trained.
    seed : int
        Of its training.
    point : GridPoint
        The point.
    formats : str
        How all layers that are fully connected are stored; ``"auto"`` for what the plan finds best,
        :data:`snnhw.studies.energy_grid.LOADED` for weights that are loaded.
    each : int
        Samples of each class whose activity is counted.
    """

    def __init__(self, study: GridStudy, seed: int, point: GridPoint, formats: str = AUTO, each: int = EACH) -> None:
        self.study, self.seed, self.point, self.formats, self.each = study, seed, point, formats, each

    @cached_property
    def graph(self) -> Graph:
        """The integer network."""
        return self.study.grid_graph(self.seed, self.point)

    @cached_property
    def plan(self) -> Plan:
        """The hardware: as many lanes in every layer."""
        loaded = self.formats == LOADED
        return make_plan(self.graph, lanes={node.name: self.study.lanes for node in self.graph.neurons},
                         formats=AUTO if loaded else self.formats, load_weights=loaded)

    @cached_property
    def spikes(self) -> np.ndarray:
        """Spikes of the samples whose activity is counted: bool, (samples, timesteps, inputs)."""
        spikes, labels = self.study.samples(self.study.setting.tested)
        return spikes[stratified(labels, self.each)].astype(bool)

    @cached_property
    def trains(self) -> Mapping[str, np.ndarray]:
        """Spikes of the input and of every layer for these samples."""
        return run(self.graph, self.spikes, keep_membranes=False).spikes

    def _key(self, what: str, **more: Any) -> dict[str, Any]:
        return self.study.grid_key(what, self.seed, self.point, formats=self.formats, each=self.each, measured=REVISION, **more)

    def accuracy(self) -> float:
        """Return the share of test samples that the network in integers classifies as labelled.

        It is that of the trained network, whose spikes and membranes equal those of the integer reference in every word that was
        compared after the training.
        """
        found = self.study.trained(self.seed, self.point)
        if found["differences"]:
            raise AssertionError(f"{self.point.title}: {found['differences']} words differ from the reference")
        return float(found["test"])

    def activity(self) -> dict[str, Any]:
        """Simulate the RTL, or find what that gave: ``cycles``, ``accesses``, ``toggles``, ``aliases``, ``engine``."""
        signals = {layer.name: list(count_names(layer)) for layer in self.plan.layers}

        def count() -> dict[str, Any]:
            total = int(predict_cycles(self.plan, self.trains).sum())
            found = simulate(self.plan, self.spikes, activity=True, optimize="-O0" if total < SLOW else "-O1", threads=1)
            assert found.activity is not None
            wrong = int((found.output != self.trains[self.plan.layers[self.plan.output].name]).sum())
            if wrong:
                raise AssertionError(f"{self.point.title}: {wrong} spikes of the RTL differ from the reference")
            return {"cycles": found.cycles.tolist(), "engine": found.engine, "aliases": dict(found.activity.aliases),
                    "accesses": [{name: values.tolist() for name, values in layer.items()} for layer in found.accesses],
                    "toggles": {name: int(net.owned_toggles) for name, net in found.activity.nets.items()}}

        found = self.study.cache.run(self._key("activity", signals=signals), count)
        return found | {"cycles": np.array(found["cycles"]),
                        "accesses": tuple({name: np.array(values) for name, values in layer.items()}
                                          for layer in found["accesses"])}

    def _netlist_key(self, delayed: bool) -> dict[str, Any]:
        signals = {layer.name: list(count_names(layer)) for layer in self.plan.layers}
        return self._key("netlist", signals=signals, chosen=NETLIST_SAMPLES, delayed=delayed, simulator=fingerprint())

    def has_netlist(self, delayed: bool = False) -> bool:
        """Whether the netlist was simulated already."""
        return self.study.cache.get(self._netlist_key(delayed)) is not None

    def netlist(self, delayed: bool = False) -> NetlistActivity:
        """Simulate the netlist on some of the samples, or find what that gave."""
        def count() -> dict[str, Any]:
            chosen = choose_samples(self.activity()["cycles"], NETLIST_SAMPLES)
            simulator = gate_simulator(self.plan, board=load_board(BOARD))
            found = simulator.run(self.spikes[chosen], delayed=delayed).measured(chosen)
            return {"samples": chosen.tolist(), "flip_flops": found.flip_flops, "product_bits": float(found.product_bits),
                    "family": found.family, "glitches": float(found.glitches), "cells": dict(found.cells),
                    "counts": [[*key, values.tolist()] for key, values in found.counts.items()]}

        found = self.study.cache.run(self._netlist_key(delayed), count)
        counts = {(layer, kind, what): np.array(values) for layer, kind, what, values in found["counts"]}
        return NetlistActivity(np.array(found["samples"]), counts, found["flip_flops"], found["product_bits"], delayed,
                               found["family"], found["glitches"], found["cells"])

    def record(self, *, gates: bool = False, delayed: bool = False) -> dict[str, Any]:
        """Return the record of the point; what was not measured before is measured.

        Parameters
        ----------
        gates, delayed : bool
            Whether the netlist is simulated too, without delays and with them.
        """
        graph, plan, point = self.graph, self.plan, self.point
        weights = [node.weight for node in graph.nodes if isinstance(node, ir.Linear | ir.Conv)]
        netlists = [self.netlist(with_delays) for with_delays, wanted in ((False, gates), (True, delayed)) if wanted]
        ladder = energy_ladder(plan, self.trains, measured=self.activity(), board=load_board(BOARD), netlists=netlists)
        size = sum(weight.size for weight in weights)
        rungs = [{name: rung[name] for name in KEPT if rung.get(name) is not None} for rung in ladder["rungs"]]
        found = {
            "network": self.study.name, "bits": point.bits, "sparsity": point.sparsity, "structure": point.structure,
            "seed": self.seed, "hardware": "" if self.formats == AUTO else self.formats, "accuracy": self.accuracy(),
            "weights": size, "zeros": 1 - sum(int(np.count_nonzero(weight)) for weight in weights) / size,
            "format": {layer.name: layer.format for layer in plan.layers},
            "packing": {layer.name: layer.packing.name if layer.packing else "none" for layer in plan.layers},
            "lanes": {layer.name: layer.lanes for layer in plan.layers},
            "stored_bits": sum(memory.bits for layer in plan.layers for memory in layer.memories
                               if memory.role in ("weights", "sources")),
            "samples": len(self.spikes), "cycles": ladder["cycles"]["mean"],
            "counts_compared": ladder["count_identity"]["compared"], "metrics": network_metrics(plan, self.trains),
            "energy": rungs}
        if netlists:
            found["synthesis"] = {"cells": dict(netlists[0].cells), "flip_flops": netlists[0].flip_flops,
                                  "samples": len(netlists[0].samples), "glitches": netlists[-1].glitches}
        plain: dict[str, Any] = rounded(found)
        return plain
