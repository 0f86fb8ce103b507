"""Sections of the report: each from the records it needs, or from what would make them."""

import math

from snnhw.report.network import draw_network
from snnhw.report.page import (
    ESTIMATED,
    MEASURED,
    PLACED,
    SIMULATED,
    Bar,
    Bars,
    Note,
    Section,
    Table,
)
from snnhw.report.records import Run
from snnhw.report.wording import MAKERS, layers_of, mismatch_counts, missing, percent, thousands, words

__all__ = [
    "accuracy_section",
    "build_section",
    "commands_section",
    "network_section",
    "plan_section",
    "verification_section",
]


def network_section(run: Run) -> Section:
    """Draw the network."""
    steps = run[run.lowered]["timesteps"].number or run["inspect"]["timesteps"].number
    sizes = [size.number for size in run["import"]["inputs"].elements]
    inputs = math.prod(int(size) for size in sizes if size is not None) if sizes else None
    diagram = draw_network(layers_of(run), int(steps) if steps else None, inputs)
    return Section("network", "Network", [diagram] if diagram else missing(run, "estimate"))


def accuracy_section(run: Run) -> Section:
    """Compare the float, the quantized and the integer model."""
    section = Section("accuracy", "Accuracy", missing(run, run.lowered))
    lower = run[run.lowered]
    models = (
        ("float", "float network"),
        ("quantized", "network with quantized weights and states"),
        ("integer", "integer reference"),
    )
    rows = [(title, percent(number)) for name, title in models if (number := lower["accuracy"][name].number) is not None]
    samples = lower["test_samples"].number or lower["samples"].number
    if rows:
        over = f" over {thousands(samples)} samples" if samples is not None else ""
        section.blocks.append(
            Table(f"Accuracy on the test split{over}", ("model", "accuracy"), tuple(rows), MEASURED, frozenset({1}))
        )
    wrong = [
        (words(name), thousands(part.number), thousands(lower["mismatches"][f"{name}_compared"].number))
        for name, part in lower["mismatches"].items
        if part.number is not None and name != "samples" and not name.endswith("_compared")
    ]
    if wrong:
        title = "Integer reference against the quantized network"
        section.blocks.append(Table(title, ("words", "different", "compared"), tuple(wrong), MEASURED, frozenset({1, 2})))
    trained = [(words(name), part.shown) for name, part in run["train"].items if part.shown and name not in ("schema", "command")]
    if run.has("train") and trained:
        section.blocks.append(Table("Training", ("result", "value"), tuple(trained), MEASURED, frozenset({1})))
    return section


def verification_section(run: Run) -> Section:
    """Show what was compared with the hardware, and what differed."""
    section = Section("verification", "Verification", missing(run, "verify"))
    verify = run["verify"]
    counts = mismatch_counts(verify)
    if counts:
        wrong, compared = sum(row[3] for row in counts), sum(row[2] for row in counts)
        samples = max((part["samples"].number or 0 for _, part in verify.walk()), default=0)
        over = f" in {thousands(samples)} samples" if samples else ""
        if wrong:
            section.blocks.append(
                Note(f"{thousands(wrong)} of {thousands(compared)} compared words and counts{over} differ.", "bad")
            )
        elif verify["ok"].flag is not False:
            text = f"All {thousands(compared)} compared words and counts{over} are equal"
            section.blocks.append(Note(f"{text}: the hardware computes what the integer reference computes.", "good"))
        cells = {(where, kind): f"{thousands(bad)} of {thousands(total)}" for where, kind, total, bad in counts}
        kinds = tuple(dict.fromkeys(kind for _, kind, _, _ in counts))
        rows = tuple(
            (where, *(cells.get((where, kind), "") for kind in kinds)) for where in dict.fromkeys(where for where, *_ in counts)
        )
        title = "Hardware against the integer reference: differences of all compared"
        section.blocks.append(Table(title, ("simulator", *kinds), rows, SIMULATED, frozenset(range(1, len(kinds) + 1))))
    elif run.has("verify"):
        section.blocks.append(Note("The record holds no comparison of words.", "missing", MAKERS["verify"]))
    if problem := verify["problem"].text:
        section.blocks.append(Note(problem, "bad"))
    identity = run["energy"]["count_identity"]
    if (compared_counts := identity["compared"].number) is not None:
        section.blocks.append(
            Note(
                f"{thousands(compared_counts)} access and cycle counts predicted from the plan "
                f"were measured in the RTL; "
                f"{thousands(identity['different'].number)} differ.",
                "good" if identity["different"].number == 0 else "bad",
            )
        )
    return section


