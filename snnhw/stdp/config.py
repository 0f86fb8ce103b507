"""Recipes of STDP networks: TOML on disk, checked here."""

import math
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from snnhw.errors import UsageError
from snnhw.files import read_bytes
from snnhw.ir import Encoding
from snnhw.stdp.formats import Fixed, Formats, Rounding

__all__ = ["CompetitionConfig", "EncodingConfig", "FormatConfig", "LearningConfig", "NeuronConfig", "StdpRecipe",
           "load_stdp_recipe"]

MAX_RECIPE_BYTES = 1 << 20
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class EncodingConfig(_Checked):
    """How pixels become spikes; see :class:`snnhw.ir.Encoding`.

    Parameters
    ----------
    kind : str
        ``"accumulate"``: evenly spaced. ``"rate"``: random; while training, each batch draws from a seed of its own.
    levels : int
        A pixel of value x spikes at x / levels of the timesteps.
    seed : int
        Of phases or of random numbers, at inference and of the first batch.
    """

    kind: Literal["accumulate", "rate"] = "accumulate"
    levels: Annotated[int, Field(ge=1, le=65535)] = 510
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0

    def encoding(self, batch: int = 0) -> Encoding:
        """Return the encoder, for inference or for a batch of training."""
        return Encoding(self.kind, self.levels, self.seed + (batch if self.kind == "rate" else 0))


class NeuronConfig(_Checked):
    """Excitatory neurons: leaky, reset to a value, with a threshold that adapts.

    Parameters
    ----------
    leak_shift : int
        A membrane loses ``v * 2**-leak_shift`` in a timestep.
    threshold : float
        Threshold without adaptation, in units of the largest weight.
    theta_start : float
        Adaptation at the beginning of training.
    theta_plus : float
        What a spike adds to its neuron's adaptation.
    theta_tau : float
        Samples in which adaptation decays to 1/e.
    """

    leak_shift: Annotated[int, Field(ge=1, le=16)] = 6
    threshold: Positive = 10.0
    theta_start: Annotated[float, Field(ge=0)] = 75.0
    theta_plus: Annotated[float, Field(ge=0)] = 5.0
    theta_tau: Positive = 1200.0


class CompetitionConfig(_Checked):
    """How a spike silences the other neurons in the next timestep.

    Parameters
    ----------
    form : str
        ``"layer"``: an inhibitory neuron for each excitatory one, which inhibits all others. ``"lateral"``: no such layer; each
        spike inhibits all, its own neuron too. ``"pool"``: a small pool of inhibitory neurons inhibits all once, however many
        fired.
    strength : int
        What an inhibited membrane loses, in units of the largest weight. ``"pool"`` has as many neurons.
    reset : float
        Membrane after a spike. With ``"lateral"`` and ``"pool"`` it makes up for a neuron's inhibition of itself.
    excitation, threshold : float
        ``"layer"``: current of an inhibitory neuron from a spike, and its threshold.
    """

    form: Literal["layer", "lateral", "pool"] = "pool"
    strength: Annotated[int, Field(ge=1, le=4096)] = 128
    reset: float = 128.0
    excitation: Positive = 22.5
    threshold: Positive = 20.0


class LearningConfig(_Checked):
    """STDP with traces. The formulas stand in :mod:`snnhw.stdp.learning`.

    Parameters
    ----------
    rule : str
        ``"pair"`` or ``"weight-dependent"``.
    update : str
        ``"events"``: at each presynaptic and postsynaptic spike. ``"timesteps"``: every `interval` timesteps, the winner only.
    interval : int
        Timesteps between updates of ``"timesteps"``.
    spike_unit : int
        ``"timesteps"``: the potentiation factor is the winner's spikes over this, rounded up.
    potentiation, depression : float
        Rates at postsynaptic and presynaptic spikes; ``"timesteps"`` has no depression but the normalisation.
    trace_shift : int
        A trace loses ``x * 2**-trace_shift`` in a timestep.
    norm : float
        Sum of the weights of a neuron, restored after each batch.
    final : float
        Share of the rates of learning and adaptation that is left at the end of training; they fall linearly.
    """

    rule: Literal["pair", "weight-dependent"] = "weight-dependent"
    update: Literal["events", "timesteps"] = "timesteps"
    interval: Annotated[int, Field(ge=1, le=1 << 16)] = 32
    spike_unit: Annotated[int, Field(ge=1)] = 4
    potentiation: Share = 0.1
    depression: Share = 0.0
    trace_shift: Annotated[int, Field(ge=1, le=16)] = 4
    norm: Positive = 39.2
    final: Share = 0.1


