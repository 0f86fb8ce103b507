"""Schedule of a core, and the exact number of cycles of a sample."""

from snnhw.plan.plan import LayerPlan

__all__ = ["ACCUMULATE_STAGES", "pause_slots", "write_stage"]

ACCUMULATE_STAGES = 4  # cycles from the issue of a slot to its addition


def write_stage(layer: LayerPlan) -> int:
    """Return the stage of the finaliser's pipeline in which the new state is written."""
    return 3 + (layer.spec.decay.kind == "mul") + (layer.spec.reset == "subtract")


def pause_slots(layer: LayerPlan) -> int:
    """Return the slots that follow the last neuron of a timestep: the tick, and what keeps a state from being read before it is written."""
    return max(1, write_stage(layer) + 1 - layer.outputs)
