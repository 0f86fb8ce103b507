"""Every neuron model against its golden vectors."""

import numpy as np
from golden.make import COMMON, DRIVE, all_cases, load, spec_of

from snnhw.reference import NeuronState, step


def test_the_reference_computes_every_golden_vector():
    for case in load():
        spec = spec_of(case)
        state = NeuronState.initial(spec, 1, 1)
        states, synapses, counts = [], [], []
        for weighted in DRIVE:
            counts.append(int(step(spec, state, np.array([[weighted]]))[0, 0]))
            states.append(int(state.membrane[0, 0]))
            synapses.append(None if state.synapse is None else int(state.synapse[0, 0]))
        assert (states, counts) == (case["states"], case["counts"]), spec
        assert synapses == (case["synapses"] or [None] * len(DRIVE)), spec


def test_the_file_is_what_its_script_makes():
    assert load() == all_cases()


def test_the_vectors_show_what_they_are_for():
    cases = load()
    assert len(cases) == 2 * 4 * 5 * 14
    assert {count for case in cases for count in case["counts"]} == {0, 1, 2, 3}
    by_spec = {str(spec_of(case)): case for case in cases}
    assert len(by_spec) == len(cases)
    # Every two models that differ in one field differ in their vectors, but where a field is known to change nothing.
    for name in ("rounding", "input_on_reset", "overflow", "reset_time"):
        seen = {}
        for case in cases:
            spec = COMMON | case["spec"]
            flat = {f"{outer} {key}": value for outer in ("decay", "synapse") for key, value in (spec[outer] or {}).items()}
            flat |= {key: value for key, value in spec.items() if key not in ("decay", "synapse", "bits")}
            rest = tuple(sorted((key, str(value)) for key, value in flat.items() if name not in key.split()))
            seen.setdefault(rest, []).append((case["states"], case["counts"]))
        groups = [group for group in seen.values() if len(group) >= 2]
        differing = sum(group.count(group[0]) != len(group) for group in groups)
        assert differing >= len(groups) // 3 > 0, name
