# amaranth: UnusedElaboratable=no
"""Unbounded proofs of double-buffered currents, with witnesses and broken blocks; the larger ones are slow."""

import numpy as np
import pytest
from amaranth.hdl import Mux

from rtl_gen.currents import Currents, currents_names
from rtl_gen.currents_claims import CurrentsClaim
from rtl_gen.prove import decide
from snnhw.fixed import Interval
from snnhw.ir import Neuron, NeuronSpec
from snnhw.plan import LayerPlan, Source
from snnhw.plan.columns import Columns
from snnhw.plan.ranges import state_ranges
from snnhw.plan.synapses import Grid, Path, Scattered


def plan_of(synapses, neurons, lanes, bits):
    """Return the plan of a core whose currents have so many bits."""
    highest = (1 << bits - 1) - 1
    ranges = state_ranges((np.full(neurons, -highest - 1), np.full(neurons, highest)), Neuron("n", ("fc",), NeuronSpec(1)), 10)
    return LayerPlan(0, Neuron("n", ("fc",), NeuronSpec(1)), (), (Source("in", None, False, 0, 1, Interval(0, 1)),), synapses,
                     neurons, lanes, ranges)


def columns(neurons, lanes, bits=1):
    return plan_of(Columns(np.ones((neurons, 1), int), 2, lanes, "csc"), neurons, lanes, bits)


def grid(lanes, *sizes, bits=1):
    one = np.zeros(1, int)
    shape = Grid(*sizes)
    scattered = Scattered(Path(one, one, one, one, one + 1), 1, shape, lanes)
    return plan_of(scattered, shape.channels * shape.rows * shape.columns, lanes, bits)


def ask(layer, index, cover=None, block=None, **options):
    claim = CurrentsClaim(layer, index, cover, block=block)
    return decide(claim, written=set(currents_names(layer.synapses.banks)), **options).answer


@pytest.mark.parametrize(("layer", "index"), [(columns(1, 1), 0), (columns(2, 1), 0), (columns(2, 2), 1), (columns(3, 2), 2),
                                              (grid(1, 1, 1, 2), 1), (grid(2, 2, 1, 1), 1), (columns(1, 1, 2), 0)])
def test_a_neuron_gets_the_sum_of_its_timestep(layer, index):
    assert ask(layer, index) == "proved"


@pytest.mark.parametrize("cover", CurrentsClaim.covers)
def test_currents_reach(cover):
    assert ask(columns(2, 2), 1, cover) == "refuted"


class Broken(Currents):
    """Currents with a fault."""

    fault = ""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        match self.fault:
            case "clears nothing":
                m.d.comb += self.currents_clear.eq(0)
            case "lets a third in":
                m.d.comb += self.free.eq(~self.clearing)
            case "lets too few in":
                m.d.comb += self.free.eq(~self.clearing & ~self.valid)
            case "reads late":
                m.d.comb += self.currents_read.eq(0)
            case "every sample ends":
                m.d.sync += self.sample_end.eq(1)
            case "changes an offer":
                m.d.comb += self.sum.eq(Mux(self.take, 0, -1))
            case "counts ends":
                m.d.comb += self.accumulate.eq(self.end)
        return m


@pytest.mark.parametrize("fault", ["clears nothing", "lets a third in", "lets too few in", "reads late",
                                   "every sample ends", "changes an offer", "counts ends"])
def test_broken_currents_are_found(fault):
    layer = grid(2, 2, 1, 1)
    assert ask(layer, 1, block=type("Fault", (Broken,), {"fault": fault})(layer)) == "refuted"


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "index"), [
    *((columns(neurons, lanes, bits), index) for neurons, lanes, bits in ((3, 2, 2), (4, 4, 1), (5, 2, 1), (4, 2, 2))
      for index in range(neurons)),
    *((grid(lanes, *sizes), index) for lanes, sizes in ((2, (3, 1, 1)), (1, (1, 2, 2, 1, 0, 0, 1)), (2, (3, 1, 2, 0, 0, 1, 0)))
      for index in range(sizes[0] * sizes[1] * sizes[2]))])
def test_longer_currents(layer, index):
    assert ask(layer, index, limit_s=600) == "proved"


@pytest.mark.slow
@pytest.mark.parametrize("cover", CurrentsClaim.covers)
@pytest.mark.parametrize(("layer", "index"), [(columns(3, 2, 2), 2), (grid(2, 3, 1, 2, 0, 0, 1, 0), 5)])
def test_longer_currents_reach(layer, index, cover):
    assert ask(layer, index, cover) == "refuted"
