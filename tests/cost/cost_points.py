"""Design points for the tests of the comparison, made of terms or of plans."""

from cost_plans import example

from snnhw.cost import Energy, Term, load_constants

__all__ = ["energy_of", "ladder_of", "made_up"]

_WORK = {"synaptic_operations": 100.0, "effective_acs": 80.0, "effective_macs": 0.0}
ASIC, FPGA = load_constants("asic45"), load_constants("ice40up5k")


def energy_of(rung: str, **amounts: float) -> Energy:
    """Return an energy with so many pJ of each kind at the middle constants: a network of one layer."""
    constants = ASIC if rung in ("A0", "A1") else FPGA
    parameter, unit = (("add",), "bit") if constants is ASIC else (("toggle",), "toggle")
    price = constants[parameter[0]].mid
    terms = tuple(Term("" if kind in ("clock", "static") else "fc", kind, amount / price, unit, parameter)
                  for kind, amount in amounts.items())
    return Energy(rung, rung, "estimated", constants, terms)


def made_up(name: str, *energies: Energy, **fields) -> dict:
    """Return the record of a point."""
    from snnhw.cost.results import energy_json
    return {"name": name, **fields, "energy": [energy_json(energy, _WORK) for energy in energies]}


def ladder_of(name: str, *, rate: float = 0.2, **fields) -> dict:
    """Return the record of a real plan, without a simulation."""
    from snnhw.cost import estimate
    plan, trains, _ = example(rate=rate)
    found = estimate(plan, trains)
    return {"name": name, "energy": found["energy"], "metrics": found["metrics"], "cycles": found["cycles"]["mean"], **fields}
