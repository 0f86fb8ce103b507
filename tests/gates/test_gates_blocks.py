"""Memories and multipliers of the gate simulator are those of the primitives: designs that check themselves."""

import pytest
from gate_designs import from_verilog
from self_checking import Memory, Product, memories_text, products_text

from snnhw.gates import run_free

ICE40 = (
    *(Memory("block", width, 256) for width in (1, 3, 8, 16, 17, 36)),
    Memory("block", 8, 512), Memory("block", 4, 1024), Memory("block", 2, 2048, content=True), Memory("block", 2, 4096),
    Memory("block", 16, 256, "new"), Memory("block", 9, 512, "through", content=True), Memory("block", 12, 512, "alone"),
    Memory("block", 16, 256, parts=1), Memory("block", 32, 256, parts=8, content=True), Memory("block", 16, 512, reset=True),
    Memory("block", 4, 1024, lanes=4), Memory("block", 16, 256, "before", content=True),
    Memory("huge", 16, 16384, "alone"), Memory("huge", 16, 16384, "alone", parts=4), Memory("huge", 32, 16384, "alone"),
    Memory("huge", 5, 16384, "alone"),
    Memory("block", 8, 256, broken=True),
)
ECP5 = (
    *(Memory("block", width, 512) for width in (1, 9, 18, 36)),
    Memory("block", 9, 2048, content=True), Memory("block", 4, 4096), Memory("block", 2, 8192),
    Memory("block", 1, 16384, "alone"),
    Memory("block", 18, 1024, "before", content=True), Memory("block", 18, 1024, "through"), Memory("block", 18, 1024, "alone"),
    Memory("block", 9, 2048, "through"), Memory("block", 36, 512, parts=9), Memory("block", 18, 1024, "alone", parts=9),
    Memory("block", 36, 512, "new"), Memory("block", 18, 1024, reset=True, content=True),
    Memory("block", 9, 2048, "through", reset=True),
    Memory("block", 9, 2048, lanes=4), Memory("block", 4, 4096, lanes=2, content=True),
    Memory("distributed", 4, 16), Memory("distributed", 7, 64, content=True), Memory("distributed", 1, 32, "new"),
    Memory("distributed", 4, 16, broken=True),
)
"""Widths, depths and ports that Yosys makes different cells or different modes of."""

PRODUCTS = (
    Product(8, 8), Product(-8, -8), Product(-16, -16), Product(16, 16), Product(-13, 7), Product(9, -16), Product(-20, -18),
    Product(-16, -16, "inputs"), Product(-12, -16, "output"), Product(-16, 11, "both"), Product(16, 16, "enabled"),
    Product(-16, -16, "enabled"), Product(-16, -16, "sum"), Product(10, 12, "added"), Product(-9, -9, "taken"), Product(-6, -7),
    Product(16, 16, "both"), Product(12, 12, broken=True),
)


def outcome(netlist, cycles, inputs, delays=None):
    """Return which checks failed, and how often each looked."""
    activity = run_free(netlist, cycles, inputs=inputs, warm=0, delays=delays)
    return tuple(activity.highs[list(netlist.ports[name][1])] for name in ("fail", "seen"))


@pytest.mark.parametrize(("family", "memories"), [
    ("ice40", (*ICE40[2:4], Memory("block", 2, 2048, content=True), Memory("block", 9, 512, "through"),
               Memory("block", 16, 256, parts=1), Memory("huge", 16, 16384, "alone", parts=4), ICE40[-1])),
    ("ecp5", (*ECP5[2:4], Memory("block", 9, 2048, content=True), Memory("block", 2, 8192),
              Memory("block", 18, 1024, "before"),
              Memory("block", 9, 2048, "through"), Memory("block", 18, 1024, "alone", parts=9),
              Memory("distributed", 7, 32), ECP5[-1])),
    pytest.param("ice40", ICE40, marks=pytest.mark.slow), pytest.param("ecp5", ECP5, marks=pytest.mark.slow),
])
def test_memories_hold_what_was_written(family, memories):
    netlist = from_verilog(memories_text(memories), "checked", family)
    kinds = {block.resource for block in netlist.blocks} - {"multiplier"}
    assert kinds == {"block_ram", "single_port_ram" if family == "ice40" else "distributed_ram"}
    for watch in (0, 0xFFFF, 0x5AC3):
        fails, seen = outcome(netlist, 3000, {"watch": watch})
        assert (seen >= 50).all(), seen
        assert (fails > 0).tolist() == [memory.broken for memory in memories]


@pytest.mark.parametrize("products", [
    (Product(-11, 7), Product(-9, -9, "inputs"), Product(8, 8, "both"), Product(-9, -8, "sum"), Product(7, 9, "enabled"),
     PRODUCTS[-1]),
    pytest.param(PRODUCTS, marks=pytest.mark.slow),
])
@pytest.mark.parametrize(("family", "kind"), [("ice40", "mac16"), ("ecp5", "mult18")])
def test_products_follow_their_factors(family, kind, products):
    netlist = from_verilog(products_text(products), "checked", family)
    assert {block.kind for block in netlist.blocks} == {kind}
    assert len(netlist.blocks) >= len(products)
    fails, seen = outcome(netlist, 2000, {})
    assert (seen > 500).all()
    assert (fails > 0).tolist() == [product.broken for product in products]