class FormatConfig(_Checked):
    """Fixed-point formats ``Qi.f`` by class of words; without one it is float32.

    Parameters
    ----------
    weight, membrane, threshold, trace : str
        ``"Qi.f"``.
    rounding : str
        ``"truncate"``, ``"nearest"`` or ``"stochastic"``.
    when : str
        ``"after"`` training, or in ``"training"`` too.
    """

    weight: str | None = "Q1.7"
    membrane: str | None = "Q11.7"
    threshold: str | None = "Q11.0"
    trace: str | None = None
    rounding: Rounding = "nearest"
    when: Literal["after", "training"] = "after"

    @field_validator("weight", "membrane", "threshold", "trace")
    @classmethod
    def _check_format(cls, value: str | None) -> str | None:
        return None if value is None else str(Fixed.parse(value))

    @property
    def formats(self) -> Formats:
        weight, membrane, threshold, trace = (None if text is None else Fixed.parse(text) for text in (
            self.weight, self.membrane, self.threshold, self.trace))
        return Formats(weight, membrane, threshold, trace, self.rounding)


class StdpRecipe(_Checked):
    """Everything that decides the outcome of a training.

    Parameters
    ----------
    data : str
        A data set of still images that ``snnhw train`` knows by name, such as ``"mnist"``; or a file beside the recipe.
    neurons : int
        Excitatory neurons.
    timesteps : int
        Length of a sample.
    seed : int
        Of the weights, the order of the samples and stochastic rounding.
    batch : int
        Samples that run side by side; they share weights and thresholds, and their updates are added.
    samples : int or None
        Training samples of a pass; all but those of validation if None.
    validation : int
        Last samples of the training split, kept apart.
    passes : int
        Times that the training samples are shown.
    label_samples : int
        Training samples whose responses assign the labels.
    """

    data: str = "mnist"
    neurons: Annotated[int, Field(ge=2, le=16384)] = 400
    timesteps: Annotated[int, Field(ge=1, le=1 << 16)] = 64
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    batch: Annotated[int, Field(ge=1, le=4096)] = 32
    samples: Annotated[int, Field(ge=1)] | None = None
    validation: Annotated[int, Field(ge=0)] = 5000
    passes: Annotated[int, Field(ge=1, le=1000)] = 1
    label_samples: Annotated[int, Field(ge=1)] = 10000
    encoding: EncodingConfig = EncodingConfig()
    neuron: NeuronConfig = NeuronConfig()
    competition: CompetitionConfig = CompetitionConfig()
    learning: LearningConfig = LearningConfig()
    formats: FormatConfig = FormatConfig()

    def changed(self, **changes: object) -> "StdpRecipe":
        """Return a recipe with other values; those of tables by ``table__field``."""
        tree = self.model_dump()
        for name, value in changes.items():
            table, _, item = name.partition("__")
            if item:
                tree[table][item] = value
            else:
                tree[table] = value
        return StdpRecipe(**tree)

    @property
    def batches(self) -> int:
        """Batches of a pass, where `samples` is given."""
        assert self.samples is not None
        return math.ceil(self.samples / self.batch)


def load_stdp_recipe(path: Path) -> StdpRecipe:
    """Read a recipe; refuse unknown or impossible fields by name."""
    content = read_bytes(path, "recipe", MAX_RECIPE_BYTES)
    try:
        return StdpRecipe(**tomllib.loads(content.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"recipe {str(path)!r} must be TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "recipe"
        raise UsageError(f"recipe {str(path)!r}: {field} is wrong: {first['msg'].removeprefix('Value error, ')}") from None
