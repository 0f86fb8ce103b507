"""Where the hardware first differs from the reference, in words of the user."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from snnhw.errors import CheckFailed
from snnhw.plan import Plan
from snnhw.reference import Trace
from snnhw.verify.simulation import MISSING, Simulation

__all__ = ["Comparison", "Mismatch", "check_output", "compare", "output_of"]

SHOWN_STEPS = 12


@dataclass(frozen=True)
class Mismatch:
    """The first differing word: earliest sample, then timestep, then layer, then neuron.

    In this order the first difference is a cause; later ones, and those of later layers, may only follow from it.

    Parameters
    ----------
    sample, step, neuron : int
        Where.
    layer : str
        Name of the layer as the user wrote it.
    word : str
        ``"spike"``, ``"membrane"`` or ``"output"`` (the spike left the accelerator otherwise than the layer computed it).
    expected, got : int or None
        The word; None when the hardware never gave it.
    expected_spikes, got_spikes : int array, (timesteps,)
        Trace of the neuron in this sample.
    expected_membranes, got_membranes : int array, (timesteps,), or None
        The same of its state, when it was traced.
    """

    sample: int
    step: int
    layer: str
    neuron: int
    word: str
    expected: int
    got: int | None
    expected_spikes: np.ndarray
    got_spikes: np.ndarray
    expected_membranes: np.ndarray | None = None
    got_membranes: np.ndarray | None = None

    def __str__(self) -> str:
        lines = [
            f"layer {self.layer!r}, neuron {self.neuron}, timestep {self.step} of sample {self.sample}: "
            f"{self.word} must be {self.expected}, not {'missing' if self.got is None else self.got}"
        ]
        first = max(0, self.step - SHOWN_STEPS + 4)
        steps = range(first, min(len(self.expected_spikes), first + SHOWN_STEPS))
        rows: list[tuple[str, list[str]]] = [("timestep", [str(step) for step in steps])]
        if self.expected_membranes is not None and self.got_membranes is not None:
            rows.append(("membrane expected", [str(self.expected_membranes[step]) for step in steps]))
            rows.append(
                ("membrane got", ["-" if self.got_spikes[step] == MISSING else str(self.got_membranes[step]) for step in steps])
            )
        rows.append(("spike expected", [str(int(self.expected_spikes[step])) for step in steps]))
        rows.append(
            ("spike got", ["-" if self.got_spikes[step] == MISSING else str(int(self.got_spikes[step])) for step in steps])
        )
        widths = [max(len(values[column]) for _, values in rows) for column in range(len(steps))]
        lines += [
            f"  {title:<18}" + " ".join(f"{value:>{width}}" for value, width in zip(values, widths, strict=True))
            for title, values in rows
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Comparison:
    """Outcome of comparing a simulation with the reference.

    Attributes
    ----------
    samples, spike_words, membrane_words, output_words, cycle_counts, decisions : int
        How much was compared.
    spike_mismatches, membrane_mismatches, output_mismatches, cycle_mismatches, decision_mismatches : int
        How much of it differs.
    first : Mismatch or None
        The first differing word.
    problem : str or None
        A broken rule of the streams, a wrong cycle count, or a wrong decision, in one sentence.
    """

    samples: int
    spike_words: int
    spike_mismatches: int
    membrane_words: int
    membrane_mismatches: int
    output_words: int
    output_mismatches: int
    cycle_counts: int
    cycle_mismatches: int
    first: Mismatch | None
    problem: str | None
    decisions: int = 0
    decision_mismatches: int = 0

    @property
    def equal(self) -> bool:
        """Nothing differs, and no rule was broken."""
        return self.first is None and self.problem is None

    def __str__(self) -> str:
        if self.equal:
            return (
                f"{self.samples} samples equal: {self.spike_words} spike words, {self.membrane_words} membrane words, "
                f"{self.output_words} output words, {self.cycle_counts} cycle counts"
                + (f", {self.decisions} decisions" if self.decisions else "")
            )
        return "\n".join(str(item) for item in (self.problem, self.first) if item is not None)

    def counts(self) -> dict[str, int]:
        """Return the numbers for ``verify.json``."""
        return {
            name: getattr(self, name)
            for name in (
                "samples",
                "spike_words",
                "spike_mismatches",
                "membrane_words",
                "membrane_mismatches",
                "output_words",
                "output_mismatches",
                "cycle_counts",
                "cycle_mismatches",
                *(("decisions", "decision_mismatches") if self.decisions else ()),
            )
        }


def _first(differences: Mapping[tuple[int, str], np.ndarray]) -> tuple[int, int, int, str, int] | None:
    """Return the lowest (sample, step, layer, word, neuron) at which any of the arrays (samples, timesteps, neurons) is true."""
    found = []
    for (layer, word), differs in differences.items():
        if differs.any():
            sample, step, neuron = (int(index) for index in np.unravel_index(int(differs.argmax()), differs.shape))
            found.append((sample, step, layer, word, neuron))
    return min(found) if found else None


def output_of(plan: Plan, trace: Trace) -> np.ndarray:
    """Return what must leave the accelerator: spikes, counts or states, (samples, timesteps, outputs)."""
    return (trace.membranes if plan.last.spec.output == "state" else trace.spikes)[plan.last.name]


def check_output(plan: Plan, expected: Trace, output: np.ndarray, what: str = "RTL") -> None:
    """Require that what left the accelerator is what the reference has; `what` is how the message calls it.

    Raises
    ------
    CheckFailed
        Naming the first word that differs.
    """
    wanted = output_of(plan, expected)
    wrong = np.argwhere(output != wanted)
    if wrong.size:
        sample, step, neuron = wrong[0]
        raise CheckFailed(f"{what} of network {plan.graph.name!r}: output neuron {neuron} of timestep {step} of sample {sample} "
                          f"must be {wanted[sample, step, neuron]}, not {output[sample, step, neuron]}; {len(wrong)} of "
                          f"{wanted.size} words differ")


def _differing(plan: Plan, wanted: np.ndarray, got: Simulation) -> np.ndarray:
    """Return the samples whose result is another than what must leave the accelerator leads to."""
    if plan.decision is None or got.results is None:
        return np.zeros(0, int)
    expected, given = plan.decision.expect(wanted), got.results
    pairs = (expected.classes, given.classes), (expected.scores, given.scores), (expected.margins, given.margins)
    return np.flatnonzero(np.any([left != right for left, right in pairs], axis=0))


def _describe(plan: Plan, wanted: np.ndarray, got: Simulation, sample: int) -> str:
    assert plan.decision is not None
    assert got.results is not None
    expected, given = (f"class {results.classes[sample]} with score {results.scores[sample]} and margin {results.margins[sample]}"
                       for results in (plan.decision.expect(wanted), got.results))  # fmt: skip
    return f"sample {sample} must be decided as {expected}, not {given}"


def compare(plan: Plan, expected: Trace, got: Simulation, cycles: np.ndarray | None = None) -> Comparison:
    """Compare a simulation with the reference, word by word.

    Parameters
    ----------
    plan : Plan
        The accelerator.
    expected : Trace
        What the reference computed; with membranes, if `got` has them.
    got : Simulation
        What the hardware did.
    cycles : int64 array, (samples,), or None
        Predicted cycles of each sample, to be met exactly.
    """
    names = [layer.name for layer in plan.layers]
    states = {name: expected.membranes.get(name, np.zeros((), np.int32)) for name in names}  # a maximum pool keeps none
    wanted = output_of(plan, expected)
    # "membrane" sorts before "output" before "spike": the state is the cause of the spike.
    spikes = {
        (index, "spike"): got.spikes[name] != (expected.spikes[name] != 0)
        for index, name in enumerate(names)
        if name in got.spikes
    }
    membranes = {
        (index, "membrane"): got.membranes[name] != states[name]
        for index, name in enumerate(names)
        if name in got.membranes
    }
    for index, _ in membranes:
        membranes[index, "membrane"] |= got.spikes[names[index]] == MISSING
    output = {(plan.output, "output"): got.output != wanted}
    first = None
    where = _first(membranes | spikes | output)
    if where is not None:
        sample, step, layer, word, neuron = where
        name = names[layer]
        given = got.output if word == "output" else got.spikes[name]
        traced = word != "output" and name in got.membranes
        source, mirror = {"membrane": (got.membranes, states), "spike": (got.spikes, expected.spikes),
                          "output": ({name: given}, {name: wanted})}[word]
        states[name] = np.broadcast_to(states[name], (*wanted.shape[:2], plan.layers[layer].outputs))
        missing = word != "output" and given[sample, step, neuron] == MISSING
        first = Mismatch(
            sample,
            step,
            name,
            neuron,
            word,
            int(mirror[name][sample, step, neuron]),
            None if missing else int(source[name][sample, step, neuron]),
            wanted[sample, :, neuron] if word == "output" else expected.spikes[name][sample, :, neuron] != 0,
            given[sample, :, neuron],
            states[name][sample, :, neuron] if traced else None,
            got.membranes[name][sample, :, neuron] if traced else None,
        )
    wrong = np.flatnonzero(got.cycles != cycles) if cycles is not None else np.zeros(0, int)
    problem = got.violation
    if problem is None and wrong.size and cycles is not None:
        problem = f"sample {wrong[0]} must take {cycles[wrong[0]]} cycles, not {got.cycles[wrong[0]]}"
    undecided = _differing(plan, wanted, got)
    if problem is None and first is None and undecided.size:
        problem = _describe(plan, wanted, got, int(undecided[0]))
    return Comparison(
        samples=got.output.shape[0],
        spike_words=sum(array.size for array in spikes.values()),
        spike_mismatches=sum(int(array.sum()) for array in spikes.values()),
        membrane_words=sum(array.size for array in membranes.values()),
        membrane_mismatches=sum(int(array.sum()) for array in membranes.values()),
        output_words=got.output.size,
        output_mismatches=sum(int(array.sum()) for array in output.values()),
        cycle_counts=cycles.size if cycles is not None else 0,
        cycle_mismatches=int(wrong.size),
        first=first,
        problem=problem,
        decisions=len(wanted) if got.results is not None else 0,
        decision_mismatches=int(undecided.size),
    )
