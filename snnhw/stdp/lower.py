"""A quantized STDP network as a graph: integers only, the same spikes and membranes.

The inhibition is part of the graph: the spikes of the timestep before reach all neurons through a Delay. With ``pool`` they
drive as many inhibitory neurons as the strength says, each of which inhibits with weight -1, the lowest that a format ``Q1.f``
has; so the weight memory stays as narrow as the weights. With ``lateral`` and ``layer`` the weight is the strength itself.

Inhibitory neurons stand before the excitatory ones: they fire one timestep after these, and inhibit in the same. They also take
the pixels, with weight 0, because a core must have an input of its own timestep.

Two maps in a row, many to one and one to many, say the same as one full matrix of equal weights, and let the plan keep one list
of weights for all sources (decision 013); `shared` chooses between the two.
"""

import numpy as np

from snnhw.errors import NetworkError
from snnhw.fixed import signed_bits
from snnhw.ir import Decay, Delay, Graph, Input, Linear, Neuron, NeuronSpec, Node, Readout, Scale
from snnhw.stdp.network import StdpNetwork

__all__ = ["EXCITATORY", "lower_stdp"]

EXCITATORY = "excitatory"
MAX_WEIGHT_BITS = 16


def lower_stdp(network: StdpNetwork, name: str = "stdp", *, shared: bool = True) -> Graph:
    """Return the graph that computes what a quantized network does.

    Parameters
    ----------
    network : StdpNetwork
        Weights, membranes and thresholds in fixed point.
    name : str
        Of the graph.
    shared : bool
        Write the inhibition so that all its sources share one list of weights, in a core with lists; else as full matrices,
        in a core with dense weights.

    Raises
    ------
    NetworkError
        A format has no hardware.
    """
    formats, competition = network.formats, network.competition
    weight, membrane = formats.weight, formats.membrane
    if weight is None or membrane is None or formats.threshold is None:
        raise NetworkError(f"layer {EXCITATORY!r} (Neuron): weights, membranes and thresholds must have fixed-point formats, "
                           f"not {formats}")
    problems = []
    if weight.bits > MAX_WEIGHT_BITS:
        problems.append(f"layer 'synapses' (Linear): weights must have at most {MAX_WEIGHT_BITS} bits, not {weight}")
    if membrane.fraction < weight.fraction:
        problems.append(f"layer {EXCITATORY!r} (Neuron): membranes must have at least the {weight.fraction} fractional bits "
                        f"of the weights, not {membrane}")
    if formats.leak_rounding != "truncate":
        problems.append(f"layer {EXCITATORY!r} (Neuron): the leak must be rounded by 'truncate', not {formats.leak_rounding!r}")
    if problems:
        raise NetworkError(problems)
    neurons, unit = network.neurons, 2.0 ** membrane.fraction
    lowest, highest = membrane.steps

    def steps(value: float) -> int:
        return int(np.clip(np.floor(value * unit + 0.5), lowest, highest))

    decay = Decay("shift", network.neuron.leak_shift)
    threshold = np.clip(np.ceil(network.threshold.astype(np.float64) * unit), lowest, highest).astype(np.int64)
    # A membrane at the reset value fires again at once only if its threshold is that low.
    spec = NeuronSpec(threshold, decay, "value", steps(competition.reset), bits=membrane.bits,
                      frac=membrane.fraction - weight.fraction)
    strength = 1 if competition.form == "pool" else competition.strength
    inhibition = -int(strength * 2 ** weight.fraction)
    bits = max(weight.bits, signed_bits(inhibition, 0))
    if bits > MAX_WEIGHT_BITS:
        raise NetworkError(f"layer 'inhibition' (Linear): weights must have at most {MAX_WEIGHT_BITS} bits, not {bits}, the "
                           f"strength {competition.strength} in steps of {weight}; use the form 'pool', or fewer fractional bits")
    source = {"lateral": "before", "pool": "pool", "layer": "inhibitory"}[competition.form]
    width = competition.strength if competition.form == "pool" else neurons
    nodes: list[Node] = [
        Input("pixels", (), (network.inputs,), network.encoding.encoding()),
        Linear("synapses", ("pixels",), np.round(network.weight.astype(np.float64) * 2 ** weight.fraction).astype(np.int64),
               weight.bits),
        Delay("before", (EXCITATORY,), (neurons,))]
    if competition.form == "pool":
        nodes += _through_one("recruitment", "before", neurons, width, 1, 2)
        nodes += _through_one("clock", "pixels", network.inputs, width, 0, 1)
        nodes.append(Neuron("pool", ("recruitment", "clock"), NeuronSpec(1, bits=2)))
    elif competition.form == "layer":
        excitation = steps(competition.excitation)
        nodes.append(Scale("excitation", ("before",), np.asarray(excitation), signed_bits(0, excitation)))
        nodes += _through_one("clock", "pixels", network.inputs, width, 0, 1)
        nodes.append(Neuron("inhibitory", ("excitation", "clock"),
                            NeuronSpec(steps(competition.threshold), decay, "zero", bits=membrane.bits)))
    if competition.form == "layer":
        matrix = inhibition * (1 - np.eye(neurons, dtype=np.int64))
        nodes.append(Linear("inhibition", (source,), matrix, bits))
    elif shared:
        nodes += _through_one("inhibition", source, width, neurons, inhibition, bits)
    else:
        nodes.append(Linear("inhibition", (source,), np.full((neurons, width), inhibition), bits))
    nodes.append(Neuron(EXCITATORY, ("synapses", "inhibition"), spec))
    nodes.append(Readout("winners", (EXCITATORY,)))
    return Graph(name, tuple(nodes), network.timesteps, {"formats": str(formats), "competition": competition.form})


def _through_one(name: str, source: str, sources: int, targets: int, weight: int, bits: int) -> list[Node]:
    """Return the map of `sources` to `targets` elements whose weights all are `weight`, as a sum and its distribution."""
    return [Linear(f"{name} sum", (source,), np.ones((1, sources), np.int64), 2),
            Linear(name, (f"{name} sum",), np.full((targets, 1), weight), bits)]