def plan_section(run: Run) -> Section:
    """Show the plan and its memories."""
    section = Section("plan", "Plan and memories")
    layers = layers_of(run)
    if not layers:
        section.blocks += missing(run, "inspect", "estimate")
        return section
    rows = []
    for layer in layers:
        metrics = layer["metrics"]
        rows.append(
            (
                layer["layer"].text,
                f"{layer['inputs'].shown} → {layer['neurons'].shown}",
                layer["lanes"].shown,
                layer["tiles"].shown,
                layer["weight_bits"].shown,
                layer["state_bits"].shown,
                thousands(metrics["synaptic_operations"].number),
                thousands(metrics["effective_acs"].number),
                percent(layer["lane_utilisation"].number),
            )
        )
    section.blocks.append(
        Table(
            "Cores",
            (
                "layer",
                "shape",
                "lanes",
                "tiles",
                "weight bits",
                "state bits",
                "synaptic operations",
                "effective ACs",
                "lane utilisation",
            ),
            tuple(rows),
            ESTIMATED,
            frozenset(range(2, 9)),
        )
    )
    memories = []
    for layer in run["inspect"]["layers"].elements:
        for role, memory in layer["memories"].items:
            depth, width = memory["depth"].number, memory["width"].number
            bits = depth * width if depth is not None and width is not None else None
            memories.append(
                (layer["layer"].text, role, thousands(depth), thousands(width), thousands(bits), memory["content"].text)
            )
    if memories:
        section.blocks.append(
            Table(
                "Memories",
                ("layer", "memory", "words", "bits", "total bits", "content"),
                tuple(memories),
                ESTIMATED,
                frozenset({2, 3, 4}),
            )
        )
    else:
        section.blocks += missing(run, "inspect")
    shown = [
        (words(name), thousands(part.number) if not name.endswith("sparsity") else percent(part.number))
        for name, part in run["estimate"]["metrics"].items
        if part.number is not None
    ]
    if shown:
        section.blocks.append(
            Table(
                "Metrics of the network, by their NeuroBench names, per sample",
                ("metric", "value"),
                tuple(shown),
                MEASURED,
                frozenset({1}),
            )
        )
    return section


def build_section(run: Run) -> Section:
    """Show what the design uses of the board, and how fast it runs there."""
    section = Section("build", "Area and timing", missing(run, "build"))
    estimate, build = run["estimate"]["area"], run["build"]
    for part, title, label in (
        (build["used"], f"Used on {build['board'].text or 'the board'}", PLACED),
        (estimate["used"], "Before synthesis", ESTIMATED),
    ):
        bars = []
        for name, item in part.items:
            used, there = item["used"].number, item["available"].number
            if used is not None and there:
                bars.append(
                    Bar(
                        words(name),
                        f"{thousands(used)} of {thousands(there)} ({used / there:.1%})",
                        min(1.0, max(0.0, used / there)),
                    )
                )
        if bars:
            section.blocks.append(Bars(title, tuple(bars), label))
    if verdict := build["verdict"].text:
        good = build["fits"].flag is not False and build["meets_clock"].flag is not False
        section.blocks.append(Note(verdict[0].upper() + verdict[1:] + ".", "good" if good else "bad"))
    seeds = [(seed, f"{part.number:g} MHz") for seed, part in build["fmax_mhz"].items if part.number is not None]
    if seeds:
        section.blocks.append(
            Table(
                "Highest clock frequency for each seed of the placer", ("seed", "frequency"), tuple(seeds), PLACED, frozenset({1})
            )
        )
    cells = [(name, thousands(part.number)) for name, part in build["cells"].items if part.number is not None]
    if cells:
        section.blocks.append(Table("Mapped cells", ("cell", "number"), tuple(cells), PLACED, frozenset({1})))
    if bitstream := build["bitstream"].text:
        section.blocks.append(Note("Bitstream:", "", bitstream))
    return section


def commands_section(run: Run) -> Section:
    """Show how every number was made."""
    section = Section("commands", "How these numbers were made")
    if run.commands:
        section.blocks.append(
            Table("Commands", ("step", "command", "seed", "seconds"), tuple(run.commands), "", frozenset({2, 3}), frozenset({1}))
        )
    versions = [(tool, ", ".join(sorted(set(found.values()))), ", ".join(found)) for tool, found in sorted(run.versions.items())]
    if versions:
        section.blocks.append(Table("Versions", ("tool", "version", "used by"), tuple(versions), "", frozenset(), frozenset({2})))
    if not section.blocks:
        section.blocks.append(
            Note("No record of any command is in this run folder. A session begins with:", "missing", MAKERS["train"])
        )
    return section
