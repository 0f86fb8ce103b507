"""Readable form of a plan."""

from snnhw.plan.plan import Plan

__all__ = ["format_plan", "plan_rows"]


def plan_rows(plan: Plan) -> list[dict[str, object]]:
    """Return one row for each layer, with the columns of the table and of ``--json``."""
    return [{
        "layer": layer.name,
        "inputs": layer.inputs,
        "neurons": layer.outputs,
        "lanes": layer.lanes,
        "tiles": layer.tiles,
        "format": layer.format,
        "packing": layer.packing.name if layer.packing else "none",
        "sources": [source.name for source in layer.sources],
        "weight_bits": layer.weight_bits,
        "current": str(layer.current),
        "current_bits": layer.current_bits,
        "update_bits": layer.update_bits,
        "state": str(layer.state),
        "state_bits": layer.state_bits,
        "memories": {memory.role: {"depth": memory.depth, "width": memory.width, "copies": memory.copies,
                                   "content": memory.content} for memory in layer.memories},
    } for layer in plan.layers]


def format_plan(plan: Plan) -> str:
    """Return the plan as plain text, one block for each layer."""
    lines = [f"plan of {plan.graph.name!r}"]
    for layer in plan.layers:
        lines.append(f"  layer {layer.index} {layer.name!r}: {layer.inputs} → {layer.outputs}, "
                     f"{layer.lanes} lanes x {layer.tiles} tiles, {layer.format} weights {layer.weight_bits} bits"
                     + (f", {layer.packing}" if layer.packing else ""))
        if len(layer.sources) > 1 or any(source.delayed for source in layer.sources):
            lines.append("    driven by " + ", ".join(f"{source.name!r}{' one timestep later' if source.delayed else ''}"
                                                      for source in layer.sources))
        lines.append(f"    current {layer.current} ({layer.current_bits} bits), update {layer.update} "
                     f"({layer.update_bits} bits), state {layer.state} ({layer.state_bits} bits)")
        for memory in layer.memories:
            copies = f"{memory.copies} x " if memory.copies > 1 else ""
            lines.append(f"    {memory.role}: {copies}{memory.depth} x {memory.width} bits, {memory.content}")
    return "\n".join(lines) + "\n"
