"""Sections of a network that was trained elsewhere: how it was read, what quantization made of it, where the two part."""

from snnhw.report.page import MEASURED, Note, Section, Table
from snnhw.report.records import Part, Run
from snnhw.report.wording import missing, percent, thousands

__all__ = ["difference_section", "quantization_section", "reading_section"]


def _span(part: Part) -> str:
    """Return an interval, or the one value that it has."""
    ends = [element.shown for element in part.elements]
    return ends[0] if len(set(ends)) == 1 else " .. ".join(ends)


def reading_section(run: Run) -> Section:
    """Show the network as it was read, and every choice that was made about it."""
    found = run["import"]
    section = Section("reading", "As it was read", missing(run, "import"))
    nodes = tuple(tuple(node[name].shown for name in ("name", "kind", "from", "shape", "behaviour"))
                  for node in found["nodes"].elements)
    if nodes:
        section.blocks.append(Table("Layers", ("layer", "kind", "from", "shape", "behaviour"), nodes, wide=frozenset({4})))
    choices = tuple((name, part.shown) for name, part in found["choices"].items)
    if choices:
        section.blocks.append(Table("Choices of the reader, and where they came from", ("about", "choice"), choices,
                                    wide=frozenset({1})))
    return section


def quantization_section(run: Run) -> Section:
    """Show what became of the weights and of the states, and how far the integers agree with the floats."""
    found = run["import"]
    section = Section("quantization", "Quantization after training")
    layers, neurons = found["quantization"]["layers"].elements, found["quantization"]["neurons"].elements
    if not neurons:
        section.blocks.append(Note("The network came in integers; nothing was quantized."))
        return section
    same = found["same_decisions"].number
    if same is not None:
        section.blocks.append(Note(f"Floats and integers decide alike for {percent(same)} of "
                                   f"{thousands(found['test_samples'].number)} samples."))
    section.blocks.append(Table(
        "Weights", ("layer", "kind", "bits", "scales", "scale", "clipped", "error", "zeros"),
        tuple((row["name"].text, row["kind"].text, row["weight_bits"].shown, row["scales"].shown, _span(row["scale"]),
               thousands(row["clipped"].number), percent(row["relative_error"].number), percent(row["sparsity"].number))
              for row in layers), MEASURED, frozenset({2, 3, 5, 6, 7})))
    agreement = {row["name"].text: row for row in found["layers"].elements}
    rows = []
    for row in neurons:
        other = agreement.get(row["name"].text, Part())
        rows.append((
            row["name"].text, thousands(row["neurons"].number), row["decay"].text, _span(row["threshold"]),
            row["state_bits"].shown, row["observed_bits"].shown, thousands(other["saturated_words"].number),
            percent(other["agreement"].number), percent(other["rate_float"].number), percent(other["rate_integer"].number)))
    section.blocks.append(Table(
        "Neurons: states, and spikes of floats against integers",
        ("layer", "neurons", "decay", "threshold", "state bits", "bits observed", "words clipped", "equal spikes", "rate, float",
         "rate, integer"), tuple(rows), MEASURED, frozenset(range(3, 10))))
    return section


def difference_section(run: Run) -> Section:
    """Show where floats and integers first differ, and why."""
    found = run["explain"]
    section = Section("difference", "Where floats and integers part", missing(run, "explain"))
    rows = tuple((name, percent(part["float to fake"].number), percent(part["fake to integer"].number))
                 for name, part in found["agreement"].items)
    if rows:
        section.blocks.append(Table("Equal spike words", ("layer", "float to its constants rounded", "those to integers"), rows,
                                    MEASURED, frozenset({1, 2})))
    first = found["difference"]
    if first:
        spikes = ", ".join(f"{name} gives {part.shown}" for name, part in first["spikes"].items)
        causes = ", ".join(element.text for element in first["cause"].elements)
        section.blocks.append(Note(
            f"First in layer {first['layer'].text!r}, neuron {first['neuron'].shown}, timestep {first['timestep'].shown} of "
            f"sample {first['sample'].shown}: {spikes}. " + (f"Explained by: {causes}." if causes else
                                                      "The neuron's own arithmetic does not explain it.")))
        traces = [(name, part.elements[-8:]) for name, part in first["membranes"].items]
        steps = max((len(values) for _, values in traces), default=0)
        last = first["timestep"].number
        if steps and last is not None:
            heads = tuple(f"t {int(last) - steps + 1 + index}" for index in range(steps))
            cells = tuple((name, *(value.shown for value in values), *[""] * (steps - len(values))) for name, values in traces)
            section.blocks.append(Table(f"Membrane of that neuron, in steps of the integer state; it fires from "
                                        f"{first['threshold'].shown}", ("network", *heads), cells, MEASURED,
                                        frozenset(range(1, steps + 1))))
    elif run.has("explain") and rows:
        section.blocks.append(Note("Floats and integers give the same spikes.", "good"))
    return section
