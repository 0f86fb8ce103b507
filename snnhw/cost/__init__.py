"""Cost: what a plan and its activity mean in operations, cycles and joules, and how sure that is."""

from snnhw.cost.ann import RateSweep, sweep_rates
from snnhw.cost.architecture import Architecture, architecture_names, load_architecture
from snnhw.cost.bands import DRAWS, Band, format_energy
from snnhw.cost.calibration import Calibration, Measurement, calibrate, load_measurements
from snnhw.cost.compare import Comparison, RatioRow, compare_points, compare_records
from snnhw.cost.compression import compare_encodings, compare_formats, encoding_tables, format_tables
from snnhw.cost.constants import Constant, ConstantSet, constant_sets, load_constants
from snnhw.cost.correlation import RankCorrelation, correlate, kendall_tau
from snnhw.cost.counts import Counts, check_counts
from snnhw.cost.encodings import Encoding, Footprint, parse_encoding
from snnhw.cost.energy import KINDS, Energy, Ratio, Term, ratio
from snnhw.cost.factors import RungFactors, rung_factors
from snnhw.cost.flow import constants_for, energy_ladder, estimate, make_target, predict_counts
from snnhw.cost.hierarchy import HierarchyResult, LayerMapping, LayerResult, Use, evaluate, ratio_band
from snnhw.cost.metrics import layer_metrics, network_metrics
from snnhw.cost.monotone import Violation, find_violations
from snnhw.cost.pareto import pareto_front
from snnhw.cost.points import DesignPoint, load_points
from snnhw.cost.ranking import ENCODINGS, RankedEncoding, best_run_length, find_break_even, rank_encodings
from snnhw.cost.rungs import Target, activity_energy, full_energy, memory_energy, operation_energy
from snnhw.cost.tables import TextTable, comparison_table, constants_table, energy_table, layer_table
from snnhw.cost.textbook import TextbookEnergy, textbook_energies
from snnhw.cost.workload import LayerWorkload, load_workloads, record_densities, save_workloads

__all__ = [
    "DRAWS",
    "ENCODINGS",
    "KINDS",
    "Architecture",
    "Band",
    "Calibration",
    "Comparison",
    "Constant",
    "ConstantSet",
    "Counts",
    "DesignPoint",
    "Encoding",
    "Energy",
    "Footprint",
    "HierarchyResult",
    "LayerMapping",
    "LayerResult",
    "LayerWorkload",
    "Measurement",
    "RankCorrelation",
    "RankedEncoding",
    "RateSweep",
    "Ratio",
    "RatioRow",
    "RungFactors",
    "Target",
    "Term",
    "TextTable",
    "TextbookEnergy",
    "Use",
    "Violation",
    "activity_energy",
    "architecture_names",
    "best_run_length",
    "calibrate",
    "check_counts",
    "compare_encodings",
    "compare_formats",
    "compare_points",
    "compare_records",
    "comparison_table",
    "constant_sets",
    "constants_for",
    "constants_table",
    "correlate",
    "encoding_tables",
    "energy_ladder",
    "energy_table",
    "estimate",
    "evaluate",
    "find_break_even",
    "find_violations",
    "format_energy",
    "format_tables",
    "full_energy",
    "kendall_tau",
    "layer_metrics",
    "layer_table",
    "load_architecture",
    "load_constants",
    "load_measurements",
    "load_points",
    "load_workloads",
    "make_target",
    "memory_energy",
    "network_metrics",
    "operation_energy",
    "pareto_front",
    "parse_encoding",
    "predict_counts",
    "rank_encodings",
    "ratio",
    "ratio_band",
    "record_densities",
    "rung_factors",
    "save_workloads",
    "sweep_rates",
    "textbook_energies",
]
