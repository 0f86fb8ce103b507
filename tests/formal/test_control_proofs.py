# amaranth: UnusedElaboratable=no
"""Unbounded proofs of the handshakes of the control port."""

import pytest

from rtl_gen.control_claims import AxiLiteClaim, WishboneClaim
from rtl_gen.control_ports import AxiLitePort, WishbonePort
from rtl_gen.prove import decide

CLAIMS = {"axi4-lite": (AxiLiteClaim, AxiLitePort), "wishbone": (WishboneClaim, WishbonePort)}


@pytest.mark.parametrize("bus", CLAIMS)
def test_the_handshakes_keep_their_rules(bus):
    claim, port = CLAIMS[bus]
    assert decide(claim(port(address_bits=4))).answer == "proved"


@pytest.mark.parametrize(("bus", "cover"), [(bus, cover) for bus, (claim, _) in CLAIMS.items() for cover in claim.covers])
def test_the_claims_are_not_empty(bus, cover):
    claim, port = CLAIMS[bus]
    assert decide(claim(port(address_bits=4), cover=cover)).answer == "refuted"
