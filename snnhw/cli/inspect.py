"""``snnhw inspect``: what a graph computes, and how it would be planned."""

from typing import Annotated

import typer
from rich.text import Text

from snnhw.cli.options import Debug, Events, Formats, Json, Lanes, LoadWeights, Packings, Quiet, Run, parse_lanes, parse_memories
from snnhw.cli.output import Session, table
from snnhw.cli.runs import open_run

__all__ = ["command"]


def command(run: Run, lanes: Lanes = None, load_weights: LoadWeights = None, formats: Formats = None, packings: Packings = None,
            events: Events = None,
            alternatives: Annotated[bool, typer.Option(
                "--alternatives", help="Also every way to store each fully connected layer, and the density below which it pays.",
            )] = False,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Show the graph with its arithmetic, and the plan with its memories and proven widths."""
    session = Session("inspect", json=json, quiet=quiet)
    opened = open_run(run)
    from snnhw.ir import format_graph
    from snnhw.plan import plan_rows
    from snnhw.plan.formats import alternative_rows
    text = format_graph(opened.graph)
    plan = opened.plan(parse_lanes(lanes), load_weights, parse_memories(formats, packings, events))
    memories = [(layer.name, memory.role, memory.depth, memory.width, memory.bits, memory.content)
                for layer in plan.layers for memory in layer.memories]
    rows = [(layer.name, f"{layer.inputs} → {layer.outputs}", layer.lanes, layer.tiles, layer.weight_bits,
             f"{layer.current}, {layer.current_bits} bits", f"{layer.update}, {layer.update_bits} bits",
             f"{layer.state}, {layer.state_bits} bits") for layer in plan.layers]
    ways = alternative_rows(plan) if alternatives else []
    shown = [(row["layer"], f"{row['format']} ←" if row["chosen"] else row["format"], row["packing"], row["bits"],
              f"{row['share_of_dense']:.0%}", f"{row['expected_cycles']:,.0f}", f"{row['density']:.3f}",
              "" if row["break_even"] is None else f"{row['break_even']:.2f}", row["verdict"]) for row in ways]
    columns = "layer", "format", "packing", "bits", "of dense", "cycles", "density", "pays below", ""
    tables = [table("Ways to store the weights", columns, shown,
                    caption="cycles of a timestep at a rate of 0.1; ← is what the plan has; densities of evenly spread weights")]
    session.finish(
        {"network": opened.graph.name, "timesteps": opened.graph.timesteps, "graph": text.splitlines(),
         "layers": plan_rows(plan), **({"alternatives": ways} if alternatives else {})}, Text(text),
        table("Plan", ("layer", "shape", "lanes", "tiles", "weight bits", "current", "new state", "stored state"), rows,
              caption="ranges and widths are proven from the actual weights"),
        table("Memories", ("layer", "memory", "depth", "width", "bits", "content"), memories), *(tables if alternatives else []),
        folder=opened.folder)
