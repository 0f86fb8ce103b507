"""Proof: the reference against the generated hardware, in simulators and as a netlist."""

from snnhw.verify.checks import Check, check_disturbed, check_undisturbed
from snnhw.verify.cocotb_run import BenchRun, run_bench
from snnhw.verify.compare import Comparison, Mismatch, compare
from snnhw.verify.flow import load_stimulus, verify_folder
from snnhw.verify.native import Simulator, compile_batch, compile_plan, simulate
from snnhw.verify.netlist import compile_netlist
from snnhw.verify.random_networks import RandomCase, random_case
from snnhw.verify.simulation import MISSING, Activity, NetActivity, Simulation, Stalls
from snnhw.verify.vectors import make_vectors

__all__ = [
    "MISSING",
    "Activity",
    "BenchRun",
    "Check",
    "Comparison",
    "Mismatch",
    "NetActivity",
    "RandomCase",
    "Simulation",
    "Simulator",
    "Stalls",
    "check_disturbed",
    "check_undisturbed",
    "compare",
    "compile_batch",
    "compile_netlist",
    "compile_plan",
    "load_stimulus",
    "make_vectors",
    "random_case",
    "run_bench",
    "simulate",
    "verify_folder",
]
