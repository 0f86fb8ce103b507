"""Quantize a float network."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from snnhw import ir
from snnhw.errors import NetworkError, UsageError, raise_problems
from snnhw.fixed import signed_bits
from snnhw.ir import Decay, Graph, NeuronSpec
from snnhw.ir.traverse import route
from snnhw.network import Behaviour, Conv, Linear, Network, Pool, Scale, run_network
from snnhw.ptq.compare import batches
from snnhw.ptq.options import Options
from snnhw.ptq.scales import Group, best_scale, group_nodes, identities, input_scales, integers

__all__ = ["quantize"]

WIDEST = 32
READ_OUT = 16  # how many times the steps of a threshold a state that is read out is wide


def quantize(network: Network, calibration_spikes: np.ndarray, options: Options | None = None) -> tuple[Graph, dict[str, Any]]:
    """Return the integer graph of a float network, and what became of every layer.

    Weights become integers times a scale, which folds into the thresholds, reset amounts and biases of the neurons they drive;
    so does the factor of an average. Biases are added to the state, where they have its resolution. The states saturate, in
    words that hold what the calibration samples need and a margin.

    With ``unit`` the worth of the least significant bit of a state, a threshold that is reached by ``v > T`` becomes
    ``floor(T / unit) + 1`` and one by ``v >= T`` becomes ``ceil(T / unit)``; other constants are rounded.

    Parameters
    ----------
    network : Network
        The float network.
    calibration_spikes : bool or int array, (samples, timesteps, *input shape)
        Input spikes that are like those to come; the graph has their timesteps.
    options : Options
        Number formats.

    Returns
    -------
    Graph
        The network in integers.
    dict
        ``"layers"``: one row for each layer of weights, ``"neurons"``: one for each layer of neurons. Plain values.

    Raises
    ------
    UsageError
        An option names a layer that has no weights.
    NetworkError
        A value does not fit its word, one sentence for each.
    """
    options = options or Options()
    spikes = np.asarray(calibration_spikes)
    weighted = [node.name for node in network.nodes if isinstance(node, Linear | Conv | Scale)]
    for name in options.layer_bits:
        if name not in weighted:
            raise UsageError(f"quantization weight_bits names {name!r}, layers with weights are {', '.join(map(repr, weighted))}")
    if spikes.ndim < 3 or not spikes.shape[0] or not spikes.shape[1]:
        raise UsageError(f"calibration needs at least one sample and one timestep, not shape {spikes.shape}")
    ranges = _observe(network, spikes)
    nodes, added = identities(network)
    made, rows, scales = _weights(network, nodes, added, options)
    biases = _biases(nodes, network)
    problems: list[str] = []
    neuron_rows = []
    for node in network.neurons:
        try:
            spec, row = _neuron(node.behaviour, scales[node.name], biases[node.name], ranges[node.name], options)
        except ValueError as error:
            problems.append(f"layer {node.name!r} (Neuron): {error}")
            continue
        if len(row["units"]) > 1:  # one for each channel
            row["units"] = np.reshape(row["units"], (network.shapes[node.name][0], -1))[:, 0].tolist()
        made[node.name] = ir.Neuron(node.name, next(other.inputs for other in nodes if other.name == node.name), spec)
        neuron_rows.append({"name": node.name, "neurons": math.prod(network.shapes[node.name])} | row)
    raise_problems(problems)
    made |= {node.name: ir.SumPool(node.name, node.inputs, node.window) for node in nodes if isinstance(node, Pool)}
    graph = Graph(network.name, tuple(made.get(node.name, node) for node in nodes), spikes.shape[1], dict(network.choices) | {
        "quantization": f"{options.weight_bits}-bit weights, one scale for each {options.granularity}, {options.method}"})
    bounds = _proven(graph)
    for row in neuron_rows:
        row["proven"] = bounds[str(row["name"])]
    return graph, {"layers": rows, "neurons": neuron_rows, "timesteps": graph.timesteps, "calibration_samples": len(spikes)}


def _observe(network: Network, spikes: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the smallest and the largest state of each neuron, by layer."""
    ranges = {node.name: (np.asarray(float(node.behaviour.start)),) * 2 for node in network.neurons}
    for part in batches(network.shapes, spikes):
        found = run_network(network, spikes[part], keep_membranes=False).ranges
        ranges = {name: (np.minimum(low, found[name][0]), np.maximum(high, found[name][1]))
                  for name, (low, high) in ranges.items()}
    for name, values in ranges.items():
        if not np.isfinite(values).all():
            raise NetworkError(f"layer {name!r} (Neuron): states must stay finite, and reach "
                               f"{values[0].min():g}..{values[1].max():g}")
    return ranges


