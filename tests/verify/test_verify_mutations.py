"""A wrong accelerator is found out: the native path and the shipped bench name layer, neuron and timestep."""

import shutil

import numpy as np
import pytest
from verify_networks import NAMES, flip_weight, small_plan, spikes_for, with_spec

from rtl_gen import generate
from snnhw.reference import run
from snnhw.verify import compare, compile_batch, make_vectors, run_bench

GOLDEN = small_plan()
SPIKES = spikes_for(GOLDEN)
THRESHOLD = int(GOLDEN.layers[1].spec.threshold)

MUTANTS = {
    "flipped weight bit": (flip_weight(GOLDEN, 0, 3, 2), NAMES[0]),
    "flipped weight bit of the last lane": (flip_weight(GOLDEN, 1, 4, 8), NAMES[1]),
    "threshold one higher": (with_spec(GOLDEN, 1, threshold=THRESHOLD + 1), NAMES[1]),
    "threshold one lower": (with_spec(GOLDEN, 0, threshold=THRESHOLD - 1), NAMES[0]),
    "reset to zero": (with_spec(GOLDEN, 0, reset="zero", reset_amount=0), NAMES[0]),
    "reset one timestep later": (with_spec(GOLDEN, 1, reset_time="next"), NAMES[1]),
    "never cleared": (with_spec(GOLDEN, 0, clear="never"), NAMES[0]),
}


def expected_first(mutant):
    """Return where two references first differ: sample, timestep, layer, neuron."""
    right, wrong = run(GOLDEN.graph, SPIKES), run(mutant.graph, SPIKES)
    places = []
    for index, name in enumerate(NAMES):
        differs = (right.spikes[name] != wrong.spikes[name]) | (right.membranes[name] != wrong.membranes[name])
        places += [(sample, step, index, neuron) for sample, step, neuron in np.argwhere(differs).tolist()]
    return min(places)


@pytest.fixture(scope="module")
def simulators():
    """Compile the right design and all mutants at once."""
    plans = {"right": GOLDEN} | {title: plan for title, (plan, _) in MUTANTS.items()}
    return dict(zip(plans, compile_batch(list(plans.values())), strict=True))


def test_the_right_design_is_equal(simulators):
    result = compare(GOLDEN, run(GOLDEN.graph, SPIKES), simulators["right"].run(SPIKES, trace=True))
    assert result.equal
    words = 5 * 6 * 14
    assert str(result) == f"5 samples equal: {words} spike words, {words} membrane words, 150 output words, 0 cycle counts"


@pytest.mark.parametrize("title", MUTANTS)
def test_the_native_path_names_the_first_difference(simulators, title):
    mutant, layer = MUTANTS[title]
    result = compare(GOLDEN, run(GOLDEN.graph, SPIKES), simulators[title].run(SPIKES, trace=True))
    assert not result.equal
    assert result.membrane_mismatches + result.spike_mismatches
    first = result.first
    assert (first.sample, first.step, NAMES.index(first.layer), first.neuron) == expected_first(mutant)
    assert first.layer == layer
    assert str(first).startswith(f"layer {layer!r}, neuron {first.neuron}, timestep {first.step} of sample {first.sample}: ")


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is MISSING")
@pytest.mark.parametrize("title", ["flipped weight bit", "threshold one higher", "reset to zero"])
def test_the_shipped_bench_names_the_first_difference(tmp_path, title):
    mutant, layer = MUTANTS[title]
    generate(mutant, tmp_path / "hw")
    result = run_bench(tmp_path / "hw", make_vectors(GOLDEN, SPIKES), simulator="icarus")
    sample, step, _, neuron = expected_first(mutant)
    for name, counts in result.tests.items():
        if name != "interrupted":  # it runs the first two samples only
            assert counts["spike_mismatches"] + counts["membrane_mismatches"]
            assert f"layer {layer!r}, neuron {neuron}, timestep {step} of sample {sample}: " in counts["failure"]
    assert result.problem is not None
