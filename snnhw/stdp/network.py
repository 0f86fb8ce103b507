"""An STDP network, and how it runs: in float32, or in fixed point exactly as its graph does.

With ``I`` the current of a neuron in a timestep, ``L`` the leak shift, ``K`` the inhibition of :class:`CompetitionConfig`
and ``n`` what of it the spikes of the timestep before bring:

    u = clip(v - R(v * 2**-L) + I - K*n);   s = u >= threshold;   v' = reset when s, else u

    lateral   n = spikes of the timestep before                   pool   n = 1 when there was one
    layer     n = inhibitory spikes of the timestep before, its own neuron's left out, where
              i = clip(y - R(y * 2**-L) + excitation*s);   fires when i >= its threshold;   y' = 0 when it fires, else i

``R`` and ``clip`` are those of the membrane's format, and nothing in float32. Fixed-point words are held as whole numbers of
steps in floating point, which is exact: the currents are bounded below 2**24, or computed in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from snnhw.errors import FileError, UsageError
from snnhw.stdp.config import CompetitionConfig, EncodingConfig, NeuronConfig, StdpRecipe
from snnhw.stdp.counts import OperationCounts
from snnhw.stdp.formats import Fixed, Formats, round_steps
from snnhw.stdp.spikes import encode

__all__ = ["Learning", "Presentation", "StdpNetwork", "present", "responses"]

CHUNK = 250
FLOAT32_EXACT = 1 << 24


@dataclass(frozen=True, eq=False)
class StdpNetwork:
    """Weights and thresholds with everything that decides what the network computes.

    Parameters
    ----------
    weight : float32 array, (neurons, inputs)
        Between 0 and 1, on the grid of their format.
    threshold : float32 array, (neurons,)
        With adaptation, on the grid of their format.
    timesteps : int
        Length of a sample.
    encoding, neuron, competition : tables of the recipe
        How the rest is computed.
    formats : Formats
        Of the words.
    """

    weight: np.ndarray
    threshold: np.ndarray
    timesteps: int
    encoding: EncodingConfig
    neuron: NeuronConfig
    competition: CompetitionConfig
    formats: Formats = field(default_factory=Formats)

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.threshold.shape != self.weight.shape[:1]:
            raise FileError(f"STDP network must have weights (neurons, inputs) and one threshold for each neuron, "
                            f"not {self.weight.shape} and {self.threshold.shape}")
        if not (np.isfinite(self.weight).all() and np.isfinite(self.threshold).all()):
            raise FileError("STDP network must have finite weights and thresholds")

    @classmethod
    def initial(cls, recipe: StdpRecipe, inputs: int, generator: np.random.Generator) -> "StdpNetwork":
        """Return an untrained network: weights uniform in [0, 0.3), then normalised."""
        weight = 0.3 * generator.random((recipe.neurons, inputs), np.float32)
        weight *= np.float32(recipe.learning.norm) / weight.sum(axis=1, keepdims=True)
        threshold = np.full(recipe.neurons, recipe.neuron.threshold + recipe.neuron.theta_start, np.float32)
        return cls(np.minimum(weight, np.float32(1)), threshold, recipe.timesteps, recipe.encoding, recipe.neuron,
                   recipe.competition)

    @property
    def neurons(self) -> int:
        return int(self.weight.shape[0])

    @property
    def inputs(self) -> int:
        return int(self.weight.shape[1])

    def quantized(self, formats: Formats, generator: np.random.Generator | None = None) -> "StdpNetwork":
        """Return this network with words of other formats: post-training quantization.

        Weights and thresholds are rounded from what they are now, so this is meant for a network in float32.
        """
        return replace(self, weight=formats.rounded("weight", self.weight, generator),
                       threshold=formats.rounded("threshold", self.threshold, generator), formats=formats)

    def encode(self, values: np.ndarray, batch: int = 0) -> np.ndarray:
        """Return the spikes of samples: bool, (samples, timesteps, inputs)."""
        return encode(self.encoding.encoding(batch), values, self.timesteps)


class Learning(Protocol):
    """What changes a network while it runs."""

    interval: int
    weight: np.ndarray
    threshold: np.ndarray
    counts: OperationCounts

    def begin(self, samples: int) -> None:
        """Be at the beginning of some samples side by side."""

    def step(self, pre: np.ndarray, post: np.ndarray) -> None:
        """Take the spikes of a timestep: float32, (samples, inputs), and bool, (samples, neurons)."""

    def update(self, pre: np.ndarray) -> None:
        """Change the weights, after every `interval` timesteps whose input spikes `pre` has, (samples, timesteps, inputs)."""


@dataclass(frozen=True, eq=False)
class Presentation:
    """What a network did with some samples.

    Attributes
    ----------
    counts : int64 array, (samples, neurons)
        Spikes of each neuron.
    operations : OperationCounts
        Without those of learning.
    spikes, membranes : arrays, (samples, timesteps, neurons), or None
        Kept when asked for; membranes in steps of their format.
    """

    counts: np.ndarray
    operations: OperationCounts
    spikes: np.ndarray | None = None
    membranes: np.ndarray | None = None


class _Words:
    """Constants of the membranes in steps of their format, or in real units."""

    def __init__(self, network: StdpNetwork, generator: np.random.Generator | None):
        self.form: Fixed | None = network.formats.membrane
        self.rounding = network.formats.leak_rounding
        self.generator = generator
        self.unit = 1.0 if self.form is None else 2.0 ** self.form.fraction
        self.ratio = np.float32(2.0 ** -network.neuron.leak_shift)
        weight = network.formats.weight
        self.fraction = None if weight is None else weight.fraction
        self.whole = self.form is None or (weight is not None and weight.fraction <= self.form.fraction)
        competition = network.competition
        self.inhibition = np.float32(competition.strength * self.unit)
        self.reset = self.constant(competition.reset)
        self.excitation, self.inhibitory_threshold = (self.constant(value)
                                                      for value in (competition.excitation, competition.threshold))

    def constant(self, value: float) -> np.float32:
        """Return a constant, rounded to nearest."""
        if self.form is None:
            return np.float32(value)
        return np.float32(np.clip(np.floor(value * self.unit + 0.5), *self.form.steps))

    def thresholds(self, threshold: np.ndarray) -> np.ndarray:
        """Return the lowest membranes that fire."""
        if self.form is None:
            return threshold
        return np.clip(np.ceil(threshold * np.float32(self.unit)), *self.form.steps)

    def round(self, values: np.ndarray) -> np.ndarray:
        return values if self.form is None else round_steps(values, self.rounding, self.generator)

    def store(self, values: np.ndarray) -> np.ndarray:
        return values if self.form is None else np.clip(values, *self.form.steps)

    def leaked(self, state: np.ndarray) -> np.ndarray:
        return state - self.round(state * self.ratio)

    def currents(self, weight: np.ndarray, spikes: np.ndarray) -> np.ndarray:
        """Return the currents of (samples, timesteps, inputs) spikes: (samples, timesteps, neurons)."""
        # In steps of the weights every partial sum is whole, and exact below the bound.
        exact = self.form is None or self.fraction is None or weight.sum(axis=1).max() * 2.0 ** self.fraction < FLOAT32_EXACT
        kind = np.float32 if exact else np.float64
        scaled = (weight * np.float32(self.unit)).astype(kind)
        result = np.matmul(spikes.reshape(-1, spikes.shape[-1]).astype(kind, copy=False), scaled.T)
        return (result if self.whole else self.round(result)).reshape(*spikes.shape[:2], -1)


class _Inhibition:
    """What the spikes of a timestep do to the membranes of the next."""

    def __init__(self, form: str, words: _Words, samples: int, neurons: int):
        self.form, self.words = form, words
        self.share = np.zeros((samples, 1), np.float32)
        self.state = np.zeros((samples, neurons), np.float32) if form == "layer" else None
        self.spikes = 0

    def take(self, fired: np.ndarray) -> None:
        """Go on to the next timestep."""
        total = fired.sum(axis=1, keepdims=True, dtype=np.float32)
        if self.form == "layer":
            assert self.state is not None
            state = self.words.store(self.words.leaked(self.state) + self.words.excitation * fired)
            inhibitory = state >= self.words.inhibitory_threshold
            self.state = np.where(inhibitory, np.float32(0), state)
            self.share = inhibitory.sum(axis=1, keepdims=True, dtype=np.float32) - inhibitory
            self.spikes += int(inhibitory.sum())
        elif self.form == "pool":
            self.share = np.minimum(total, np.float32(1))
            self.spikes += int(self.share.sum())
        else:
            self.share = total


def present(network: StdpNetwork, spikes: np.ndarray, *, learning: Learning | None = None, keep: bool = False,
            generator: np.random.Generator | None = None) -> Presentation:
    """Run samples side by side, and learn from them if told how.

    Parameters
    ----------
    network : StdpNetwork
        The network. Where there is `learning`, that has the weights and thresholds.
    spikes : bool array, (samples, timesteps, inputs)
        Input.
    learning : Learning or None
        Changes weights and thresholds on the way.
    keep : bool
        Also return spikes and membranes of every timestep.
    generator : numpy Generator
        For a leak rounded stochastically.
    """
    samples, timesteps, inputs = spikes.shape
    if inputs != network.inputs:
        raise UsageError(f"samples must have {network.inputs} inputs, as the network has, not {inputs}")
    neurons = network.neurons
    words = _Words(network, generator)
    inhibition = _Inhibition(network.competition.form, words, samples, neurons)
    membrane = np.zeros((samples, neurons), np.float32)
    counts = np.zeros((samples, neurons), np.int64)
    trains = np.zeros((samples, timesteps, neurons), bool) if keep else None
    states = np.zeros((samples, timesteps, neurons), np.int64) if keep else None
    train = np.ascontiguousarray(spikes, np.float32)
    weight, threshold = network.weight, words.thresholds(network.threshold)
    if learning is not None:
        learning.begin(samples)
    interval = timesteps if learning is None else learning.interval
    for first in range(0, timesteps, interval):
        if learning is not None:
            weight = learning.weight
        currents = words.currents(weight, train[:, first:first + interval])
        for offset in range(currents.shape[1]):
            timestep = first + offset
            if learning is not None:
                threshold = words.thresholds(learning.threshold)
            state = words.leaked(membrane) + currents[:, offset] - words.inhibition * inhibition.share
            state = words.store(state).astype(np.float32, copy=False)
            fired = state >= threshold
            membrane = np.where(fired, words.reset, state)
            inhibition.take(fired)
            counts += fired
            if trains is not None and states is not None:
                trains[:, timestep], states[:, timestep] = fired, membrane
            if learning is not None:
                learning.step(train[:, timestep], fired)
        if learning is not None:
            learning.update(spikes[:, first:first + interval])
    operations = OperationCounts.of_presentation(
        form=network.competition.form, strength=network.competition.strength, inputs=inputs, neurons=neurons,
        steps=samples * timesteps, input_spikes=int(np.count_nonzero(spikes)), spikes=int(counts.sum()),
        inhibitory_spikes=inhibition.spikes)
    return Presentation(counts, operations, trains, states)


def responses(network: StdpNetwork, values: np.ndarray, *, generator: np.random.Generator | None = None,
              progress: Callable[[int, int], None] = lambda done, total: None) -> tuple[np.ndarray, OperationCounts]:
    """Return the spike counts of many samples, int64 (samples, neurons), and the operations that took.

    Parameters
    ----------
    values : uint8 or uint16 array, (samples, inputs)
    progress : function of int, int
        Told how many samples are done, of how many.
    """
    found, operations = [], OperationCounts()
    for first in range(0, len(values), CHUNK):
        part = present(network, network.encode(values[first:first + CHUNK]), generator=generator)
        found.append(part.counts)
        operations += part.operations
        progress(min(first + CHUNK, len(values)), len(values))
    return np.concatenate(found), operations
