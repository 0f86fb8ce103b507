"""Operations of training and inference, counted."""

from dataclasses import dataclass, fields

__all__ = ["OperationCounts"]


@dataclass(frozen=True)
class OperationCounts:
    """How often each kind of operation was done.

    Attributes
    ----------
    neuron_updates : int
        Membranes brought forward by a timestep, those of inhibitory neurons among them.
    synaptic_accumulations : int
        Weights added because their source spiked, inhibition among them.
    trace_updates : int
        Traces brought forward by a timestep.
    weight_updates : int
        Weights read, changed and written by STDP.
    normalisations : int
        Weights multiplied by the normalisation.
    threshold_updates : int
        Thresholds raised by a spike.
    """

    neuron_updates: int = 0
    synaptic_accumulations: int = 0
    trace_updates: int = 0
    weight_updates: int = 0
    normalisations: int = 0
    threshold_updates: int = 0

    def __add__(self, other: "OperationCounts") -> "OperationCounts":
        return OperationCounts(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))

    @property
    def total(self) -> int:
        return sum(self.plain().values())

    def plain(self) -> dict[str, int]:
        """Return the counts by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def of_presentation(cls, *, form: str, strength: int, inputs: int, neurons: int, steps: int, input_spikes: int, spikes: int,
                        inhibitory_spikes: int) -> "OperationCounts":
        """Return what presenting samples takes without learning.

        Parameters
        ----------
        form, strength
            Of the competition.
        steps : int
            Samples times timesteps.
        inhibitory_spikes : int
            ``"layer"``: of inhibitory neurons. ``"pool"``: timesteps in which the whole pool fired.
        """
        inhibitory_neurons = {"layer": neurons, "lateral": 0, "pool": strength}[form]
        inhibition = {"layer": spikes + inhibitory_spikes * (neurons - 1), "lateral": spikes * neurons,
                      "pool": spikes * strength + inhibitory_spikes * strength * neurons}[form]
        return cls(neuron_updates=steps * (neurons + inhibitory_neurons),
                   synaptic_accumulations=input_spikes * neurons + inhibition)
