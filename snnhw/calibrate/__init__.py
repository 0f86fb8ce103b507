"""Calibration: designs to measure at a rail, what each does in a second, and constants from the readings."""

from snnhw.calibrate.counting import DesignCounts, count_design
from snnhw.calibrate.designs import Accelerator, DesignRecord, build_designs, example_accelerator, load_designs, stored_beats
from snnhw.calibrate.fitting import fit_measurements
from snnhw.calibrate.readings import README, read_readings, template

__all__ = ["README", "Accelerator", "DesignCounts", "DesignRecord", "build_designs", "count_design", "example_accelerator",
           "fit_measurements", "load_designs", "read_readings", "stored_beats", "template"]
