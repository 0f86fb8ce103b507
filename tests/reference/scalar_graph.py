"""A graph in plain Python: one element, one timestep and one sample at a time, nodes in the order of the list.

It shares no line with :mod:`snnhw.reference`; the neurons are those of :mod:`scalar_neuron`.
"""

from collections import Counter
from itertools import product
from math import prod

from scalar_neuron import ScalarNeuron

from snnhw.ir import Conv, Delay, Flatten, Input, Linear, MaxPool, Neuron, Readout, Scale, SumPool


def value(array, neuron):
    return int(array) if array.ndim == 0 else int(array[neuron])


def plain_decay(decay, neuron):
    if decay is None or decay.kind == "one":
        return None if decay is None else ("one",)
    if decay.kind == "shift":
        return "shift", decay.shift
    return "mul" if decay.rounding == "floor" else "mul toward zero", value(decay.factor, neuron), decay.shift


def scalar(spec, neuron):
    """Return one neuron of a population in plain integers."""
    return ScalarNeuron(value(spec.threshold, neuron), spec.bits, plain_decay(spec.decay, neuron), spec.reset,
                        value(spec.reset_amount, neuron), spec.reset_time, spec.input_on_reset == "drop",
                        spec.overflow == "exact", spec.frac, value(spec.bias, neuron), plain_decay(spec.synapse, neuron),
                        spec.start, output=spec.output, grades=spec.grades)


def number(index, shape):
    """Return the place of an element in C order."""
    place = 0
    for position, size in zip(index, shape, strict=True):
        place = place * size + position
    return place


def under(window, at, sizes):
    """Return the positions under a window and the elements of the input they see, without those beyond the border."""
    found = []
    for position in product(*map(range, window.kernel)):
        seen = [start * stride + offset * dilation - padding for start, stride, offset, dilation, padding in zip(
            at, window.stride, position, window.dilation, window.padding, strict=True)]
        if all(0 <= place < size for place, size in zip(seen, sizes, strict=True)):
            found.append((position, seen))
    return found


def taps(node, source, shape):
    """Return for each output element the (input element, weight) it adds up; `source` and `shape` are the shapes."""
    result = []
    for index in product(*map(range, shape)):
        if isinstance(node, Linear):
            result.append([(place, int(node.weight[index[0], place])) for place in range(source[0])])
        elif isinstance(node, Scale):
            result.append([(number(index, shape), int(node.weight[index] if node.weight.ndim else node.weight))])
        elif isinstance(node, Conv):
            width, each = node.weight.shape[1], shape[0] // node.groups
            first = index[0] // each * width
            result.append([(number((first + channel, *seen), source), int(node.weight[(index[0], channel, *position)]))
                           for channel in range(width) for position, seen in under(node.window, index[1:], source[1:])])
        elif isinstance(node, SumPool | MaxPool):
            result.append([(number((index[0], *seen), source), 1) for _, seen in under(node.window, index[1:], source[1:])])
        else:
            result.append([(number(index, shape), 1)])
    return result