def _weights(network: Network, nodes: list[ir.Node], added: Mapping[str, str], options: Options) -> tuple[
        dict[str, ir.Node], list[dict[str, Any]], dict[str, np.ndarray]]:
    """Return integer nodes by name, their rows, and the scale of what each layer of neurons receives."""
    made: dict[str, ir.Node] = {}
    rows: dict[str, dict[str, Any]] = {}
    scales: dict[str, np.ndarray | float] = {}
    drives: dict[str, np.ndarray] = {}
    pending = group_nodes(nodes)
    while pending:
        incoming = input_scales(nodes, scales)
        group = next((group for group in pending if all(member.node.name in incoming for member in group.members)), None)
        if group is None:
            first, *_, last = (member.node for member in pending[0].members)
            raise NetworkError(f"layer {last.name!r} ({last.title}): its output must not be added to that of layer "
                               f"{first.name!r}, which it also reads; put neurons between them")
        pending.remove(group)
        bits = [options.layer_bits.get(member.node.name, options.weight_bits) for member in group.members]
        tops = [(1 << (width - 1)) - 1 for width in bits]
        factors = [float(incoming[member.node.name]) / member.ratio for member in group.members]
        arrays = [member.node.weight * factor for member, factor in zip(group.members, factors, strict=True)]
        by_channel = options.granularity == "channel" and _has_channels(group, network)
        scale = np.array([best_scale(channel, tops, options) for channel in zip(*arrays, strict=True)] if by_channel
                         else best_scale(arrays, tops, options))
        for member, array, factor, width, top in zip(group.members, arrays, factors, bits, tops, strict=True):
            node = member.node
            weight = integers(array, scale, top)
            scales[node.name] = scale * member.ratio if by_channel else float(scale) * member.ratio
            made[node.name] = _integer_node(node, weight, width)
            rows[node.name] = _row(node, weight, scale / factor, width)
            if node.name in added:
                rows[node.name]["added_for"] = added[node.name]
        for name, ratio in group.neurons.items():
            each = math.prod(network.shapes[name]) // scale.size
            drives[name] = np.repeat(scale * ratio, each) if by_channel else scale * ratio
    return made, [rows[node.name] for node in nodes if node.name in rows], drives


def _has_channels(group: Group, network: Network) -> bool:
    """Whether each output channel of a group may have a scale of its own."""
    channels = {len(member.node.weight) for member in group.members if not isinstance(member.node, Scale)}
    driven = [node for node in network.neurons if node.name in group.neurons]
    return (not group.inner and len(channels) == 1 and not any(isinstance(member.node, Scale) for member in group.members)
            and all(math.prod(network.shapes[node.name]) % min(channels) == 0 and node.behaviour.output != "state"
                    and node.behaviour.start == 0 for node in driven))


def _integer_node(node: Linear | Conv | Scale, weight: np.ndarray, bits: int) -> ir.Node:
    if isinstance(node, Linear):
        return ir.Linear(node.name, node.inputs, weight, bits)
    if isinstance(node, Conv):
        return ir.Conv(node.name, node.inputs, weight, bits, node.window, node.groups)
    return ir.Scale(node.name, node.inputs, weight, bits)


def _row(node: Linear | Conv | Scale, weight: np.ndarray, scale: np.ndarray, bits: int) -> dict[str, Any]:
    """Return what became of the weights of one node; `scale` is that of a weight."""
    each = scale.reshape(-1, *[1] * (weight.ndim - 1)) if scale.ndim else scale
    error, power = float(np.square(weight * each - node.weight).mean()), float(np.square(node.weight).mean())
    top = (1 << (bits - 1)) - 1
    return {
        "name": node.name, "kind": node.title, "weight_bits": bits, "weights": int(weight.size), "scales": int(scale.size),
        "scale": [float(scale.min()), float(scale.max())], "clip": float(scale.max()) * top,
        "clipped": int((np.abs(node.weight / each) > top + 0.5).sum()), "mse": error,
        "relative_error": math.sqrt(error / power) if power else 0.0, "sparsity": float((weight == 0).mean()),
    }


