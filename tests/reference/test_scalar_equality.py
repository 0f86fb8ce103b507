"""The vectorized reference against one neuron at a time in plain integers, on random networks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_strategies import graphs, specs, spike_trains
from scalar_neuron import ScalarNeuron

from snnhw.errors import NetworkError
from snnhw.reference import NeuronState, decide, run, step


def plain_decay(decay, neuron):
    if decay is None or decay.kind == "one":
        return None if decay is None else ("one",)
    if decay.kind == "shift":
        return "shift", decay.shift
    return "mul" if decay.rounding == "floor" else "mul toward zero", value(decay.factor, neuron), decay.shift


def value(array, neuron):
    return int(array) if np.ndim(array) == 0 else int(array[neuron])


def scalar(spec, neuron):
    """Return one neuron of a population in plain integers."""
    return ScalarNeuron(value(spec.threshold, neuron), spec.bits, plain_decay(spec.decay, neuron), spec.reset,
                        value(spec.reset_amount, neuron), spec.reset_time, spec.input_on_reset == "drop",
                        spec.overflow == "exact", spec.frac, value(spec.bias, neuron), plain_decay(spec.synapse, neuron),
                        spec.start, output=spec.output, grades=spec.grades)


def interpret(graph, spikes):
    """Interpret a graph with loops: (spikes, membranes, counts) by name, as lists; OverflowError as the reference."""
    trains, membranes, counts = {graph.input.name: spikes.tolist()}, {}, {}
    for linear, node in graph.layers:
        weight = linear.weight.tolist()
        train, fired, kept, count = trains[linear.inputs[0]], [], [], []
        neurons = None
        for sample in train:
            if neurons is None or node.spec.clear == "sample":
                neurons = [scalar(node.spec, index) for index in range(len(weight))]
            before = sum(neuron.clipped for neuron in neurons)
            fired.append([])
            kept.append([])
            events = additions = effective = 0
            for active in sample:
                sources = [index for index, spike in enumerate(active) if spike]
                events += len(sources)
                additions += sum(1 for _ in weight for _ in sources)
                effective += sum(1 for row in weight for index in sources if row[index])
                fired[-1].append([neuron.step(sum(row[index] for index in sources))
                                  for neuron, row in zip(neurons, weight, strict=True)])
                kept[-1].append([neuron.v for neuron in neurons])
            count.append((events, additions, effective, len(sample) * len(weight), sum(map(sum, fired[-1])),
                          sum(neuron.clipped for neuron in neurons) - before))
        trains[node.name], membranes[node.name], counts[node.name] = fired, kept, count
    return trains, membranes, counts


def assert_equal(graph, spikes):
    trains, membranes, counts = interpret(graph, spikes)
    trace = run(graph, spikes)
    assert list(trace.spikes) == list(trains)
    assert list(trace.membranes) == list(trace.counts) == list(membranes)
    for name, train in trains.items():
        assert trace.spikes[name].dtype == bool
        assert trace.spikes[name].tolist() == train
    for name, kept in membranes.items():
        assert trace.membranes[name].dtype == np.int32
        assert trace.membranes[name].tolist() == kept
        found = trace.counts[name]
        fields = (found.input_events, found.synaptic_operations, found.effective_operations, found.membrane_updates,
                  found.output_spikes, found.saturations)
        assert all(field.dtype == np.int64 and field.shape == (len(spikes),) for field in fields)
        assert list(zip(*(field.tolist() for field in fields), strict=True)) == counts[name]
    totals = [[sum(column) for column in zip(*sample, strict=True)] for sample in trains[trace.output]]
    assert trace.decisions.tolist() == [total.index(max(total)) for total in totals]


@given(st.data())
def test_networks_that_saturate(data):
    graph = data.draw(graphs())
    assert_equal(graph, data.draw(spike_trains(graph)))


@given(st.data())
def test_networks_that_may_leave_an_exact_word(data):
    graph = data.draw(graphs(layers=2, overflow=("exact", "saturate")))
    spikes = data.draw(spike_trains(graph))
    try:
        interpret(graph, spikes)
    except OverflowError:
        refusal = r"(?s)^layer .* \(Neuron\): the exact state must stay within -\d+\.\.\d+, not -?\d+$"
        with pytest.raises(NetworkError, match=refusal):
            run(graph, spikes)
    else:
        assert_equal(graph, spikes)


@given(st.data())
def test_one_step_from_any_state(data):
    samples, neurons = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    spec = data.draw(specs(neurons, overflow=("saturate",)))
    word = st.integers(-(1 << (spec.bits - 1)), (1 << (spec.bits - 1)) - 1)
    near = st.sampled_from(np.asarray(spec.threshold).reshape(-1).tolist())
    grid = st.lists(st.lists(word | near, min_size=neurons, max_size=neurons), min_size=samples, max_size=samples)
    sums = data.draw(st.lists(st.lists(st.integers(-(1 << 31), (1 << 31) - (1 << 16)), min_size=neurons, max_size=neurons),
                              min_size=samples, max_size=samples))
    state = NeuronState.initial(spec, samples, neurons)
    state.membrane = np.array(data.draw(grid), np.int64)
    if state.synapse is not None:
        state.synapse = np.array(data.draw(grid), np.int64)
    models = [[scalar(spec, index) for index in range(neurons)] for _ in range(samples)]
    for sample, row in enumerate(models):
        for index, model in enumerate(row):
            model.v = int(state.membrane[sample, index])
            model.c = 0 if state.synapse is None else int(state.synapse[sample, index])
    fired = step(spec, state, np.array(sums, np.int64))
    assert fired.dtype == (np.int64 if spec.output == "count" else bool)
    assert fired.tolist() == [[model.step(total) for model, total in zip(row, line, strict=True)]
                              for row, line in zip(models, sums, strict=True)]
    assert state.membrane.tolist() == [[model.v for model in row] for row in models]
    assert state.synapse is None or state.synapse.tolist() == [[model.c for model in row] for row in models]
    assert state.saturations.tolist() == [sum(model.clipped for model in row) for row in models]


def test_a_tie_goes_to_the_lowest_index():
    spikes = np.zeros((3, 4, 3), bool)
    spikes[0, :2, 2] = spikes[0, 2:, 1] = True
    spikes[1, 0, 2] = True
    assert decide(spikes).tolist() == [1, 2, 0]
