"""Any float network as a module that trains, in real numbers or in the integers of its hardware.

Nodes are computed in the order of :mod:`snnhw.ir.traverse`: a linear map over all timesteps at once, neurons timestep by
timestep, and the layers of a cycle together. What is computed in integers equals the graph that :meth:`TrainableNetwork.graph`
returns, word for word: the same formulas on whole numbers, held in tensors of floats.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from snnhw import ir
from snnhw.compress.config import LayerQuant, QuantConfig
from snnhw.compress.formats import check_scale, choose_format, choose_scale
from snnhw.compress.populations import Constants, Population, State
from snnhw.compress.weights import GroupScale, WeightedMap
from snnhw.errors import NetworkError, UsageError, raise_problems
from snnhw.ir import Decay, Graph, NeuronSpec, Window
from snnhw.ir.nodes import Node
from snnhw.ir.traverse import blocks
from snnhw.network import Conv, Linear, Network, Neuron, Pool, Scale
from snnhw.ptq.scales import Group, group_nodes, identities, input_scales

__all__ = ["Pass", "TrainableNetwork"]

SINGLE_LIMIT, DOUBLE_LIMIT = 1 << 22, 1 << 51   # below them, sums of a few words are exact in single and double precision
WHOLE_LIMIT = 1 << 24                           # up to it, single precision has every integer
Weighted = Linear | Conv | Scale


@dataclass
class Pass:
    """What a network computed on a batch, with gradients.

    Attributes
    ----------
    logits : tensor, (samples, outputs)
        Spike counts, or what the readout makes of membranes, in real numbers.
    spikes : dict of str to tensor, (timesteps, samples, neurons)
        By layer of neurons; the states of those that hand them on.
    membranes : dict of str to tensor, (timesteps, samples, neurons)
        By layer of neurons, in units of the state if there are any; empty when not kept.
    currents : dict of str to tensor, (timesteps or 1, samples, neurons)
        What reached each layer of neurons, like the membranes and without bias; empty when not kept.
    """

    logits: torch.Tensor
    spikes: dict[str, torch.Tensor]
    membranes: dict[str, torch.Tensor]
    currents: dict[str, torch.Tensor]


@dataclass
class _Drive:
    """Where the unit of a population comes from: the scale of a group, times `ratio`, for `each` neurons of a channel."""

    group: int
    ratio: float
    each: int


class TrainableNetwork(nn.Module):
    """A float network whose weights, biases, thresholds and decays are parameters.

    Parameters
    ----------
    network : Network
        The network; not changed.
    learn : mapping of str to set of str, optional
        Which constants of a layer of neurons learn: any of ``"threshold"``, ``"beta"``, ``"alpha"``.
    surrogate : str
        Gradient of a spike.
    """

    def __init__(self, network: Network, *, learn: Mapping[str, frozenset[str]] | None = None, surrogate: str = "atan") -> None:
        super().__init__()
        for name, constants in (learn or {}).items():
            if name not in (known := [node.name for node in network.neurons]):
                raise UsageError(f"learn names {name!r}, the neurons of the network are {', '.join(map(repr, known))}")
            if unknown := set(constants) - {"threshold", "beta", "alpha"}:
                raise UsageError(f"learn of layer {name!r} must be any of 'threshold', 'beta', 'alpha', not {min(unknown)!r}")
        self.source = network
        nodes, self._added = identities(network)
        self.nodes: dict[str, Node] = {node.name: node for node in nodes}
        self._blocks = blocks(nodes)
        self._groups = group_nodes(nodes)
        self.maps = nn.ModuleDict()
        self.populations = nn.ModuleDict()
        self.scales: nn.ModuleList | None = None
        for node in nodes:
            if isinstance(node, Weighted):
                self.maps[_key(node.name)] = made = WeightedMap(node.weight, getattr(node, "bias", None))
                made.weight.requires_grad_(node.name not in self._added)
            elif isinstance(node, Neuron):
                self.populations[_key(node.name)] = Population(
                    node.behaviour, (learn or {}).get(node.name, frozenset()), surrogate)
        self._shapes = dict(network.shapes)
        for node in nodes:
            if node.name not in self._shapes:
                self._shapes[node.name] = self._shapes[node.inputs[0]]
        self._drives: dict[str, _Drive] = {}
        self._factors: dict[str, float] = {}
        self._quants: dict[str, LayerQuant] = {}
        self._bits: dict[str, int] = {}
        self._wide: set[str] = set()  # nodes whose outputs, or what is added before, need double precision

    # ------------------------------------------------------------------ parts

    @property
    def quantized(self) -> bool:
        """Whether it computes in integers."""
        return self.scales is not None

    def map(self, name: str) -> WeightedMap:
        """Return the weights of a node."""
        found = self.maps[_key(name)]
        assert isinstance(found, WeightedMap)
        return found

    def population(self, name: str) -> Population:
        """Return a layer of neurons."""
        found = self.populations[_key(name)]
        assert isinstance(found, Population)
        return found

    @property
    def weighted(self) -> tuple[str, ...]:
        """Names of the nodes whose weights train."""
        return tuple(node.name for node in self.nodes.values() if isinstance(node, Weighted) and node.name not in self._added)

    @property
    def neurons(self) -> tuple[str, ...]:
        """Names of the layers of neurons."""
        return tuple(node.name for node in self.source.neurons)

    def bits(self, name: str) -> int:
        """Return the width of the integer weights of a node."""
        return self._bits[name]

    def sources(self, name: str) -> tuple[str, ...]:
        """Return the nodes whose weights drive a layer of neurons; the Scale of 1 that was made for it where only spikes do."""
        every = self._ends(name)[:-1]
        return tuple(source for source in every if source not in self._added) or every

    def slots(self) -> dict[str, torch.Tensor]:
        """Return the parameters by the names of nodes: ``fc1.weight``, ``lif1.threshold``."""
        found: dict[str, torch.Tensor] = {}
        for name in self.weighted:
            own = self.map(name)
            found[f"{name}.weight"] = own.weight
            if own.bias is not None:
                found[f"{name}.bias"] = own.bias
        for name in self.neurons:
            population = self.population(name)
            for what in ("threshold", "beta", "alpha"):
                if getattr(population, what, None) is not None:
                    found[f"{name}.{what}"] = getattr(population, what)
        return found

    def _scale(self, index: int) -> GroupScale:
        assert self.scales is not None
        scale = self.scales[index]
        assert isinstance(scale, GroupScale)
        return scale

    def _ends(self, name: str) -> tuple[str, ...]:
        """Return the weighted nodes whose group drives a layer of neurons, and the layer itself."""
        group = next(group for group in self._groups if name in group.neurons)
        return *(member.node.name for member in group.members), name

    # -------------------------------------------------------------- integers

    def quantize(self, config: QuantConfig, calibration: np.ndarray | None = None, *,
                 scales: Mapping[str, np.ndarray] | None = None, clips: Mapping[str, np.ndarray] | None = None) -> None:
        """Compute in integers from now on. Weights are not changed, so accuracy is lost and wants training.

        Parameters
        ----------
        config : QuantConfig
            Number formats.
        calibration : array, (samples, timesteps, elements), optional
            Input spikes; needed where a membrane is read out, whose range they decide.
        scales, clips : mapping of str to array, optional
            Scales of groups by the name of their first node, instead of the best for the weights; what weights are divided by.
        """
        known = {*self.weighted, *self.neurons}
        for name in config.layers:
            if name not in known:
                raise UsageError(f"quantize.layers names {name!r}, the network has {', '.join(map(repr, sorted(known)))}")
        problems = [f"layer {node.name!r} ({node.title}): must be followed by neurons to train in integers, and the weights of "
                    f"{after!r} follow" for node, after in self._inner()]
        raise_problems(problems)
        incoming = input_scales(list(self.nodes.values()), {})
        made: list[GroupScale] = []
        self._drives = {}
        for index, group in enumerate(self._groups):
            names = [member.node.name for member in group.members]
            quants = [config.of(name, *group.neurons) for name in names]
            for name, quant, member in zip(names, quants, group.members, strict=True):
                self._quants[name], self._bits[name] = quant, quant.bits
                factor = float(incoming[name]) / member.ratio
                self._factors[name] = factor
            channels = quants[0].granularity == "neuron" and self._has_channels(group)
            for name, ratio in group.neurons.items():
                size = math.prod(self._shapes[name])
                outputs = len(self.map(names[0]).weight) if channels else size
                self._drives[name] = _Drive(index, ratio, size // outputs)
            given = None if scales is None else scales.get(names[0])
            where = f"layer {names[0]!r} ({group.members[0].node.title})"
            try:
                scale = choose_scale(
                    [self.map(name).real().detach().numpy() * self._factors[name] for name in names],
                    [_highest(quant.bits) for quant in quants], quants[0], channels=channels, given=given, where=where)
                made.append(GroupScale(scale, quants[0].scale))
                if clips is not None and names[0] in clips:
                    made[-1].set_divisor(check_scale(clips[names[0]], scale.shape, f"{where}: clip"))
            except NetworkError as error:
                problems += error.problems
        raise_problems(problems)
        self.scales = nn.ModuleList(made)
        reach = self._reach()
        self._wide = {name for name, node in self.nodes.items()
                      if max(reach.get(name, 0), sum(reach[source] for source in node.inputs)) >= WHOLE_LIMIT}
        observed = self._observe(calibration)
        biases = self._biases()
        for name in self.neurons:
            population, drive = self.population(name), self._drives[name]
            quant = config.of(*self._ends(name))
            scale = (self._scale(drive.group).value() * drive.ratio).detach().double().numpy()
            try:
                form = choose_format(population.present(), quant, scale, observed.get(name), f"layer {name!r} (Neuron)",
                                     population.learns)
            except NetworkError as error:
                problems += error.problems
                continue
            except ValueError as error:
                problems.append(f"layer {name!r} (Neuron): {error}")
                continue
            population.format = form
            bound = self._bound(name, reach, biases[name])
            population.format = replace(form, double=form.double or bound >= SINGLE_LIMIT // 2)  # room for biases that grow
            for what, decay in (("beta", form.decay), ("alpha", form.synapse)):
                if decay is not None and decay.kind == "shift":
                    getattr(population, what).data.fill_(1 - 2.0 ** -decay.shift)
        raise_problems(problems)

    def _inner(self) -> list[tuple[Weighted, str]]:
        """Return the weighted nodes that are followed by weights without neurons between, each with one of those."""
        found: list[tuple[Weighted, str]] = []
        carried: dict[str, list[Weighted]] = {}  # what reaches a node without passing neurons
        for node in self.nodes.values():
            if not node.inputs or isinstance(node, ir.Delay | ir.MaxPool | Neuron):
                carried[node.name] = []
                continue
            before = [weighted for name in node.inputs for weighted in carried[name]]
            if isinstance(node, Weighted):
                found += [(weighted, node.name) for weighted in before]
            carried[node.name] = [node] if isinstance(node, Weighted) else before
        return found

    def _has_channels(self, group: Group) -> bool:
        """Whether each output channel of a group may have a scale of its own."""
        sizes = {len(member.node.weight) for member in group.members if not isinstance(member.node, Scale)}
        return (len(sizes) == 1 and not any(isinstance(member.node, Scale) for member in group.members)
                and all(math.prod(self._shapes[name]) % min(sizes) == 0 and self.population(name).behaviour.output != "state"
                        and self.population(name).behaviour.start == 0 for name in group.neurons))

    def _reach(self) -> dict[str, int]:
        """Return the largest magnitude that each node's output can have, and every sum on the way to it; of neurons, spikes."""
        found: dict[str, int] = {}
        for node in self.nodes.values():
            if isinstance(node, ir.Input):
                found[node.name] = max(-node.lowest, node.highest)
            elif isinstance(node, Neuron):
                found[node.name] = node.behaviour.grades
            elif isinstance(node, ir.Delay | ir.MaxPool):
                source = self.nodes[node.inputs[0]]
                found[node.name] = source.behaviour.grades if isinstance(source, Neuron) else found.get(source.name, 1)
            elif not isinstance(node, ir.Readout):
                total = sum(found[name] for name in node.inputs)
                if isinstance(node, Weighted):
                    total *= _highest(self._bits[node.name]) * (1 if isinstance(node, Scale) else node.weight[0].size)
                found[node.name] = total * node.window.positions if isinstance(node, Pool) else total
        return found

    def _bound(self, name: str, reach: Mapping[str, int], bias: torch.Tensor) -> int:
        """Return a bound of what is added to a state of a layer of neurons in one timestep, in units of the state."""
        population = self.population(name)
        assert population.format is not None
        unit = self.unit(name).detach().double()
        fixed = bias.detach().double().abs().max() + float(np.abs(population.behaviour.bias).max())
        _, amount = population.integers(unit)
        largest = (fixed / unit.min()).nan_to_num(posinf=2.0 ** 62).clamp(max=2.0 ** 62)
        current = sum(reach[source] for source in self.nodes[name].inputs) << population.format.frac
        return current + math.ceil(float(largest)) + min(1 << 62, int(amount.abs().nan_to_num(posinf=2.0 ** 62).max()))

    def _observe(self, calibration: np.ndarray | None) -> dict[str, tuple[float, float]]:
        """Return the range of the states that are read out, in real numbers."""
        wanted = [name for name in self.neurons if self.population(name).behaviour.output == "state"]
        if not wanted:
            return {}
        if calibration is None:
            raise UsageError(f"layer {wanted[0]!r} (Neuron): its membrane is read out, so quantizing needs calibration samples")
        scales, self.scales = self.scales, None
        forms = {name: self.population(name).format for name in self.neurons}
        try:
            for name in self.neurons:
                self.population(name).format = None
            with torch.no_grad():
                seen = self.forward(torch.from_numpy(np.asarray(calibration, np.float32)), keep=True).membranes
        finally:
            self.scales = scales
            for name, form in forms.items():
                self.population(name).format = form
        return {name: (float(seen[name].min()), float(seen[name].max())) for name in wanted}

    def _limit(self, name: str) -> int:
        form = self.population(name).format
        return DOUBLE_LIMIT if form is not None and form.double else SINGLE_LIMIT

    def integer_weight(self, name: str) -> torch.Tensor:
        """Return the integer weights of a node, with gradients."""
        group = next(index for index, group in enumerate(self._groups)
                     if any(member.node.name == name for member in group.members))
        return self.map(name).integers(self._scale(group).divisor(), self._factors[name], _highest(self._bits[name]))

    def scale_values(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return the scales of groups by the name of their first node, and what weights are divided by where that differs."""
        scales, clips = {}, {}
        for index, group in enumerate(self._groups):
            scale, name = self._scale(index), group.members[0].node.name
            scales[name] = scale.value().detach().numpy().copy()
            if scale.clip is not None:
                clips[name] = scale.divisor().detach().numpy().copy()
        return scales, clips

    def unit(self, name: str) -> torch.Tensor:
        """Return what one unit of the state of a layer of neurons is worth, () or (neurons,), with gradients."""
        population = self.population(name)
        if population.format is None:
            return torch.ones(())
        drive = self._drives[name]
        # Rounded before it is shared out, so that every neuron of a channel has the same.
        scale = (self._scale(drive.group).value() * drive.ratio).to(population.format.kind)
        unit = scale * 2.0 ** -population.format.frac
        return unit.repeat_interleave(drive.each) if unit.ndim and drive.each > 1 else unit

    # --------------------------------------------------------------- forward

    def forward(self, spikes: torch.Tensor, timesteps: int | None = None, *, keep: bool = False) -> Pass:
        """Compute a batch.

        Parameters
        ----------
        spikes : tensor, (samples, timesteps, elements), or (samples, 1, elements) for an input that stays
            Input spikes as numbers.
        timesteps : int, optional
            Needed for an input that stays; it is then multiplied with the first weights only once.
        keep : bool
            Also return membranes and currents.
        """
        steps = spikes.shape[1] if timesteps is None else timesteps
        source = self.source.input
        outputs = {source.name: spikes.transpose(0, 1).reshape(spikes.shape[1], len(spikes), *source.shape)}
        weights = {name: self.integer_weight(name) if self.quantized else self.map(name).real()
                   for name in (*self.weighted, *self._added)}
        biases = self._biases()
        found = Pass(torch.empty(0), {}, {}, {})
        for block in self._blocks:
            if len(block) > 1:
                self._cycle(block, outputs, weights, biases, found, steps, keep)
                continue
            node, = block
            if isinstance(node, ir.Input | ir.Readout):
                continue
            if isinstance(node, ir.Delay):
                past = self._all(outputs[node.inputs[0]], steps)
                outputs[node.name] = torch.cat([torch.zeros_like(past[:1]), past[:-1]])
            elif isinstance(node, Neuron):
                current = self._total(node, outputs).flatten(2)
                population, constants = self.population(node.name), self._constants(node.name, biases)
                current = self._currents(node.name, current)
                state = population.begin(current.shape[1], current.shape[2], constants)
                fired, states = [], []
                for step in range(steps):
                    fired.append(population.step(state, current[min(step, len(current) - 1)], constants))
                    if keep:
                        states.append(state.membrane)
                self._finish(node, torch.stack(fired), states, outputs, found)
                if keep:
                    found.currents[node.name] = current
            else:
                outputs[node.name] = self._map(node, self._total(node, outputs), weights)
        readout = self.source.nodes[-1]
        assert isinstance(readout, ir.Readout)
        seen = outputs[readout.inputs[0]].flatten(2)
        if readout.kind == "membrane":
            found.logits = self._states_read(readout, found)
        else:
            found.logits = seen.sum(dim=0)
        return found

    def _states_read(self, readout: ir.Readout, found: Pass) -> torch.Tensor:
        """Return what a readout makes of states; of integers in double precision, so that the largest is the largest."""
        node = self.nodes[readout.inputs[0]]
        while isinstance(node, ir.Flatten):
            node = self.nodes[node.inputs[0]]
        states, unit = found.spikes[node.name], self.unit(node.name)
        if self.quantized:
            states, unit = states.double(), unit.double()
            # Whole numbers again, so that equal sums are equal.
            words = states / unit
            states = words + (words.round() - words).detach()
        seen = {"last": states[-1], "max": states.amax(dim=0), "sum": states.sum(dim=0)}[readout.over]
        return seen * unit

    @staticmethod
    def _all(values: torch.Tensor, steps: int) -> torch.Tensor:
        return values if len(values) == steps else values.expand(steps, *values.shape[1:])

    def _total(self, node: Node, outputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        # Only nodes of integers are wide.
        wide = self.quantized and any(name in self._wide for name in (node.name, *node.inputs))
        total = outputs[node.inputs[0]]
        if wide and total.dtype == torch.float32:
            total = total.double()
        for name in node.inputs[1:]:
            total = total + outputs[name]
        return total

    def _currents(self, name: str, current: torch.Tensor) -> torch.Tensor:
        """Return a current in units of the state."""
        form = self.population(name).format
        return current if form is None else current.to(form.kind) * 2.0 ** form.frac

    def _finish(self, node: Neuron, handed: torch.Tensor, states: list[torch.Tensor], outputs: dict[str, torch.Tensor],
                found: Pass) -> None:
        found.spikes[node.name] = handed
        if states:
            found.membranes[node.name] = torch.stack(states)
        outputs[node.name] = handed.float().unflatten(2, self._shapes[node.name])

    def _constants(self, name: str, biases: Mapping[str, torch.Tensor]) -> Constants:
        return self.population(name).prepare(self.unit(name), biases[name])

    def _cycle(self, block: list[Node], outputs: dict[str, torch.Tensor], weights: Mapping[str, torch.Tensor],
               biases: Mapping[str, torch.Tensor], found: Pass, steps: int, keep: bool) -> None:
        """Compute the layers of a cycle, timestep by timestep."""
        samples = next(iter(outputs.values())).shape[1]
        layers = [node for node in block if isinstance(node, Neuron)]
        constants = {node.name: self._constants(node.name, biases) for node in layers}
        states: dict[str, State] = {node.name: self.population(node.name).begin(
            samples, math.prod(self._shapes[node.name]), constants[node.name]) for node in layers}
        handed: dict[str, list[torch.Tensor]] = {node.name: [] for node in block}
        kept: dict[str, list[torch.Tensor]] = {node.name: [] for node in layers}
        for step in range(steps):
            now: dict[str, torch.Tensor] = {
                name: outputs[name][min(step, len(outputs[name]) - 1)][None]
                for node in block for name in node.inputs if name in outputs}
            for node in block:
                if isinstance(node, ir.Delay):
                    past = handed[node.inputs[0]]
                    now[node.name] = past[-1] if past else torch.zeros(1, samples, *node.shape)
                    handed[node.name].append(now[node.name])
                    continue
                total = self._total(node, now)
                if isinstance(node, Neuron):
                    current = self._currents(node.name, total.flatten(2))[0]
                    fired = self.population(node.name).step(states[node.name], current, constants[node.name])
                    now[node.name] = fired.float().reshape(1, samples, *self._shapes[node.name])
                    if keep:
                        kept[node.name].append(states[node.name].membrane)
                else:
                    now[node.name] = self._map(node, total, weights)
                handed[node.name].append(now[node.name])
        for node in block:
            if isinstance(node, Neuron):
                self._finish(node, torch.cat(handed[node.name]).flatten(2), kept[node.name], outputs, found)
            else:
                outputs[node.name] = torch.cat(handed[node.name])

    def _map(self, node: Node, values: torch.Tensor, weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return what a node without a state makes of (timesteps, samples, *shape)."""
        if isinstance(node, ir.Flatten):
            return values.flatten(2)
        lead, values = values.shape[:2], values.flatten(0, 1)
        if isinstance(node, Linear):
            values = F.linear(values, weights[node.name].to(values.dtype))
        elif isinstance(node, Conv):
            window = node.window
            convolve = F.conv1d if window.rank == 1 else F.conv2d
            values, padding = _pad(values, window)
            weight = weights[node.name].to(values.dtype)
            values = convolve(values, weight, None, window.stride, padding, window.dilation, node.groups)
        elif isinstance(node, Scale):
            values = values * weights[node.name].to(values.dtype)
        elif isinstance(node, Pool):
            values = _windows(values, node.window, torch.add)
            if node.kind == "average" and not self.quantized:
                values = values / node.window.positions
        elif isinstance(node, ir.MaxPool):
            values = _windows(values, node.window, torch.maximum)
        return values.unflatten(0, lead)

    def _biases(self) -> dict[str, torch.Tensor]:
        """Return the real current that each layer of neurons receives from biases, () or (neurons,)."""
        found: dict[str, torch.Tensor | None] = {}
        for block in self._blocks:
            for node in block:
                if isinstance(node, ir.Input | ir.Delay | ir.MaxPool | ir.Readout) or not node.inputs:
                    found[node.name] = None
                    continue
                parts = [part for name in node.inputs if (part := found.get(name)) is not None]
                total = sum(parts[1:], start=parts[0]) if parts else None
                if isinstance(node, Neuron):
                    found["drive of " + node.name] = total
                    found[node.name] = None
                elif isinstance(node, Weighted):
                    # What weights make of a bias before them is none of ours: spikes or sums of spikes reach them.
                    bias = self.map(node.name).bias
                    if total is not None and not self.quantized:
                        total = self._map(node, total, {node.name: self.map(node.name).real()})
                    if bias is not None:
                        own = bias.reshape(1, 1, -1, *[1] * (len(self._shapes[node.name]) - 1))
                        own = own.expand(1, 1, *self._shapes[node.name])
                        total = own if total is None else total + own
                    found[node.name] = total
                elif total is not None and isinstance(node, Pool):
                    total = self._map(node, total, {})
                    found[node.name] = total / node.window.positions if node.kind == "average" and self.quantized else total
                else:
                    found[node.name] = None if total is None else self._map(node, total, {})
        silent = torch.zeros(())
        return {name: silent if (drive := found["drive of " + name]) is None else drive.reshape(-1) for name in self.neurons}

    def bias_current(self, name: str) -> torch.Tensor:
        """Return the real current that a layer of neurons receives from biases, () or (neurons,)."""
        return self._biases()[name]

    # --------------------------------------------------------------- results

    def network(self) -> Network:
        """Return the float network with the present parameters."""
        nodes: list[Node] = []
        for node in self.source.nodes:
            if isinstance(node, Linear | Conv):
                own = self.map(node.name)
                bias = None if own.bias is None else own.bias.detach().double().numpy()
                node = replace(node, weight=own.real().detach().double().numpy(), bias=bias)
            elif isinstance(node, Scale):
                node = replace(node, weight=self.map(node.name).real().detach().double().numpy())
            elif isinstance(node, Neuron):
                population = self.population(node.name)
                node = replace(node, behaviour=population.present())
            nodes.append(node)
        return Network(self.source.name, tuple(nodes), self.source.timesteps, self.source.choices)

    def graph(self, entry: ir.Input, timesteps: int, *, name: str = "network", meta: Mapping[str, str] | None = None) -> Graph:
        """Return the integer graph that this computes.

        Parameters
        ----------
        entry : Input
            The input node with its encoding, named as in the network.
        timesteps : int
            Length of a sample.
        name, meta
            Of the graph.

        Raises
        ------
        NetworkError
            A value does not fit its word, or is not a number.
        """
        assert self.quantized, "only integers make a graph"
        raise_problems(self._unfit())
        problems: list[str] = []
        nodes: list[Node] = []
        reach = self._reach()
        with torch.no_grad():
            biases = self._biases()
            for node in self.nodes.values():
                if isinstance(node, ir.Input):
                    nodes.append(replace(entry, name=node.name, shape=node.shape))
                elif isinstance(node, Weighted):
                    weight = self.integer_weight(node.name).numpy().astype(np.int64)
                    nodes.append(_integer_node(node, weight, self._bits[node.name]))
                elif isinstance(node, Pool):
                    nodes.append(ir.SumPool(node.name, node.inputs, node.window))
                elif isinstance(node, Neuron):
                    bound, limit = self._bound(node.name, reach, biases[node.name]), self._limit(node.name)
                    if bound >= limit:
                        problems.append(f"layer {node.name!r} (Neuron): what a timestep adds must stay below {limit} units of "
                                        f"the state, and can reach {bound}; use a smaller frac")
                        continue
                    try:
                        nodes.append(ir.Neuron(node.name, node.inputs, self._spec(node.name, biases)))
                    except ValueError as error:
                        problems.append(f"layer {node.name!r} (Neuron): {error}")
                else:
                    nodes.append(node)
        raise_problems(problems)
        return Graph(name, tuple(nodes), timesteps, dict(meta or {}))

    def _unfit(self) -> list[str]:
        """Return a sentence for each parameter that is not a number, or not above 0 where it must be."""
        problems = []
        named: list[tuple[str, str, torch.Tensor]] = []
        for name in self.weighted:
            own = self.map(name)
            title = self.nodes[name].title
            named.append((f"layer {name!r} ({title})", "weight", own.weight))
            if own.bias is not None:
                named.append((f"layer {name!r} ({title})", "bias", own.bias))
        for name in self.neurons:
            population = self.population(name)
            named.append((f"layer {name!r} (Neuron)", "scale", self.unit(name)))
            named += [(f"layer {name!r} (Neuron)", what, getattr(population, what)) for what in ("threshold", "beta", "alpha")
                      if getattr(population, what, None) is not None]
        for where, what, tensor in named:
            if not bool(torch.isfinite(tensor).all()):
                bad = float(tensor.detach()[~torch.isfinite(tensor)].reshape(-1)[0])
                problems.append(f"{where}: {what} must be finite, not {bad}")
            elif what == "scale" and not bool((tensor > 0).all()):
                problems.append(f"{where}: {what} must be above 0, not {float(tensor.min()):g}")
        return problems

    def _spec(self, name: str, biases: Mapping[str, torch.Tensor]) -> NeuronSpec:
        population = self.population(name)
        behaviour, form = population.behaviour, population.format
        assert form is not None
        constants = self._constants(name, biases)
        threshold, amount = population.integers(constants.unit)
        decays = []
        for decay, factor in zip((form.decay, form.synapse), population.factors(), strict=True):
            if decay is not None and decay.kind == "mul":
                assert factor is not None
                decay = Decay("mul", decay.shift, _common(factor.double() * 2.0 ** decay.shift), decay.rounding)
            decays.append(decay)
        assert decays[0] is not None
        drops = behaviour.reset in ("zero", "value") and behaviour.reset_time == "next"
        return NeuronSpec(
            _common(threshold), decays[0], behaviour.reset, _common(amount), behaviour.reset_time,
            behaviour.input_on_reset if drops else "keep", "exact" if form.overflow == "exact" else "saturate", form.bits,
            form.frac, _common(constants.bias), int(constants.start), "sample", decays[1], behaviour.output, behaviour.grades)


def _key(name: str) -> str:
    """Return a name that a container of modules takes."""
    return "at " + name.replace(".", "/")


def _highest(bits: int) -> int:
    return (1 << (bits - 1)) - 1


def _integer_node(node: Weighted, weight: np.ndarray, bits: int) -> Node:
    if isinstance(node, Linear):
        return ir.Linear(node.name, node.inputs, weight, bits)
    if isinstance(node, Conv):
        return ir.Conv(node.name, node.inputs, weight, bits, node.window, node.groups)
    return ir.Scale(node.name, node.inputs, weight, bits)


def _common(values: torch.Tensor) -> np.ndarray:
    """Return int64 values, one for all when they are the same for all neurons."""
    array = values.detach().double().numpy()
    assert (array == np.round(array)).all(), "a constant is not an integer"
    if np.abs(array).max() >= 1 << 62:
        raise ValueError(f"constants must fit in 64 bits, not {float(np.abs(array).max()):g} units of the state")
    array = array.astype(np.int64)
    return array.reshape(-1)[0] if array.ndim and (array == array.reshape(-1)[0]).all() else array


def _pad(values: torch.Tensor, window: Window) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Return values and the padding that a convolution adds itself; it is the same at both ends there."""
    if window.padding == window.padding_end:
        return values, window.padding
    around = [count for pair in reversed(list(zip(window.padding, window.padding_end, strict=True))) for count in pair]
    return F.pad(values, around), (0,) * window.rank


def _windows(values: torch.Tensor, window: Window, combine: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Return the sum or the maximum under each window, channel by channel."""
    outputs = window.output(tuple(values.shape[2:]))
    around = [count for pair in reversed(list(zip(window.padding, window.padding_end, strict=True))) for count in pair]
    padded = F.pad(values, around) if any(around) else values
    result = None
    for _, where in window.slices(outputs):
        seen = padded[(slice(None), slice(None), *where)]
        result = seen if result is None else combine(result, seen)
    assert result is not None
    return result
