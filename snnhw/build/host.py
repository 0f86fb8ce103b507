"""Running a network on a board, from the host."""

import numpy as np

from rtl_gen.board_top import board_format
from snnhw.board.link import Port, exchange, restart
from snnhw.plan import Plan

__all__ = ["loading_words", "run_on_board"]


def loading_words(plan: Plan) -> list[int]:
    """Return the words that the core of `plan` loads, in the order it expects them; none when the bitstream holds the weights."""
    return [word for layer in plan.layers if layer.weights_loaded for word in layer.weight_words]


def run_on_board(plan: Plan, port: Port, spikes: np.ndarray) -> np.ndarray:
    """Run samples on a board that holds the bitstream of `plan`.

    Parameters
    ----------
    plan : Plan
        What the bitstream was built from.
    port : Port
        The serial line, as :func:`snnhw.board.link.open_port` opens it.
    spikes : bool array, or int array of values, (samples, timesteps, inputs)
        Input spikes.

    Returns
    -------
    bool array, or int64 array, (samples, timesteps, outputs)
        Spikes of the last layer; its counts or states, if it hands those on.

    Raises
    ------
    CheckFailed
        The board stays silent, or answers what the core cannot.
    """
    form = board_format(plan)
    restart(port, form, loading_words(plan))
    kind = np.int64 if form.output_value_bits else bool
    return np.array([exchange(port, form, sample) for sample in spikes], kind).reshape(len(spikes), -1, plan.outputs)
