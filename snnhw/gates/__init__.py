"""Netlists of mapped cells, simulated as data: the activity of the hardware that synthesis makes, with and without delays."""

from snnhw.gates.activity import BlockAccesses, GateActivity, Grouping, Key
from snnhw.gates.delays import Delays, load_delays
from snnhw.gates.export import netlist_saif, write_netlist
from snnhw.gates.netlist import CLASSES, Netlist, parse_netlist
from snnhw.gates.simulate import (
    FAMILIES,
    Family,
    GateRun,
    GateSimulator,
    fingerprint,
    gate_simulator,
    run_free,
    simulate_gates,
    synthesise,
)

__all__ = ["CLASSES", "FAMILIES", "BlockAccesses", "Delays", "Family", "GateActivity", "GateRun", "GateSimulator", "Grouping",
           "Key", "Netlist", "fingerprint", "gate_simulator", "load_delays", "netlist_saif", "parse_netlist", "run_free",
           "simulate_gates", "synthesise", "write_netlist"]