def interpret(graph, spikes):
    """Return (trains, membranes, synapses, counts) of a graph by name, as lists; OverflowError as the reference."""
    maps = {node.name: taps(node, graph.shapes[node.inputs[0]] if node.inputs and not isinstance(node, Delay) else (),
                            graph.shapes[node.name])
            for node in graph.nodes if not isinstance(node, Input | Delay | Readout)}
    kept = [node.name for node in graph.nodes if isinstance(node, Input | Neuron | MaxPool)]
    trains = {name: [] for name in kept}
    membranes = {node.name: [] for node in graph.neurons}
    synapses = {node.name: [] for node in graph.neurons if node.spec.synapse is not None}
    counts = {node.name: [] for node in graph.neurons}
    states = {}
    reached = {node.name: connections(graph, maps, node) for node in graph.neurons}
    for sample in spikes.tolist():
        for node in graph.neurons:
            if node.name not in states or node.spec.clear == "sample":
                states[node.name] = [scalar(node.spec, index) for index in range(prod(graph.shapes[node.name]))]
        for log in (trains, membranes, synapses):
            for steps in log.values():
                steps.append([])
        clipped = {name: sum(neuron.clipped for neuron in neurons) for name, neurons in states.items()}
        totals = {node.name: [0] * 3 for node in graph.neurons}
        before = {}
        for active in sample:
            now = {}
            for node in graph.nodes:
                if isinstance(node, Input):
                    now[node.name] = active
                elif isinstance(node, Delay):
                    now[node.name] = before.get(node.inputs[0], [0] * prod(node.shape))
                elif isinstance(node, Neuron):
                    feeds = zip(*(now[name] for name in node.inputs), strict=True)
                    now[node.name] = [neuron.step(sum(feed)) for neuron, feed in zip(states[node.name], feeds, strict=True)]
                    membranes[node.name][-1].append([neuron.v for neuron in states[node.name]])
                    if node.name in synapses:
                        synapses[node.name][-1].append([neuron.c for neuron in states[node.name]])
                elif isinstance(node, MaxPool):
                    now[node.name] = [any(now[node.inputs[0]][place] for place, _ in tap) for tap in maps[node.name]]
                elif isinstance(node, Flatten):
                    now[node.name] = now[node.inputs[0]]
                elif not isinstance(node, Readout):
                    now[node.name] = [sum(now[name][place] * weight for name in node.inputs for place, weight in tap)
                                      for tap in maps[node.name]]
            for name in kept:
                trains[name][-1].append(now[name])
            for name, (readers, ways) in reached.items():
                totals[name][0] += sum(1 for source in readers for spike in now[source] if spike)
                for column, found in enumerate(ways, 1):
                    totals[name][column] += sum(count for (source, place), count in found.items() if now[source][place])
            before = now
        for node in graph.neurons:
            fired = sum(map(sum, trains[node.name][-1]))
            counts[node.name].append((*totals[node.name], len(sample) * len(states[node.name]), fired,
                                      sum(neuron.clipped for neuron in states[node.name]) - clipped[node.name]))
    return trains, membranes, synapses, counts


def connections(graph, maps, neuron):
    """Return the sources that maps before `neuron` read, and the ways from each of their elements: all, and of no zero weight."""
    ways, readers, seen = (Counter(), Counter()), [], set()

    def spikes(name):
        return isinstance(graph[name], Input | Neuron | MaxPool | Delay)

    def climb(name, place, effective):
        if spikes(name):
            for column in range(1 + effective):
                ways[column][name, place] += 1
            return
        for source in graph[name].inputs:
            for tap, weight in maps[name][place]:
                climb(source, tap, effective and weight != 0)

    def read(node):
        if node.name in seen:
            return
        seen.add(node.name)
        for name in node.inputs:
            if not spikes(name):
                read(graph[name])
            while isinstance(graph[name], Flatten):
                name = graph[name].inputs[0]
            if spikes(name) and not isinstance(node, Flatten):
                readers.append(name)

    read(neuron)
    for source in neuron.inputs:
        for place in range(prod(graph.shapes[neuron.name])):
            climb(source, place, True)
    return readers, ways


def decide(graph, trains, membranes):
    """Return the class of each sample."""
    readout = graph.nodes[-1]
    name = readout.inputs[0]
    chosen = []
    for spikes, states in zip(trains[name], membranes[name], strict=True):
        neurons = range(prod(graph.shapes[name]))
        if readout.kind == "first":
            score = [-next((t for t, step in enumerate(spikes) if step[neuron]), len(spikes)) for neuron in neurons]
        elif readout.kind == "count":
            score = [sum(step[neuron] for step in spikes) for neuron in neurons]
        else:
            over = {"last": lambda words: words[-1], "max": max, "sum": sum}[readout.over]
            score = [over([step[neuron] for step in states]) for neuron in neurons]
        chosen.append(score.index(max(score)))
    return chosen
