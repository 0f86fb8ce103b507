"""``snnhw inspect``: what a graph computes, and how it would be planned."""

from rich.text import Text

from snnhw.cli.options import Debug, Json, Lanes, LoadWeights, Quiet, Run, parse_lanes
from snnhw.cli.output import Session, table
from snnhw.cli.runs import open_run

__all__ = ["command"]


def command(run: Run, lanes: Lanes = None, load_weights: LoadWeights = None, json: Json = False, quiet: Quiet = False,
            debug: Debug = False) -> None:
    """Show the graph with its arithmetic, and the plan with its memories and proven widths."""
    session = Session("inspect", json=json, quiet=quiet)
    opened = open_run(run)
    from snnhw.ir import format_graph
    from snnhw.plan import plan_rows
    text = format_graph(opened.graph)
    plan = opened.plan(parse_lanes(lanes), load_weights)
    layers = plan_rows(plan)
    memories = [(layer.name, memory.role, memory.depth, memory.width, memory.bits, memory.content)
                for layer in plan.layers for memory in layer.memories]
    columns = ("layer", "inputs", "neurons", "lanes", "tiles", "format", "weight_bits", "current", "current_bits", "update_bits",
               "state", "state_bits")
    session.finish(
        {"network": opened.graph.name, "timesteps": opened.graph.timesteps, "graph": text.splitlines(), "layers": layers},
        Text(text),
        table("Plan", [name.replace("_", " ") for name in columns], [[layer[name] for name in columns] for layer in layers],
              caption="widths are proven from the actual weights"),
        table("Memories", ("layer", "memory", "depth", "width", "bits", "content"), memories), folder=opened.folder)
