"""Cost: what a plan and its activity mean in operations, cycles and joules, and how sure that is."""

from snnhw.cost.bands import DRAWS, Band, format_energy
from snnhw.cost.calibration import Calibration, Measurement, calibrate, load_measurements
from snnhw.cost.constants import Constant, ConstantSet, constant_sets, load_constants
from snnhw.cost.counts import SIGNALS, Counts, check_counts
from snnhw.cost.energy import KINDS, Energy, Ratio, Term, ratio
from snnhw.cost.flow import constants_for, energy_ladder, estimate, make_target, predict_counts
from snnhw.cost.metrics import layer_metrics, network_metrics
from snnhw.cost.rungs import Target, activity_energy, full_energy, memory_energy, operation_energy
from snnhw.cost.tables import TextTable, comparison_table, constants_table, energy_table, layer_table

__all__ = [
    "DRAWS",
    "KINDS",
    "SIGNALS",
    "Band",
    "Calibration",
    "Constant",
    "ConstantSet",
    "Counts",
    "Energy",
    "Measurement",
    "Ratio",
    "Target",
    "Term",
    "TextTable",
    "activity_energy",
    "calibrate",
    "check_counts",
    "comparison_table",
    "constant_sets",
    "constants_for",
    "constants_table",
    "energy_ladder",
    "energy_table",
    "estimate",
    "format_energy",
    "full_energy",
    "layer_metrics",
    "layer_table",
    "load_constants",
    "load_measurements",
    "make_target",
    "memory_energy",
    "network_metrics",
    "operation_energy",
    "predict_counts",
    "ratio",
]
