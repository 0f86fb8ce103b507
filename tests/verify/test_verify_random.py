"""Random networks through reference and hardware: no word, no cycle and no access differs."""

import pytest

from snnhw.plan.accesses import TIMES, count_names, timed_samples
from snnhw.plan.formats import FORMATS
from snnhw.reference import run
from snnhw.verify import check_disturbed, check_undisturbed, compile_batch, random_case

# Networks are compiled several at a time, which halves the time that each takes.
BATCH, BATCHES = 12, 17
LARGE = (5, 7, 12, 15)


def _counts(case):
    """Return how many counts there are: of chains, cycles of each kind only as far as they are worth their time."""
    trains = run(case.plan.graph, case.spikes, keep_membranes=False).spikes
    kinds = len(TIMES) * timed_samples(case.plan, trains)
    return sum(len(case.spikes) * len(count_names(layer)) + kinds for layer in case.plan.layers)


def check(seeds, largest):
    cases = [random_case(seed, largest=largest) for seed in seeds]
    for case, simulator in zip(cases, compile_batch([case.plan for case in cases]), strict=True):
        alone = check_undisturbed(simulator, case.spikes)
        assert alone.problem is None, f"{case}\n{alone.problem}"
        assert alone.comparison.cycle_counts == len(case.spikes)
        assert alone.access_counts == _counts(case)
        disturbed = check_disturbed(simulator, case.spikes, case.seed)
        assert disturbed.problem is None, f"{case}\n{disturbed.problem}"


@pytest.mark.parametrize("batch", range(BATCHES))
def test_small_networks_are_equal(batch):
    check(range(batch * BATCH, (batch + 1) * BATCH), largest=20)


@pytest.mark.parametrize("seed", LARGE)
def test_large_networks_are_equal(seed):
    check([seed], largest=300)


def test_the_small_networks_have_every_feature():
    seen = set()
    for seed in range(BATCH * BATCHES):
        case = random_case(seed, largest=20)
        silent = ~case.spikes.any(axis=2)
        seen |= {"silent timestep"} if silent.any() else set()
        seen |= {"saturated timestep"} if case.spikes.all(axis=2).any() else set()
        for layer in case.plan.layers:
            spec = layer.spec
            if spec.synapse is not None:
                seen |= {f"synapse {spec.synapse.kind}", f"synapse rounds {spec.synapse.rounding}"}
            seen |= {f"rounds {spec.decay.rounding}"}
            seen |= {spec.decay.kind, f"{spec.reset} {spec.reset_time}", spec.input_on_reset, spec.overflow, spec.clear,
                     f"{layer.weight_bits} bits", layer.format, *(f"{name} per neuron" for name in spec.per_neuron)}
            seen |= {name for name, present in (
                ("fractional", spec.frac), ("bias", spec.bias.any()), ("start", spec.start), ("one input", layer.inputs == 1),
                ("one neuron", layer.outputs == 1), ("uneven lanes", layer.outputs % layer.lanes), ("one lane", layer.lanes == 1),
                ("loaded", layer.weights_loaded)) if present}
    resets = {f"{reset} {time}" for reset in ("none", "zero", "value", "subtract") for time in ("immediate", "next")}
    assert seen >= {*FORMATS}
    assert seen >= resets | {"one", "shift", "mul", "keep", "drop", "exact", "saturate", "sample", "never", "1 bits", "16 bits"}
    assert seen >= {f"{name} per neuron" for name in ("threshold", "reset_amount", "bias", "factor", "synapse_factor")}
    assert seen >= {"rounds floor", "rounds zero", "synapse one", "synapse shift", "synapse mul", "synapse rounds zero"}
    assert seen >= {"silent timestep", "saturated timestep", "fractional", "bias", "start", "one input", "one neuron",
                    "uneven lanes", "one lane", "loaded"}


def test_a_case_follows_from_its_seed_alone():
    first, second, other = random_case(3, largest=20), random_case(3, largest=20), random_case(4, largest=20)
    assert first.plan.graph == second.plan.graph
    assert (first.spikes == second.spikes).all()
    assert str(first) == str(second) != str(other)