def _biases(nodes: list[ir.Node], network: Network) -> dict[str, np.ndarray]:
    """Return the current that reaches each neuron when nothing spikes: what the biases of the maps before it become."""
    by_name = {node.name: node for node in nodes}

    def silence(name: str) -> np.ndarray | None:
        node = by_name[name]
        silent = node.fires or isinstance(node, ir.Input | ir.Delay)
        return np.zeros((1, *network.shapes[name])) if silent else None

    found: dict[str, np.ndarray] = {}
    kinds = dict.fromkeys(by_name, np.dtype(np.float64))
    totals = {}
    for node in network.neurons:
        totals[node.name] = np.zeros(math.prod(network.shapes[node.name])) + node.behaviour.bias
        for name in by_name[node.name].inputs:
            totals[node.name] = totals[node.name] + route(by_name, name, silence, kinds, found).reshape(-1)
    return totals


def _near(values: np.ndarray) -> np.ndarray:
    """Return values with those that are an integer but for rounding made one."""
    whole = np.round(values)
    return np.where(np.abs(values - whole) <= 1e-9 * np.maximum(1.0, np.abs(values)), whole, values)


def _common(values: np.ndarray) -> np.ndarray:
    """Return int64 values, one for all when they are the same for all neurons."""
    array = np.asarray(values)
    if np.abs(array).max() >= 1 << 62:
        raise ValueError(f"constants must fit in 64 bits, not {float(np.abs(array).max()):g} units of the state")
    array = array.astype(np.int64)
    return array.reshape(-1)[0] if array.ndim and (array == array.reshape(-1)[0]).all() else array


