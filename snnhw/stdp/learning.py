"""Spike-timing-dependent plasticity with traces.

In every timestep, for each sample by itself:

    x    = x - R(x * 2**-trace_shift), then 1 where there is a presynaptic spike      (trace of an input)
    y    = y - R(y * 2**-trace_shift), and after the update 1 where the neuron fired  (trace of a neuron)

    events      after every timestep, summed over samples b
                P[j,i] = sum x[b,i] * post[b,j],   D[j,i] = sum y[b,j] * pre[b,i]
    timesteps   after every interval, of each sample that has a winner j: the neuron with the most spikes since its beginning
                P[j,i] = sum ceil(spikes[b,j] / spike_unit) * x[b,i],   D = 0

    pair                w' = clip(R(w + potentiation * P           - depression * D))
    weight-dependent    w' = clip(R(w + potentiation * P * (1 - w) - depression * D * w))

``clip`` is to 0..1 and to the format, ``R`` rounds to the format of the weights. After a batch the weights of each neuron
that learned are scaled to the sum `norm`, and adaptation decays: ``theta * (1 - batch / theta_tau)``. Every spike raises its
neuron's threshold by `theta_plus` at once, for all samples of the batch.
"""

import numpy as np

from snnhw.stdp.config import StdpRecipe
from snnhw.stdp.counts import OperationCounts
from snnhw.stdp.formats import Formats, round_steps

__all__ = ["Stdp"]


