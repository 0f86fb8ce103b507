"""Neurons that train: the formulas of the float network, or those of the hardware, both with gradients.

In integers, states and currents are tensors of floats that hold whole numbers of the state's unit; they are exact as long as they
stay below 2**22 in single and 2**51 in double precision. Gradients take every rounding for the identity.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from snnhw.compress.rounding import floor, round_half_even
from snnhw.compress.surrogate import fire
from snnhw.fixed import signed_range
from snnhw.ir import Decay
from snnhw.network import Behaviour

__all__ = ["Format", "Population", "State"]


@dataclass(frozen=True)
class Format:
    """Integers of a population. Names are those of :class:`snnhw.ir.NeuronSpec`; factors of decays follow the parameters."""

    bits: int
    frac: int
    decay: Decay
    synapse: Decay | None = None
    overflow: str = "saturate"
    double: bool = False

    @property
    def kind(self) -> torch.dtype:
        """Type in which its words are exact."""
        return torch.float64 if self.double else torch.float32


class Constants(NamedTuple):
    """What the formulas need in one pass: () or (neurons,) tensors, in units of the state if there are any."""

    unit: torch.Tensor
    threshold: torch.Tensor
    amount: torch.Tensor
    leak: torch.Tensor
    synapse: torch.Tensor | None
    bias: torch.Tensor
    start: torch.Tensor
    slope: torch.Tensor     # a state times this, less `origin`, is its distance from the threshold in thresholds
    origin: torch.Tensor


@dataclass
class State:
    """Words between two timesteps, (samples, neurons)."""

    membrane: torch.Tensor
    synapse: torch.Tensor | None


class Population(nn.Module):
    """A layer of neurons.

    Parameters
    ----------
    behaviour : Behaviour
        Its arithmetic; threshold, beta and alpha become parameters, which learn when `learn` names them.
    learn : set of str
        Any of ``"threshold"``, ``"beta"``, ``"alpha"``.
    surrogate : str
        Of :data:`snnhw.compress.surrogate.SURROGATES`.
    """

    threshold: torch.Tensor
    beta: torch.Tensor

    def __init__(self, behaviour: Behaviour, learn: frozenset[str] = frozenset(), surrogate: str = "atan") -> None:
        super().__init__()
        self.behaviour = behaviour
        self.surrogate = surrogate
        self.format: Format | None = None
        for name in ("threshold", "beta", "alpha"):
            values = getattr(behaviour, name)
            if values is not None:
                tensor = torch.tensor(np.asarray(values, np.float32))
                self.register_parameter(name, nn.Parameter(tensor, requires_grad=name in learn))
        self.tied = behaviour.reset == "subtract" and np.array_equal(behaviour.reset_amount, behaviour.threshold)

    @property
    def learns(self) -> frozenset[str]:
        """Which constants learn: any of ``"threshold"``, ``"beta"``, ``"alpha"``."""
        return frozenset(name for name in ("threshold", "beta", "alpha")
                         if getattr(self, name, None) is not None and getattr(self, name).requires_grad)

    def present(self) -> Behaviour:
        """Return the behaviour with the present parameters."""
        values = {name: getattr(self, name).detach().double().numpy()
                  for name in ("threshold", "beta", "alpha") if getattr(self, name, None) is not None}
        for name in ("beta", "alpha"):
            if name in values:
                values[name] = values[name].clip(0, 1)
        if self.tied:
            values["reset_amount"] = values["threshold"]
        return replace(self.behaviour, **values)

    @property
    def amount(self) -> torch.Tensor:
        """What a reset subtracts or sets, as a real number."""
        return self.threshold if self.tied else torch.tensor(np.asarray(self.behaviour.reset_amount, np.float32))

    def integers(self, unit: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return threshold and reset amount in units of the state, float64, without gradients."""
        unit = unit.detach().double()
        ratio = self.threshold.detach().double() / unit
        if self.behaviour.output == "state":
            threshold = torch.zeros((), dtype=torch.float64)
        else:
            # A strict v > th in real numbers is v >= floor(th/unit) + 1 in integers.
            threshold = ratio.floor() + 1 if self.behaviour.compare == ">" else ratio.ceil()
        amount = (self.amount.detach().double() / unit).round()
        if self.behaviour.reset not in ("subtract", "value"):
            amount = torch.zeros((), dtype=torch.float64)
        return threshold, amount.clamp(min=1) if self.behaviour.output == "count" else amount

    def factors(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the factors of the decays as real numbers, with gradients; those of integers are whole before the shift."""
        leaks: list[torch.Tensor | None] = []
        for name in ("beta", "alpha"):
            value = getattr(self, name, None)
            decay = None if self.format is None else self.format.decay if name == "beta" else self.format.synapse
            if value is not None:
                value = value.clamp(0, 1)
                if decay is not None and decay.kind == "mul":
                    value = round_half_even(value * 2.0 ** decay.shift) * 2.0 ** -decay.shift
            leaks.append(value)
        assert leaks[0] is not None
        return leaks[0], leaks[1]

    def prepare(self, unit: torch.Tensor, bias: torch.Tensor) -> Constants:
        """Return the constants of one pass.

        Parameters
        ----------
        unit : tensor, () or (neurons,)
            Real number that one unit of the state stands for; 1 in real numbers.
        bias : tensor, () or (neurons,)
            Current added every timestep, as a real number.
        """
        kind = torch.float32 if self.format is None else self.format.kind
        unit = unit.to(kind)
        threshold = self.threshold.to(kind)
        norm = threshold.detach().abs()
        norm = torch.where(norm > 0, norm, torch.ones_like(norm))
        slope, origin = unit / norm, threshold / norm
        leak, synapse = (None if factor is None else factor.to(kind) for factor in self.factors())
        assert leak is not None
        amount = self.amount.to(kind)
        start = torch.tensor(self.behaviour.start, dtype=kind)
        bias = bias.to(kind) + torch.tensor(np.asarray(self.behaviour.bias), dtype=kind)
        if self.format is not None:
            whole = [constant.to(kind) for constant in self.integers(unit)]
            threshold = whole[0]
            # Value of the integer, gradient of the real number: a learned threshold learns from what is subtracted.
            amount = amount / unit
            amount = round_half_even(amount + (whole[1] - amount).detach())
            start = (start / unit.detach()).round().reshape(-1)[0]
            bias = round_half_even(bias / unit)
        return Constants(unit, threshold, amount, leak, synapse, bias, start, slope, origin)

    def begin(self, samples: int, neurons: int, constants: Constants) -> State:
        """Return the state at the beginning of a sample."""
        membrane = constants.start.expand(samples, neurons)
        return State(membrane, None if constants.synapse is None else torch.zeros_like(membrane))

    def _decay(self, word: torch.Tensor, factor: torch.Tensor, decay: Decay | None) -> torch.Tensor:
        if decay is None:
            return word * factor
        if decay.kind == "one":
            return word
        if decay.kind == "shift":
            return word - floor(word * 2.0 ** -decay.shift)
        if decay.rounding == "zero":
            return word.sign().detach() * floor(word.abs() * factor)
        return floor(word * factor)

    def _clip(self, exact: torch.Tensor) -> torch.Tensor:
        if self.format is None or self.format.overflow == "exact":
            return exact
        return exact.clamp(*signed_range(self.format.bits))

    def _above(self, state: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
        strict = self.format is None and self.behaviour.compare == ">"
        return (state > threshold if strict else state >= threshold).to(state.dtype)

    def step(self, state: State, current: torch.Tensor, constants: Constants) -> torch.Tensor:
        """Advance by one timestep; return spikes, or states as real numbers, with gradients.

        Parameters
        ----------
        state : State
            Changed in place.
        current : tensor, (samples, neurons)
            In units of the state, or real numbers; without bias.
        constants : Constants
            Of this pass.
        """
        behaviour, form = self.behaviour, self.format
        current = current + constants.bias
        if constants.synapse is not None:
            assert state.synapse is not None
            leaked = self._decay(state.synapse, constants.synapse, None if form is None else form.synapse)
            current = state.synapse = self._clip(leaked + current)
        before, decay = state.membrane, None if form is None else form.decay
        target = constants.amount if behaviour.reset == "value" else 0.0
        if behaviour.reset_time == "immediate" or behaviour.reset == "none":
            state.membrane = updated = self._clip(self._decay(before, constants.leak, decay) + current)
            spikes = self._fire(updated, constants)
            fired = spikes.detach()
            if behaviour.reset == "subtract":
                state.membrane = updated - fired * constants.amount
            elif behaviour.reset != "none":
                state.membrane = updated * (1 - fired) + target * fired
        else:
            resets = self._above(before, constants.threshold).detach()
            if behaviour.reset != "subtract" and behaviour.input_on_reset == "keep":
                before = before * (1 - resets) + target * resets
            updated = self._decay(before, constants.leak, decay) + current
            if behaviour.reset == "subtract":
                updated = updated - resets * constants.amount
            elif behaviour.input_on_reset == "drop":
                updated = updated * (1 - resets) + target * resets
            state.membrane = updated = self._clip(updated)
            spikes = self._fire(updated, constants)
        return spikes

    def _fire(self, updated: torch.Tensor, constants: Constants) -> torch.Tensor:
        if self.behaviour.output == "state":
            return updated * constants.unit
        total = None
        for grade in range(self.behaviour.grades):
            threshold, origin = constants.threshold, constants.origin
            if grade:
                threshold = threshold + grade * constants.amount.detach()
                origin = origin + grade * constants.amount * constants.slope
            spikes = self._above(updated.detach(), threshold)
            if torch.is_grad_enabled():
                spikes = fire(updated * constants.slope - origin, spikes, self.surrogate)
            total = spikes if total is None else total + spikes
        assert total is not None
        return total
