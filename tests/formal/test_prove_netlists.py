# amaranth: UnusedElaboratable=no
"""The netlist of every block has the outputs of its RTL, in every cycle and for every input."""

import pytest
from amaranth.lib import data
from core_layers import arithmetics, layer

from rtl_gen.accumulator import Accumulator
from rtl_gen.events import EventBuffer
from rtl_gen.finaliser import Finaliser
from rtl_gen.loader import WeightLoader
from rtl_gen.prove import FAMILIES, compare
from rtl_gen.registers import InputRegister, OutputRegister

LAYOUT = data.StructLayout({"address": 2, "tick": 1})
WEIGHT = [[1, -2], [3, 1], [-4, 2]]
BLOCKS = {
    "input register": lambda: InputRegister(LAYOUT),
    "output register": lambda: OutputRegister(LAYOUT),
    "weight loader": lambda: WeightLoader(depths=(2, 1, 3), width=2),
    "event buffer": lambda: EventBuffer(inputs=3, address_bits=2, tiles=2),
    "accumulator": lambda: Accumulator(layer(WEIGHT, lanes=2)),
    **{f"finaliser, {name}": lambda name=name: Finaliser(layer(WEIGHT, arithmetics()[name], lanes=2)) for name in (
        "shift zero sample", "mul value-next never", "one subtract-next never", "shift subtract sample", "exact")},
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", BLOCKS)
def test_a_netlist_is_its_rtl(name, family):
    assert compare(BLOCKS[name](), family, limit_s=900).answer == "proved"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_register_is_its_rtl(family):
    assert compare(OutputRegister(LAYOUT), family).answer == "proved"


def test_another_netlist_is_found():
    assert compare(EventBuffer(inputs=1, address_bits=2, tiles=2), "ice40",
                   against=EventBuffer(inputs=1, address_bits=2, tiles=1)).answer == "refuted"
