"""The longer proofs of the event buffer."""

import pytest

from rtl_gen.claims import EventBufferClaim
from rtl_gen.events import EventBuffer
from rtl_gen.prove import decide


@pytest.mark.slow
@pytest.mark.parametrize(("inputs", "bits", "tiles", "value_bits"), [
    (3, 2, 2, 0), (3, 2, 3, 0), (4, 2, 2, 0), (5, 3, 1, 0), (4, 3, 3, 0), (3, 2, 1, 3), (4, 2, 1, 2), (3, 2, 2, 2)])
def test_longer_event_buffers_replay_every_timestep(inputs, bits, tiles, value_bits):
    claim = EventBufferClaim(EventBuffer(inputs=inputs, address_bits=bits, tiles=tiles, value_bits=value_bits))
    assert decide(claim, written={"events"}, limit_s=600).answer == "proved"