def _constants(behaviour: Behaviour, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return threshold and reset amount in units of the state."""
    ratio = _near(np.asarray(behaviour.threshold) / unit)
    threshold = np.floor(ratio) + 1 if behaviour.compare == ">" else np.ceil(ratio)
    if behaviour.output == "state":
        threshold = np.zeros(())
    amount = np.round(np.asarray(behaviour.reset_amount) / unit) if behaviour.reset in ("value", "subtract") else np.zeros(())
    return threshold, np.maximum(amount, 1) if behaviour.output == "count" else amount


def _neuron(behaviour: Behaviour, scale: np.ndarray | float, bias: np.ndarray, observed: tuple[np.ndarray, np.ndarray],
            options: Options) -> tuple[NeuronSpec, dict[str, Any]]:
    """Return the arithmetic of one layer of neurons, and its row."""
    if behaviour.reset == "subtract" and (np.asarray(behaviour.reset_amount) < 0).any():
        raise ValueError(f"reset amount must not be negative, not {float(np.asarray(behaviour.reset_amount).min()):g}")
    scale = np.asarray(scale, np.float64)
    reads = behaviour.output == "state"
    reach = max(float(np.abs(values).max()) for values in observed)
    wide = np.abs(reach if reads else np.asarray(behaviour.threshold)) / scale
    wide = wide[wide > 0] if (wide > 0).any() else np.asarray(max(reach / scale.min(), 1.0))
    frac = min(30, max(0, math.ceil(math.log2(options.steps * (READ_OUT if reads else 1) / float(wide.min())))))
    while True:
        unit = scale * 2.0 ** -frac
        threshold, amount = _constants(behaviour, unit)
        start = round(float(np.round(behaviour.start / unit).reshape(-1)[0]))
        needed = _width(observed, unit, threshold, amount, start, behaviour, options.margin)
        if frac == 0 or needed <= (options.state_bits or WIDEST):
            break
        frac -= 1
    constants = _width((np.zeros(()), np.zeros(())), unit, threshold, amount, start, behaviour, 1.0)
    bits = options.state_bits or min(needed, WIDEST)
    if constants > bits:
        raise ValueError(f"threshold, start and reset need {constants} bits, and the state has {bits}; "
                         "use more state bits, or fewer weight bits")
    decay, synapse = _decay(np.asarray(behaviour.beta), behaviour, options, "beta"), None
    if behaviour.alpha is not None:
        synapse = _decay(np.asarray(behaviour.alpha), behaviour, options, "alpha")
    spec = NeuronSpec(
        _common(threshold), decay, behaviour.reset, _common(amount), behaviour.reset_time,
        behaviour.input_on_reset if behaviour.reset in ("zero", "value") and behaviour.reset_time == "next" else "keep",
        "saturate", bits, frac, _common(np.round(bias / unit)), start, "sample", synapse, behaviour.output, behaviour.grades)
    words = [math.floor(float((observed[0] / unit).min())), math.ceil(float((observed[1] / unit).max()))]
    row = {
        "behaviour": behaviour.kind, "state_bits": bits, "frac": frac, "unit": [float(unit.min()), float(unit.max())],
        "units": unit.reshape(-1).tolist(),
        "threshold": [int(np.min(threshold)), int(np.max(threshold))], "bias": bool(np.any(spec.bias)),
        "decay": str(decay), "beta": _span(behaviour.beta), "beta_realised": _span(decay.ratio),
        "observed": [float(observed[0].min()), float(observed[1].max())], "observed_words": words,
        "observed_bits": signed_bits(*words),
    }
    if synapse is not None:
        row |= {"synapse": str(synapse), "alpha": _span(behaviour.alpha), "alpha_realised": _span(synapse.ratio)}
    return spec, row


def _width(observed: tuple[np.ndarray, np.ndarray], unit: np.ndarray, threshold: np.ndarray, amount: np.ndarray, start: int,
           behaviour: Behaviour, margin: float) -> int:
    """Return how many bits of state hold the constants, and what was observed with a margin."""
    words = [margin * float((observed[0] / unit).min()), margin * float((observed[1] / unit).max()), float(start),
             float(np.min(threshold)), float(np.max(threshold))]
    if behaviour.reset == "value":
        words += [float(np.min(amount)), float(np.max(amount))]
    if behaviour.reset == "subtract" and behaviour.reset_time == "immediate":
        words += [float(np.min(threshold - amount))]
    return max(4, signed_bits(math.floor(min(words)), math.ceil(max(words))))


def _span(values: object) -> list[float]:
    array = np.asarray(values, np.float64)
    return [float(array.min()), float(array.max())]


def _decay(beta: np.ndarray, behaviour: Behaviour, options: Options, what: str) -> Decay:
    """Return the integer decay of a state."""
    if beta.ndim and (beta == beta[0]).all():
        beta = beta[0]
    if (beta == 1).all():
        return Decay("one")
    leak = 1 - beta
    shift = min(range(1, WIDEST), key=lambda k: float(np.abs(leak - 2.0 ** -k).max()))
    error = float(np.abs(leak - 2.0 ** -shift).max())
    if behaviour.rounding == "floor" and options.decay != "mul" and error <= options.tolerance:
        return Decay("shift", shift)
    if options.decay == "shift":
        raise ValueError(f"{what} must be within {options.tolerance:g} of 1 - 2**-k for decay 'shift', and is {error:.3g} from "
                         f"{1 - 2.0 ** -shift:.6g}; use decay 'mul'")
    bits = options.decay_bits
    while bits < 16 and (np.abs(np.round(beta * 2.0 ** bits) / 2.0 ** bits - beta) > leak / 20).any():
        bits += 1
    return Decay("mul", bits, np.round(beta * 2.0 ** bits).astype(np.int64), behaviour.rounding)


def _proven(graph: Graph) -> dict[str, int]:
    """Return a magnitude that each layer's states cannot exceed, were they not to saturate."""
    reach: dict[str, int] = {}
    for node in graph.nodes:
        if isinstance(node, ir.Delay) or node.fires or not node.inputs:
            values = graph.values(node.name)
            reach[node.name] = max(-values.lowest, values.highest)
        elif not isinstance(node, ir.Neuron | ir.Readout):
            total = sum(reach[name] for name in node.inputs)
            reach[node.name] = total * node.gain if isinstance(node, ir.WeightedSum) else total
    found: dict[str, int] = {}
    for node in graph.neurons:
        spec = node.spec
        state = (sum(reach[name] for name in node.inputs) << spec.frac) + int(np.abs(spec.bias).max())
        for decay in (spec.synapse, spec.decay):
            if decay is not None:
                factor = float(decay.ratio.max())
                # A word that decays is at most its unit below the real number, so that leaking bounds it from both sides.
                leaking = math.ceil((state + 1) / (1 - factor)) if factor < 1 else state * graph.timesteps
                state = min(state * graph.timesteps, leaking)
        if spec.reset in ("value", "subtract"):
            state += int(np.abs(spec.reset_amount).max()) * (graph.timesteps if spec.reset_time == "next" else 1)
        found[node.name] = state + abs(spec.start)
    return found
