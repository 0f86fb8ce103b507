"""Small STDP networks and data, and the same network as plain loops."""

import math

import numpy as np

from snnhw.stdp import Fixed, Formats, StdpData, StdpNetwork, StdpRecipe
from snnhw.stdp.learning import Stdp

GRID = Formats(Fixed(1, 7), Fixed(9, 7), Fixed(9, 1), Fixed(1, 7), "truncate")


def small_recipe(**changes):
    """Return a recipe whose rates are powers of two, so that no sum in float32 rounds."""
    recipe = StdpRecipe(
        data="digits", neurons=6, timesteps=12, batch=3, validation=0, label_samples=40,
        encoding={"levels": 8},
        neuron={"leak_shift": 3, "threshold": 1.5, "theta_start": 0.5, "theta_plus": 0.5, "theta_tau": 64.0},
        competition={"strength": 2, "reset": 1.0}, learning={
            "interval": 4, "spike_unit": 2, "potentiation": 0.125, "depression": 0.0625, "trace_shift": 2, "norm": 3.0})
    return recipe.changed(**changes)


def small_data(samples=60, inputs=16, classes=3, levels=8, seed=0):
    """Return images that are noisy copies of one pattern for each class."""
    generator = np.random.default_rng(seed)
    patterns = generator.integers(0, 2, (classes, inputs)) * levels

    def split(count):
        labels = generator.integers(0, classes, count)
        values = np.clip(patterns[labels] + generator.integers(-2, 3, (count, inputs)), 0, levels)
        return values.astype(np.uint8), labels.astype(np.int64)

    return StdpData("patterns", *split(samples), *split(samples // 2), *split(samples // 2))


def random_network(generator, recipe, inputs=10, formats=GRID):
    """Return a network with random weights on the grid of `formats`."""
    return StdpNetwork.initial(recipe, inputs, generator).quantized(formats)


class Loops:
    """The formulas of the network and of its learning, one neuron, one input and one timestep at a time."""

    def __init__(self, recipe, network, formats):
        self.recipe, self.formats = recipe, formats
        self.weight = [[float(w) for w in row] for row in network.weight]
        self.threshold = [float(t) for t in network.threshold]
        self.neurons, self.inputs = network.weight.shape

    def round(self, form, value):
        half = 0.5 if self.formats.rounding == "nearest" else 0.0
        steps = math.floor(value * 2 ** form.fraction + half)
        return min(max(steps, form.steps[0]), form.steps[1]) * form.step

    def run(self, spikes, learn=True):
        """Return spikes and membranes (in steps) of every timestep; change weights and thresholds if told to."""
        recipe, form = self.recipe, self.formats.membrane
        learning, competition = recipe.learning, recipe.competition
        samples, timesteps, _ = spikes.shape
        unit, shift = 2 ** form.fraction, recipe.neuron.leak_shift
        lowest, highest = form.steps
        trace_form = self.formats.trace
        one = min(1.0, trace_form.highest)
        trace_unit = 2 ** trace_form.fraction
        half = 0.5 if self.formats.rounding == "nearest" else 0.0

        def constant(value):
            return min(max(math.floor(value * unit + 0.5), lowest), highest)

        def decayed(x):
            return x - math.floor(x * trace_unit * 2.0 ** -learning.trace_shift + half) / trace_unit

        v = [[0] * self.neurons for _ in range(samples)]
        y = [[0] * self.neurons for _ in range(samples)]
        share = [[0] * self.neurons for _ in range(samples)]
        pre = [[0.0] * self.inputs for _ in range(samples)]
        post = [[0.0] * self.neurons for _ in range(samples)]
        number = [[0] * self.neurons for _ in range(samples)]
        learned = set()
        fired_all = np.zeros((samples, timesteps, self.neurons), bool)
        membranes = np.zeros((samples, timesteps, self.neurons), np.int64)
        for t in range(timesteps):
            if t % (1 if learning.update == "events" else learning.interval) == 0:
                weight = [list(row) for row in self.weight]
            threshold = list(self.threshold)
            fired = [[False] * self.neurons for _ in range(samples)]
            for b in range(samples):
                for j in range(self.neurons):
                    current = sum(weight[j][i] for i in range(self.inputs) if spikes[b, t, i]) * unit
                    u = v[b][j] - (v[b][j] >> shift) + int(current) - competition.strength * unit * share[b][j]
                    u = min(max(u, lowest), highest)
                    fired[b][j] = u >= min(max(math.ceil(threshold[j] * unit), lowest), highest)
                    v[b][j] = constant(competition.reset) if fired[b][j] else u
                    fired_all[b, t, j], membranes[b, t, j] = fired[b][j], v[b][j]
                total = sum(fired[b])
                if competition.form == "layer":
                    inhibitory = []
                    for j in range(self.neurons):
                        u = y[b][j] - (y[b][j] >> shift) + (constant(competition.excitation) if fired[b][j] else 0)
                        u = min(max(u, lowest), highest)
                        inhibitory.append(u >= constant(competition.threshold))
                        y[b][j] = 0 if inhibitory[-1] else u
                    share[b] = [sum(inhibitory) - inhibitory[j] for j in range(self.neurons)]
                else:
                    share[b] = [min(total, 1) if competition.form == "pool" else total] * self.neurons
            if not learn:
                continue
            for b in range(samples):
                pre[b] = [one if spikes[b, t, i] else decayed(pre[b][i]) for i in range(self.inputs)]
                post[b] = [decayed(post[b][j]) for j in range(self.neurons)]
                number[b] = [number[b][j] + fired[b][j] for j in range(self.neurons)]
            for j in range(self.neurons):
                times = sum(fired[b][j] for b in range(samples))
                if times:
                    self.threshold[j] = self.round(self.formats.threshold, self.threshold[j] + recipe.neuron.theta_plus * times)
            if learning.update == "events":
                self.apply([(j, pre[b], 1) for b in range(samples) for j in range(self.neurons) if fired[b][j]],
                           [(j, spikes[b, t], post[b][j]) for b in range(samples) for j in range(self.neurons)], learned)
                for b in range(samples):
                    post[b] = [one if fired[b][j] else post[b][j] for j in range(self.neurons)]
            elif (t + 1) % learning.interval == 0 or t + 1 == timesteps:
                winners = []
                for b in range(samples):
                    most = max(number[b])
                    if most:
                        winners.append((number[b].index(most), pre[b], math.ceil(most / learning.spike_unit)))
                self.apply(winners, [], learned)
        if learn:
            self.finish(samples, learned)
        return fired_all, membranes

    def apply(self, potentiations, depressions, learned):
        learning, form = self.recipe.learning, self.formats.weight
        dependent = learning.rule == "weight-dependent"
        for j in range(self.neurons):
            up = [factor * np.array(trace) for k, trace, factor in potentiations if k == j]
            down = [trace * np.array(spikes, float) for k, spikes, trace in depressions if k == j]
            if up:
                learned.add(j)
            if any(trace for k, _, trace in depressions if k == j) and learning.depression:
                learned.add(j)
            for i in range(self.inputs):
                w = self.weight[j][i]
                p, d = sum(float(u[i]) for u in up), sum(float(u[i]) for u in down)
                grown = learning.potentiation * p * (1 - w if dependent else 1)
                changed = w + grown - learning.depression * d * (w if dependent else 1)
                self.weight[j][i] = self.round(form, min(max(changed, 0.0), 1.0)) if up or down else w

    def finish(self, samples, learned):
        learning, neuron = self.recipe.learning, self.recipe.neuron
        for j in sorted(learned):
            total = np.float32(sum(self.weight[j]))
            scale = np.float32(learning.norm) / total if total > 0 else np.float32(1)
            self.weight[j] = [self.round(self.formats.weight, min(max(float(np.float32(w) * scale), 0.0), 1.0))
                              for w in self.weight[j]]
        share = np.float32(min(1.0, samples / neuron.theta_tau))
        for j in range(self.neurons):
            now = np.float32(self.threshold[j])
            self.threshold[j] = self.round(self.formats.threshold, float(now - (now - np.float32(neuron.threshold)) * share))


def learner(recipe, network, formats=GRID, seed=0):
    """Return the vectorized learning of a network."""
    return Stdp(recipe, network.weight, network.threshold, formats, np.random.default_rng(seed))
