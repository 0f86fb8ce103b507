"""What the front end found: layers by the names the user gave them, in real numbers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Behaviour", "Layer", "Network"]


@dataclass(frozen=True, eq=False)
class Behaviour:
    """How a neuron behaves, as measured. Field names and values are those of :class:`snnhw.ir.NeuronSpec`.

    With ``I`` the current of the timestep and ``v`` the stored membrane, in real numbers:

        immediate   u = beta*v + I;  s = u > threshold;  v' = u, or when s: 0, u - threshold      (zero, subtract)
        next        r = v > threshold;  v' = beta*v + I - threshold*r                                  (subtract)
                    v' = beta*(0 if r else v) + I, or when r and the input is dropped: 0                   (zero)
                    s = v' > threshold

    Parameters
    ----------
    reset : str
        ``"none"``, ``"zero"`` or ``"subtract"``.
    reset_time : str
        ``"immediate"`` or ``"next"``.
    input_on_reset : str
        ``"keep"`` or ``"drop"``.
    beta : float array, () or (neurons,)
        Factor of the membrane per timestep, clipped to 0..1 as the neuron clips it.
    threshold : float array, () or (neurons,)
        The neuron fires strictly above it.
    """

    reset: Literal["none", "zero", "subtract"]
    reset_time: Literal["immediate", "next"]
    input_on_reset: Literal["keep", "drop"]
    beta: np.ndarray
    threshold: np.ndarray

    @property
    def kind(self) -> str:
        """The reset in words."""
        return {"none": "no reset",
                "zero": "reset to zero" + (", input dropped" if self.input_on_reset == "drop" else ""),
                "subtract": "threshold subtracted"}[self.reset] + \
            ("" if self.reset == "none" else ", at once" if self.reset_time == "immediate" else ", one timestep later")

    def __str__(self) -> str:
        return f"{self.kind}, beta {_brief(self.beta)}, threshold {_brief(self.threshold)}"


@dataclass(frozen=True, eq=False)
class Layer:
    """One weighted sum and the neurons it drives.

    Parameters
    ----------
    linear, neuron : str
        Paths of the two modules in the user's network, such as ``"net.fc1"``.
    weight : float array, (outputs, inputs)
        Weights.
    bias : float array, (outputs,), or None
        Current added every timestep.
    behaviour : Behaviour
        What the probe measured.
    """

    linear: str
    neuron: str
    weight: np.ndarray
    bias: np.ndarray | None
    behaviour: Behaviour

    @property
    def outputs(self) -> int:
        return int(self.weight.shape[0])

    @property
    def inputs(self) -> int:
        return int(self.weight.shape[1])


@dataclass(frozen=True, eq=False)
class Network:
    """A chain of layers, and how its forward wants the input.

    Parameters
    ----------
    layers : tuple of Layer
        From input to output.
    timesteps : int
        Length of a sample in timesteps.
    drive : str
        ``"sequence"``: one call takes all timesteps, along `time_axis`. ``"static"``: one call takes one
        frame and shows it every timestep. ``"step"``: one call is one timestep.
    time_axis : int
        0 for (timesteps, samples, ...), 1 for (samples, timesteps, ...). 0 when not a sequence.
    frame_shape : tuple of int
        Shape of the input of one sample and one timestep.
    """

    layers: tuple[Layer, ...]
    timesteps: int
    drive: Literal["sequence", "static", "step"]
    time_axis: int
    frame_shape: tuple[int, ...]

    @property
    def inputs(self) -> int:
        return self.layers[0].inputs

    @property
    def outputs(self) -> int:
        return self.layers[-1].outputs

    def __str__(self) -> str:
        lines = [f"{self.inputs} inputs, {self.timesteps} timesteps"]
        lines += [f"  {layer.linear!r} {layer.inputs} → {layer.outputs}{'' if layer.bias is None else ' with bias'}, "
                  f"{layer.neuron!r} {layer.behaviour}" for layer in self.layers]
        return "\n".join(lines) + "\n"


def _brief(values: np.ndarray) -> str:
    return f"{float(values):.6g}" if values.ndim == 0 else f"{values.min():.6g}..{values.max():.6g}"
