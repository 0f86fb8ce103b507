"""The vectorized reference against one neuron at a time in plain integers, on random networks."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_strategies import any_graphs, graphs, specs, spike_trains
from scalar_graph import decide as decide_plainly
from scalar_graph import interpret, scalar

from snnhw.errors import NetworkError
from snnhw.ir import traverse
from snnhw.reference import NeuronState, decide, run, step


def assert_equal(graph, spikes):
    trains, membranes, synapses, counts = interpret(graph, spikes)
    trace = run(graph, spikes)
    assert list(trace.spikes) == list(trains)
    assert list(trace.membranes) == list(trace.counts) == list(membranes)
    assert list(trace.synapses) == list(synapses)
    for name, train in trains.items():
        wide = graph.values(name).lowest < 0 or graph.values(name).highest > 1
        assert trace.spikes[name].dtype == (np.int16 if wide else bool)
        assert trace.spikes[name].tolist() == train
    for logs, found in ((membranes, trace.membranes), (synapses, trace.synapses)):
        for name, kept in logs.items():
            assert found[name].dtype == np.int32
            assert found[name].tolist() == kept
    for name, rows in counts.items():
        found = trace.counts[name]
        fields = (found.input_events, found.synaptic_operations, found.effective_operations, found.membrane_updates,
                  found.output_spikes, found.saturations)
        assert all(field.dtype == np.int64 and field.shape == (len(spikes),) for field in fields)
        assert list(zip(*(field.tolist() for field in fields), strict=True)) == rows
    assert trace.decisions.tolist() == decide_plainly(graph, trains, membranes)


@given(st.data())
def test_networks_that_saturate(data):
    graph = data.draw(graphs())
    assert_equal(graph, data.draw(spike_trains(graph)))


@given(st.data())
def test_networks_of_every_kind_of_node(data):
    graph = data.draw(any_graphs())
    assert_equal(graph, data.draw(spike_trains(graph)))


@given(st.data())
def test_parts_of_samples_and_timesteps_are_computed_alike(data):
    """With a budget of few elements every layer is computed in many parts."""
    graph = data.draw(any_graphs())
    with patch.object(traverse, "BUDGET", data.draw(st.integers(1, 64))):
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
