"""Read any supported torch + snntorch network."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import snntorch as snn
import torch
from torch import nn

from snnhw.errors import NetworkError, UsageError, raise_problems
from snnhw.frontend.assemble import Assembler
from snnhw.frontend.classify import Found, classify_neuron
from snnhw.frontend.layers import where
from snnhw.frontend.layout import Layout
from snnhw.frontend.record import Record, record
from snnhw.ir.graph import MAX_TIMESTEPS
from snnhw.ir.nodes import MAX_NEURONS
from snnhw.network import Network

__all__ = ["find_layout", "read_module"]

MAX_SAMPLE = 1 << 26
SAMPLES = 2      # of an input made here; two samples in a batch tell more than one
CALLS = 3        # of a network that is called once per timestep: enough to see what is kept from one to the next
Kind = Literal["count", "first", "membrane"]
Over = Literal["last", "max", "sum"]


def read_module(module: nn.Module, example: torch.Tensor | tuple[int, ...], *, timesteps: int, name: str = "network",
                lowest: int = 0, highest: int = 1, readout: Kind | None = None, over: Over | None = None) -> Network:
    """Read a network from one run of its forward.

    The forward may pass states by hand or hide them (``init_hidden=True``), loop over time itself or be called once per
    timestep, and stack, sum or average what it returns. Neurons are classified by driving them. BatchNorm, constant
    factors and gains fold into weights; Dropout is off.

    Parameters
    ----------
    module : torch.nn.Module
        The network. Not changed, except that hidden states are cleared.
    example : torch.Tensor or tuple of int
        An input of its forward; or the shape of one sample of one timestep, for inputs that are made here.
    timesteps : int
        Length of a sample in timesteps.
    name : str
        Name of the network.
    lowest, highest : int
        Values that an input may have; 0 and 1 are spikes.
    readout : str, optional
        ``"count"``, ``"first"`` or ``"membrane"`` of the last layer; by default what the forward returns decides.
    over : str, optional
        ``"last"``, ``"max"`` or ``"sum"`` of the membranes; by default what the forward does with them, else ``"max"``.

    Returns
    -------
    Network
        Its ``choices`` say how the input was understood, what each neuron was found to be, and what was folded.

    Raises
    ------
    NetworkError
        With one sentence for everything that has no hardware.
    """
    if not 1 <= timesteps <= MAX_TIMESTEPS:
        raise UsageError(f"timesteps must be between 1 and {MAX_TIMESTEPS}, not {timesteps}")
    raise_problems(_not_finite(module))  # nothing can be compared with a NaN
    with torch.random.fork_rng(devices=[]):
        seen = _best(module, example, timesteps)
    raise_problems(seen.problems)
    last, kind, over, reason = _readout(module, seen, readout, over)
    found: dict[str, Found] = {}
    problems: dict[str, None] = {}
    assembler = Assembler(module, seen, found, lowest, highest)
    for neuron in assembler.needed(last):
        try:
            found[neuron] = classify_neuron(module.get_submodule(neuron), neuron, seen.shapes[neuron])
        except NetworkError as error:
            problems.update(dict.fromkeys(error.problems))
    raise_problems({**assembler.problems, **problems})
    if kind == "membrane" and found[last].behaviour.reset != "none":
        raise NetworkError(f"{where(last, module.get_submodule(last))}: its membrane is the output, so it must not be reset, and "
                           f"is ({found[last].behaviour.kind}); use reset_mechanism='none', or return its spikes")
    if kind != "membrane" and found[last].factor < 0:
        raise NetworkError(f"{where(last, module.get_submodule(last))}: graded_spikes_factor of the last layer must be above 0, "
                           f"not {found[last].factor:g}")
    try:
        nodes = assembler.build(last, kind, over)
    except ValueError as error:
        raise NetworkError(str(error)) from None
    raise_problems(assembler.problems)
    choices = {"input": str(seen.layout), **assembler.choices, "readout": reason}
    unused = [path for path in seen.inputs if path not in found]
    if unused:
        choices["left out"] = f"{', '.join(map(repr, unused))}: the output does not depend on it"
    return Network(name, nodes, timesteps, choices)


def find_layout(module: nn.Module, example: torch.Tensor | tuple[int, ...], timesteps: int) -> Layout:
    """Return how the forward of a network that :func:`read_module` reads wants its input."""
    with torch.random.fork_rng(devices=[]):
        seen = _best(module, example, timesteps)
    raise_problems(seen.problems)
    return seen.layout


def _layouts(example: torch.Tensor | tuple[int, ...], timesteps: int) -> Iterator[tuple[torch.Tensor, Layout]]:
    """Yield inputs with what they may mean, the most likely first."""
    generator = torch.Generator().manual_seed(0)
    calls = min(CALLS, timesteps)
    if isinstance(example, torch.Tensor):
        if example.numel() > MAX_SAMPLE or not example.numel() or not example.is_floating_point():
            raise UsageError(f"an example input must be floats, with between 1 and {MAX_SAMPLE} elements, "
                             f"not {example.dtype} of shape {tuple(example.shape)}")
        shape = tuple(example.shape)
        if len(shape) >= 3 and shape[0] == timesteps:
            yield example, Layout("sequence", 0, shape[1], 1, shape[2:])
        if len(shape) >= 3 and shape[1] == timesteps:
            yield example, Layout("sequence", 1, shape[0], 1, shape[2:])
        if len(shape) == 2 and shape[0] == timesteps:
            yield example, Layout("sequence", 0, 1, 1, shape[1:])
        yield example, Layout("step", 0, shape[0] if len(shape) > 1 else 1, calls, shape[1:] if len(shape) > 1 else shape)
        yield example, Layout("static", 0, shape[0] if len(shape) > 1 else 1, 1, shape[1:] if len(shape) > 1 else shape)
        return
    frame = tuple(int(value) for value in example)
    if not 1 <= len(frame) <= 3 or min(frame) < 1 or np.prod([float(value) for value in frame]) > MAX_NEURONS:
        raise UsageError(f"the shape of an input must be one to three sizes with a product between 1 and {MAX_NEURONS}, "
                         f"not {frame}")
    size = int(np.prod(frame))
    if size * timesteps * SAMPLES > MAX_SAMPLE:
        raise UsageError(f"an input of {size} values must have at most {MAX_SAMPLE // size // SAMPLES} timesteps, "
                         f"not {timesteps}")
    for axis, shape in ((0, (timesteps, SAMPLES, *frame)), (1, (SAMPLES, timesteps, *frame))):
        yield torch.rand(shape, generator=generator), Layout("sequence", axis, SAMPLES, 1, frame)
    still = torch.rand((SAMPLES, *frame), generator=generator)
    yield still, Layout("step", 0, SAMPLES, calls, frame)
    yield still, Layout("static", 0, SAMPLES, 1, frame)


def _best(module: nn.Module, example: torch.Tensor | tuple[int, ...], timesteps: int) -> Record:
    """Return the record of the first layout that explains the forward, or of the one that explains it best."""
    records = []
    for sample, layout in _layouts(example, timesteps):
        seen = record(module, sample, layout, timesteps)
        if not seen.problems:
            return seen
        records.append(seen)
    return min(records, key=lambda seen: (seen.failed, sum(seen.problems.values()), len(seen.problems)))


def _readout(module: nn.Module, seen: Record, readout: Kind | None, over: Over | None) -> tuple[str, Kind, Over, str]:
    """Decide which layer is read out and how; return also the reason."""
    names = list(seen.inputs)
    returned = [name for name in names if name in seen.spikes or name in seen.states]
    if not returned:
        raise NetworkError(f"the network's output must contain the spikes of its last layer {names[-1]!r}")
    last = returned[-1]
    kind: Kind
    if readout is not None:
        kind, reason = readout, f"{readout} of {last!r}, as asked for"
    elif last in seen.spikes:
        kind, reason = "count", f"spike count of {last!r}, whose spikes the forward returns"
    else:
        kind, reason = "membrane", f"membrane of {last!r}, which the forward returns"
    if kind != "membrane":
        if last not in seen.spikes:
            raise UsageError(f"readout {kind!r} must be of spikes, and the forward returns only the membrane of {last!r}")
        return last, kind, "sum", reason
    if over is not None:
        return last, kind, over, f"{reason}; over time: {over}, as asked for"
    steps = max(map(len, seen.inputs.values()))
    if seen.collected & {"sum", "mean"} or "add" in seen.collected:
        decided: Over = "sum"
    elif seen.states.get(last) == {steps - 1} and steps > 1 and seen.layout.drive != "step":
        decided = "last"
    else:
        decided = "max"
        why = "as the forward does" if seen.collected & {"max", "amax"} else "the default"
        return last, kind, decided, f"{reason}; over time: max, {why}"
    return last, kind, decided, f"{reason}; over time: {decided}, as the forward does"


def _not_finite(module: nn.Module) -> list[str]:
    """Return a sentence for every parameter that is not a number."""
    problems = []
    for name, child in module.named_modules():
        if isinstance(child, snn.SpikingNeuron):
            continue  # the probe says more
        named = [*child.named_parameters(recurse=False), *child.named_buffers(recurse=False)]
        for what, values in [*named, *((what, getattr(child, what, None)) for what in ("weight", "bias"))]:
            if isinstance(values, torch.Tensor) and values.is_floating_point() and not bool(torch.isfinite(values).all()):
                bad = float(values.detach()[~torch.isfinite(values)].reshape(-1)[0])
                problems.append(f"{where(name, child)}: {what} must be finite, not {bad}")
    return list(dict.fromkeys(problems))
