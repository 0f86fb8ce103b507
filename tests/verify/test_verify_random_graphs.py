"""Random graphs with every kind of node through reference and hardware: no word, no access and no cycle differs."""

import numpy as np
import pytest

from rtl_gen import generate
from snnhw.ir import Conv, Decay, Delay, Graph, Input, Linear, Neuron, NeuronSpec, Readout, Window
from snnhw.plan import make_plan
from snnhw.plan.cycles import rest_cycles
from snnhw.plan.formats import FORMATS
from snnhw.reference import run
from snnhw.verify import check_disturbed, check_undisturbed, compile_batch, make_vectors, verify_folder
from snnhw.verify.random_graphs import random_graph_case

BATCH, BATCHES = 8, 6


@pytest.mark.parametrize("batch", range(BATCHES))
def test_graphs_are_equal(batch):
    cases = [random_graph_case(seed) for seed in range(batch * BATCH, (batch + 1) * BATCH)]
    for case, simulator in zip(cases, compile_batch([case.plan for case in cases]), strict=True):
        alone = check_undisturbed(simulator, case.spikes)
        assert alone.problem is None, f"{case}\n{alone.problem}"
        assert alone.comparison.cycle_counts == len(case.spikes)
        assert alone.access_counts >= 7 * len(case.spikes) * len(case.plan.layers)
        disturbed = check_disturbed(simulator, case.spikes, case.seed)
        assert disturbed.problem is None, f"{case}\n{disturbed.problem}"


def test_the_graphs_have_everything():
    seen = set()
    for seed in range(BATCH * BATCHES):
        case = random_graph_case(seed)
        graph = case.plan.graph
        seen |= {type(node).__name__ for node in graph.nodes} | {f"{len(graph.input.shape)} dimensions"}
        seen.add(f"readout {graph.nodes[-1].kind}")
        seen |= {"several inputs" for node in graph.nodes if len(node.inputs) > 1}
        for layer in case.plan.layers:
            seen |= {f"output {layer.spec.output}", layer.format}
            grid = layer.synapses.grid if layer.format == "block" else None
            seen |= {name for name, present in (
                ("synapse", layer.spec.synapse is not None), ("graded", layer.input_value_bits), ("loaded", layer.weights_loaded),
                ("several sources", len(layer.sources) > 1), ("queue", any(source.queue for source in layer.sources)),
                ("itself", any(source.core == layer.index for source in layer.sources)),
                ("delayed without queue", any(source.delayed and not source.queue for source in layer.sources)),
                ("delayed forward", any(source.delayed and source.core != layer.index for source in layer.sources)),
                ("room beyond the border", grid is not None and grid.words > grid.rows * grid.columns),
                ("several tiles", grid is not None and layer.tiles > 1)) if present}
    assert seen >= {"Input", "Linear", "Conv", "Scale", "SumPool", "MaxPool", "Flatten", "Delay", "Neuron", "Readout"}
    assert seen >= {"1 dimensions", "2 dimensions", "3 dimensions", "several inputs", "readout count", "readout first",
                    "readout membrane", "output spike", "output count", "output state", *FORMATS, "synapse", "graded",
                    "loaded", "several sources", "queue", "itself", "delayed without queue", "delayed forward",
                    "room beyond the border", "several tiles"}


def test_a_case_follows_from_its_seed_alone():
    first, second, other = random_graph_case(3), random_graph_case(3), random_graph_case(4)
    assert first.plan.graph == second.plan.graph
    assert (first.spikes == second.spikes).all()
    assert str(first) == str(second) != str(other)
    assert any(isinstance(node, Delay | Neuron) for node in first.plan.graph.nodes)


def test_a_layer_that_nothing_waits_for_is_given_a_rest(tmp_path):
    """The neurons of `behind` reach the others a timestep later: they go on when a sample has left."""
    def weight(*shape: int) -> np.ndarray:
        return np.random.default_rng(shape).integers(-4, 8, shape)

    fires = NeuronSpec(6, Decay("shift", 2), "subtract", 6, bits=12)
    plan = make_plan(Graph("rest", (
        Input("in", (), (5,)), Delay("late", ("behind",), (50,)), Linear("up", ("in",), weight(50, 5), 4),
        Neuron("behind", ("up",), fires), Linear("on", ("in",), weight(3, 5), 4), Linear("down", ("late",), weight(3, 50), 4),
        Neuron("last", ("on", "down"), fires), Readout("classes", ("last",))), 3), lanes=2)
    spikes = np.zeros((4, 3, 5), bool)
    spikes[1, 2] = spikes[2] = True
    assert rest_cycles(plan, run(plan.graph, spikes).spikes) > 20
    simulator, = compile_batch([plan])
    alone = check_undisturbed(simulator, spikes)
    assert (alone.problem, alone.comparison.cycle_counts) == (None, 4)
    assert check_disturbed(simulator, spikes, 3).problem is None
    generate(plan, tmp_path / "hw", vectors=make_vectors(plan, spikes))
    result = verify_folder(tmp_path / "hw")
    assert (result["problem"], result["samples"], result["cycle_counts"]) == (None, 4, 4)


def test_a_memory_that_is_not_read_may_be_pointed_beyond(tmp_path):
    """Nine words of weights: the pointer goes on to a tenth, in the Verilog as well, where no port of a memory has a clock."""
    image = Input("image", (), (1, 5, 6), lowest=0, highest=15)
    weight = np.random.default_rng(3).integers(-7, 8, (2, 1, 3, 3))
    conv = Conv("conv", ("image",), weight, 4, Window((3, 3), (1, 1), (1, 1), (1, 1)), 1)
    neuron = Neuron("fires", ("conv",), NeuronSpec(20, Decay("shift", 2), "subtract", 20, bits=12))
    plan = make_plan(Graph("folder", (image, conv, neuron, Readout("classes", ("fires",))), 4), lanes=2)
    assert plan.layers[0].memories[0].depth == 9
    spikes = np.random.default_rng(4).integers(0, 16, (3, 4, 30))
    generate(plan, tmp_path / "hw", vectors=make_vectors(plan, spikes))
    result = verify_folder(tmp_path / "hw")
    assert (result["problem"], result["samples"], result["membrane_words"]) == (None, 3, 3 * 4 * 60)