class Stdp:
    """Learning as a recipe says.

    Parameters
    ----------
    recipe : StdpRecipe
        Rules and rates.
    weight, threshold : float32 arrays, (neurons, inputs) and (neurons,)
        Where learning begins; copied.
    formats : Formats
        Of the words while training.
    generator : numpy Generator
        Of stochastic rounding.

    Attributes
    ----------
    weight, threshold : float32 arrays
        As they are now.
    rate : float
        Factor of the rates of learning and adaptation.
    counts : OperationCounts
        What learning took so far.
    """

    def __init__(self, recipe: StdpRecipe, weight: np.ndarray, threshold: np.ndarray, formats: Formats,
                 generator: np.random.Generator):
        self._recipe, self._formats, self._generator = recipe, formats, generator
        self._learning = recipe.learning
        self._events = recipe.learning.update == "events"
        self.interval = 1 if self._events else recipe.learning.interval
        # A trace is a function of the time since its last spike, unless its decay is random.
        self._ages = not self._events and (formats.trace is None or formats.rounding != "stochastic")
        self._traces = [np.asarray(self._one)]
        self.weight = formats.rounded("weight", weight, generator).copy()
        self.threshold = formats.rounded("threshold", threshold, generator).copy()
        self.rate = 1.0
        self.counts = OperationCounts()

    def begin(self, samples: int) -> None:
        neurons, inputs = self.weight.shape
        self._samples = samples
        self._pre_trace = np.zeros((samples, inputs), np.float32)
        self._post_trace = np.zeros((samples, neurons), np.float32)
        self._age = np.full((samples, inputs), -1, np.int64)
        self._spikes = np.zeros((samples, neurons), np.int64)
        self._learned = np.zeros(neurons, bool)

    @property
    def _one(self) -> np.float32:
        """Trace right after a spike."""
        return np.float32(1 if self._formats.trace is None else min(1.0, self._formats.trace.highest))

    def _decayed(self, trace: np.ndarray) -> np.ndarray:
        form = self._formats.trace
        lost = trace * np.float32(2.0 ** -self._learning.trace_shift)
        if form is not None:
            lost = round_steps(lost * np.float32(2.0 ** form.fraction), self._formats.rounding, self._generator)
            lost *= np.float32(form.step)
        return trace - lost

    def _by_age(self, oldest: int) -> np.ndarray:
        """Return traces by the timesteps since the last spike, and 0 behind the oldest, which index -1 finds."""
        while len(self._traces) <= oldest:
            self._traces.append(self._decayed(self._traces[-1]))
        return np.array([*self._traces[:oldest + 1], 0], np.float32)

    def step(self, pre: np.ndarray, post: np.ndarray) -> None:
        traces = pre.size
        self._spikes += post
        if not self._ages:
            self._pre_trace = np.where(pre != 0, self._one, self._decayed(self._pre_trace))
        if self._events:
            self._pre, self._post = pre, post
            self._post_trace = self._decayed(self._post_trace)
            traces += self._post_trace.size
        fired = post.sum(axis=0)
        if fired.any():
            raised = self.threshold + np.float32(self._recipe.neuron.theta_plus * self.rate) * fired.astype(np.float32)
            self.threshold = self._formats.rounded("threshold", raised, self._generator)
        self.counts += OperationCounts(trace_updates=traces, threshold_updates=int(fired.sum()))

    def update(self, pre: np.ndarray) -> None:
        if not self._events:
            if self._ages:
                self._pre_trace = self._aged(pre)
            self._update_winners()
            return
        inputs = self.weight.shape[1]
        depression = np.float32(self._learning.depression * self.rate)
        fired = self._post.any(axis=0)
        rows = fired | self._post_trace.any(axis=0) if depression else fired
        if rows.any():
            index = np.flatnonzero(rows)
            self._change(index, self._post[:, index].T.astype(np.float32) @ self._pre_trace,
                         self._post_trace[:, index].T @ self._pre if depression else None)
        presynaptic = int(np.count_nonzero(self._pre)) * len(self.weight) if self._learning.depression else 0
        self.counts += OperationCounts(weight_updates=int(self._post.sum()) * inputs + presynaptic)
        self._post_trace = np.where(self._post, self._one, self._post_trace)

    def _aged(self, pre: np.ndarray) -> np.ndarray:
        """Return the traces of inputs after an interval, from how long ago each spiked."""
        length = pre.shape[1]
        silent = np.where(self._age < 0, -1, self._age + length)
        self._age = np.where(pre.any(axis=1), pre[:, ::-1].argmax(axis=1), silent)
        return self._by_age(int(self._age.max(initial=0)))[self._age]

    def _update_winners(self) -> None:
        winner = self._spikes.argmax(axis=1)
        most = self._spikes[np.arange(self._samples), winner]
        active = np.flatnonzero(most)
        if not active.size:
            return
        index, place = np.unique(winner[active], return_inverse=True)
        factor = -(-most[active] // self._learning.spike_unit)
        potentiated = np.zeros((index.size, self.weight.shape[1]), np.float32)
        np.add.at(potentiated, place, factor[:, None].astype(np.float32) * self._pre_trace[active])
        self._change(index, potentiated, None)
        self.counts += OperationCounts(weight_updates=int(active.size) * self.weight.shape[1])

    def _change(self, index: np.ndarray, potentiated: np.ndarray, depressed: np.ndarray | None) -> None:
        """Apply the rule to the weights of some neurons."""
        weight = self.weight[index]
        dependent = self._learning.rule == "weight-dependent"
        change = np.float32(self._learning.potentiation * self.rate) * potentiated
        result = weight + (change * (1 - weight) if dependent else change)
        if depressed is not None:
            change = np.float32(self._learning.depression * self.rate) * depressed
            result -= change * weight if dependent else change
        self.weight[index] = self._stored(result)
        self._learned[index] = True

    def _stored(self, weight: np.ndarray) -> np.ndarray:
        return self._formats.rounded("weight", np.clip(weight, np.float32(0), np.float32(1)), self._generator)

    def finish(self) -> None:
        """End a batch: normalise, and let adaptation decay."""
        index = np.flatnonzero(self._learned)
        weight = self.weight[index]
        total = weight.sum(axis=1, keepdims=True)
        scale = np.divide(np.float32(self._learning.norm), total, out=np.ones_like(total), where=total > 0)
        self.weight[index] = self._stored(weight * scale)
        neuron = self._recipe.neuron
        share = np.float32(min(1.0, self._samples / neuron.theta_tau * self.rate))
        base = np.float32(neuron.threshold)
        self.threshold = self._formats.rounded("threshold", self.threshold - (self.threshold - base) * share, self._generator)
        self.counts += OperationCounts(normalisations=int(weight.size))
