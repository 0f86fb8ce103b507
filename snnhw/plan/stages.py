"""Lengths of the pipelines of a core."""

from snnhw.ir import Decay
from snnhw.plan.plan import LayerPlan

__all__ = ["ACCUMULATE_STAGES", "INPUT_STAGES", "OUTPUT_STAGES", "WALK_STAGES", "drive_stage", "issue_stages", "leak_stages",
           "pause_slots", "write_stage"]

ACCUMULATE_STAGES = 4  # cycles from the issue of a slot to its addition
WALK_STAGES = 3  # cycles from the issue of a word to its addition
INPUT_STAGES = 1  # register before the first core
OUTPUT_STAGES = 1  # register behind the last core


def issue_stages(layer: LayerPlan) -> int:
    """Return the cycles from the hand-over of a timestep's events to the issue of its first slot."""
    return 3 if layer.events == "bitmap" else 1


def leak_stages(decay: Decay) -> int:
    """Return the stages that a decay takes besides its last: a product has one of its own, and so has rounding it toward zero."""
    return (decay.kind == "mul") + (decay.rounding == "zero")


def drive_stage(layer: LayerPlan) -> int:
    """Return the stage of the finaliser's pipeline in which the drive is added to the membrane.

    A synapse takes two more than its decay: it adds, then it saturates; the decay of the membrane hides behind them.
    """
    spec = layer.spec
    return 2 + leak_stages(spec.decay) if spec.synapse is None else 4 + leak_stages(spec.synapse)


def write_stage(layer: LayerPlan) -> int:
    """Return the stage of the finaliser's pipeline in which the new state is written."""
    return drive_stage(layer) + 1 + (layer.spec.reset == "subtract") + 2 * (layer.spec.grades > 1)


def pause_slots(layer: LayerPlan) -> int:
    """Return the slots that follow the last neuron of a timestep.

    The first is the tick; the others keep a state from being read before it is written.
    """
    return max(1, write_stage(layer) + 1 - layer.outputs)
