"""Recipes: what a network is trained on and how it is compressed. TOML on disk, checked here."""

import itertools
import math
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from snnhw.compress.framing import EventConfig
from snnhw.errors import UsageError
from snnhw.files import read_bytes
from snnhw.ir import Encoding

__all__ = ["ConvertConfig", "EncodingConfig", "InputConfig", "LayerQuant", "NoiseConfig", "PruneConfig", "PtqConfig",
           "QuantConfig", "Recipe", "StageConfig", "StructureConfig", "TemporalConfig", "load_recipe"]

MAX_RECIPE_BYTES = 1 << 20
WeightBits = Annotated[int, Field(ge=2, le=16)] | Literal["ternary"]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LayerQuant(_Checked):
    """Number formats of one layer.

    Parameters
    ----------
    weight_bits : int or "ternary"
        Width of a weight, 2 to 16. Weights are symmetric: ``-(2**(bits-1) - 1)`` to ``2**(bits-1) - 1``. ``"ternary"`` is the
        name for 2 bits, that is -1, 0 and 1.
    scale : str
        ``"po2"``: a power of two, chosen once from the weights. ``"float"``: any number, learned. ``"clip"``: what a weight is
        divided by and what its integer is worth are learned apart, from three standard deviations on (Schaefer et al. 2023). The
        hardware is the same, because a scale only folds into threshold, subtrahend and bias.
    granularity : str
        One scale for the ``"tensor"``, or one for each ``"neuron"`` or output channel, which then has its own threshold.
    state_bits : int
        Width of the membrane, 4 to 32.
    frac : int or "auto"
        Fractional bits of the membrane below the weights' least significant bit. ``"auto"``: as many as give the
        threshold at least 64 steps.
    decay : str
        ``"shift"``: beta becomes the nearest ``1 - 2**-k``. ``"mul"``: ``B / 2**decay_bits``. ``"auto"``: shift when
        that is exact.
    synapse : str
        The same for alpha of neurons that have it; ``"same"``: as `decay`.
    decay_bits : int
        Bits of the factors of ``"mul"``.
    overflow : str
        ``"saturate"``, or ``"exact"`` when the plan can prove that the membrane fits.
    """

    weight_bits: WeightBits = 4
    scale: Literal["po2", "float", "clip"] = "float"
    granularity: Literal["tensor", "neuron"] = "tensor"
    state_bits: Annotated[int, Field(ge=4, le=32)] = 12
    frac: Annotated[int, Field(ge=0, le=16)] | Literal["auto"] = "auto"
    decay: Literal["shift", "mul", "auto"] = "auto"
    synapse: Literal["shift", "mul", "auto", "same"] = "same"
    decay_bits: Annotated[int, Field(ge=1, le=16)] = 8
    overflow: Literal["saturate", "exact"] = "saturate"

    @property
    def bits(self) -> int:
        """Width of a stored weight."""
        return 2 if self.weight_bits == "ternary" else self.weight_bits


class QuantConfig(LayerQuant):
    """Number formats of a network: one for all layers, and exceptions by the name of a layer's weights or neurons.

    Parameters
    ----------
    layers : dict of str to dict
        Fields that differ in one layer.
    when : "before" or int
        Before the stage ``finetune``, or during it, at the start of this epoch (from 0): until then it trains in real numbers.
    """

    layers: dict[str, dict[str, int | str]] = {}
    when: Literal["before"] | Annotated[int, Field(ge=0)] = "before"

    @model_validator(mode="after")
    def _check_layers(self) -> "QuantConfig":
        for name in self.layers:
            self.of(name)
        return self

    def of(self, *names: str) -> LayerQuant:
        """Return the formats of the layer that goes by any of `names`."""
        values = self.model_dump(exclude={"layers", "when"})
        for name in names:
            values |= self.layers.get(name, {})
        return LayerQuant(**values)


class PruneConfig(_Checked):
    """Magnitude pruning with a mask that stays.

    Parameters
    ----------
    sparsity : float
        Share of weights that become 0.
    scope : str
        ``"layer"``: the share holds in each layer. ``"global"``: over the whole network, so layers differ. ``"bank"``: in each
        bank, which is what one lane stores for one presynaptic neuron: the weights to the neurons ``lane, lane + lanes, ...``.
        Every bank of a layer then keeps the same number of weights, at least one.
    lanes : int
        Of scope ``"bank"``; at most the neurons of a layer are used.
    when : "before" or int
        Before the stage ``finetune``, or during it, at the start of this epoch (from 0).
    until : int or None
        Gradual pruning: the share grows from epoch `when` to the start of this one along a cubic curve (Zhu and Gupta 2017).
    layers : dict of str to float
        Shares of single layers, by the name of their weights; not with scope ``"global"``.
    """

    sparsity: Annotated[float, Field(ge=0, lt=1)] = 0.0
    scope: Literal["layer", "global", "bank"] = "layer"
    lanes: Annotated[int, Field(ge=1, le=1024)] = 16
    when: Literal["before"] | Annotated[int, Field(ge=0)] = "before"
    until: Annotated[int, Field(ge=1)] | None = None
    layers: dict[str, Annotated[float, Field(ge=0, lt=1)]] = {}

    @property
    def active(self) -> bool:
        return self.sparsity > 0 or any(self.layers.values())

    @property
    def first(self) -> int:
        """The epoch of the first pruning; -1 before them all."""
        return -1 if self.when == "before" else self.when

    def share(self, epoch: int) -> float | None:
        """Return which part of the final sparsity holds from an epoch on, -1 being before the first; None for no change."""
        if self.until is None:
            return 1.0 if epoch == self.first else None
        if not self.first <= epoch <= self.until:
            return None
        return 1 - (1 - (epoch - self.first) / (self.until - self.first)) ** 3

    @model_validator(mode="after")
    def _check_scope(self) -> "PruneConfig":
        if self.scope == "global" and self.layers:
            raise ValueError("layers must be empty for scope 'global'")
        if self.until is not None and self.until <= self.first:
            raise ValueError(f"until must be after epoch {self.first}, not {self.until}")
        return self


class ActivityConfig(_Checked):
    """What activity costs in the loss, in training of the quantized network.

    Parameters
    ----------
    spikes : float
        Weight of the mean number of spikes per neuron and timestep.
    operations : float
        Weight of the synaptic operations, as a share of those when everything spikes all the time.
    """

    spikes: Annotated[float, Field(ge=0)] = 0.0
    operations: Annotated[float, Field(ge=0)] = 0.0

    @property
    def active(self) -> bool:
        return self.spikes > 0 or self.operations > 0


class DistillConfig(_Checked):
    """Learning from the float network after its training.

    Parameters
    ----------
    weight : float
        Share of the loss that compares with the float network's outputs; the rest compares with the labels.
    temperature : float
        Both outputs are divided by it.
    """

    weight: Annotated[float, Field(ge=0, le=1)] = 0.0
    temperature: Annotated[float, Field(gt=0)] = 2.0


class TemporalConfig(_Checked):
    """Temporal pruning: training with fewer and fewer timesteps (Chowdhury et al. 2021), between ``pretrain`` and ``finetune``.

    Parameters
    ----------
    timesteps : tuple of int
        Lengths of a sample, each smaller than the one before; the last one is that of the graph.
    learn : tuple of str
        What learns besides weights: any of ``"threshold"``, ``"beta"``, ``"alpha"``.
    epochs, learning_rate
        Of the training at each length.
    loss : float or None
        Stop where the accuracy falls by more than this below that of the untouched network, and go back to the length before:
        0.02 are two points. Measured on training samples that the training does not use, if there are any. None: never.
    """

    timesteps: tuple[Annotated[int, Field(ge=1, le=1 << 16)], ...] = ()
    learn: tuple[Literal["threshold", "beta", "alpha"], ...] = ("threshold", "beta")
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 1
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    loss: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _check_order(self) -> "TemporalConfig":
        if any(right >= left for left, right in itertools.pairwise(self.timesteps)):
            raise ValueError(f"timesteps must fall, not {list(self.timesteps)}")
        return self


class EncodingConfig(_Checked):
    """How values become spikes; see :class:`snnhw.ir.Encoding`."""

    kind: Literal["events", "direct", "accumulate", "rate"] = "accumulate"
    levels: Annotated[int, Field(ge=1, le=65535)] = 1
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0

    @property
    def encoding(self) -> Encoding:
        return Encoding(self.kind, self.levels, self.seed)


class InputConfig(_Checked):
    """What the forward takes.

    Parameters
    ----------
    layout : str
        ``"time-batch"``: (timesteps, samples, ...). ``"batch-time"``: (samples, timesteps, ...). ``"frame"``:
        (samples, ...), when the forward is called once per timestep, or shows one frame every timestep.
    shape : tuple of int
        Shape of one frame; empty for a vector of all inputs.
    """

    layout: Literal["time-batch", "batch-time", "frame"] = "time-batch"
    shape: tuple[Annotated[int, Field(ge=1)], ...] = ()

    def arrange(self, timesteps: int, samples: int, inputs: int) -> tuple[int, ...]:
        """Return the shape of a batch."""
        frame = self.shape or (inputs,)
        if math.prod(frame) != inputs:
            raise UsageError(f"input shape must have {inputs} elements, not {'x'.join(map(str, frame))}")
        return {"time-batch": (timesteps, samples, *frame),
                "batch-time": (samples, timesteps, *frame),
                "frame": (samples, *frame)}[self.layout]


class StageConfig(_Checked):
    """One stage of training: of the float network, or of the quantized one.

    Parameters
    ----------
    epochs : int
        Passes over the training split. 0 skips the stage.
    learning_rate : float
        Of its first step; falls along half a cosine to 0.
    optimizer : str
        ``"adam"``, ``"adamw"`` or ``"sgd"``.
    weight_decay : float
        Of the weights, not of biases, thresholds, betas and scales.
    """

    epochs: Annotated[int, Field(ge=0, le=10_000)] = 0
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0


class StructureConfig(_Checked):
    """Structural pruning: narrower layers, as many channels as membranes have significant dimensions (Chowdhury et al. 2021).

    Parameters
    ----------
    variance : float
        Share of the variance that the dimensions of a layer must explain.
    measure : str
        Of what, averaged over time: the ``"potential"``, which is the membrane before its reset, or the ``"current"`` that it
        accumulates.
    samples : int
        Training samples that are looked at.
    minimum : int
        Least width of a layer.
    multiple : int
        Widths are rounded up to multiples of this, the lanes of the hardware, say.
    layers : dict of str to int
        Widths that are given, by the name of a layer's weights or neurons.
    """

    variance: Annotated[float, Field(gt=0, le=1)] = 0.99
    measure: Literal["potential", "current"] = "potential"
    samples: Annotated[int, Field(ge=2)] = 500
    minimum: Annotated[int, Field(ge=1)] = 1
    multiple: Annotated[int, Field(ge=1)] = 1
    layers: dict[str, Annotated[int, Field(ge=1)]] = {}


class ConvertConfig(StageConfig):
    """Begin with the weights of the matching network without spikes, trained on the values themselves (Rathi et al. 2020).

    Parameters
    ----------
    epochs, learning_rate, optimizer, weight_decay
        Of its training.
    percentile : float
        Of the currents of a layer, which becomes its threshold, one layer after the other.
    scale : float
        Factor of these thresholds.
    leak : float or None
        The new factor of the membranes per timestep; None leaves them.
    samples : int
        Training samples that thresholds are found with.
    """

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 5
    percentile: Annotated[float, Field(gt=0, le=100)] = 99.9
    scale: Annotated[float, Field(gt=0)] = 1.0
    leak: Annotated[float, Field(ge=0, le=1)] | None = None
    samples: Annotated[int, Field(ge=1)] = 100


class PtqConfig(_Checked):
    """Quantization without training: accuracy at each of some widths of the weights.

    Parameters
    ----------
    bits : tuple of int
        Widths.
    """

    bits: tuple[WeightBits, ...] = (8, 7, 6, 5, 4, 3, 2)


class NoiseConfig(_Checked):
    """Gaussian noise on the input values, clipped to their range: accuracy at some strengths.

    Parameters
    ----------
    sigmas : tuple of float
        Standard deviations, as shares of the largest value.
    seeds : int
        Draws of the noise that are averaged.
    """

    sigmas: tuple[Annotated[float, Field(ge=0)], ...] = (0.1, 0.2, 0.3, 0.4, 0.5)
    seeds: Annotated[int, Field(ge=1, le=100)] = 3


class Recipe(_Checked):
    """Everything that decides the outcome of a training.

    Parameters
    ----------
    data : str
        ``"digits"``, ``"mnist"``, ``"fashion"``, ``"nmnist"``, ``"braille"``, ``"gsc-kws01"``, ``"dvs-gesture"``,
        ``"dvs128-gesture"``, ``"shd"``, or a safetensors or Python file beside the recipe with ``train_values``,
        ``train_labels``, ``test_values`` and ``test_labels``; see docs/data.md.
    timesteps : int
        Length of a sample.
    seed : int
        Of the weights, the order of the samples and the split.
    batch : int
        Samples of a training step.
    loss : str
        Cross entropy of the output spike ``"count"`` of a sample, or of the spike ``"rate"`` scaled to 0..`gain`.
    gain : float
        Logit of a neuron that spikes every timestep, for loss ``"rate"``.
    events : EventConfig or None
        How the events of a recording become timesteps; None: as is usual for the data set.
    pretrain, finetune : StageConfig
        Training of the float network, then of the quantized one.
    surrogate : str
        Gradient of a spike wherever the network is not driven by its own forward: ``"atan"``, ``"fast-sigmoid"``,
        ``"triangle"`` or ``"rectangle"``.
    learn : tuple of str
        Which constants of the neurons learn, all of them where the network does not say so itself.
    augment : int
        Images are moved by up to this many pixels in training.
    samples : int or None
        Only the first samples of the training split are used.
    quantize, prune : QuantConfig, PruneConfig
        Compression in the stage ``finetune``.
    activity, distill : ActivityConfig, DistillConfig
        What is added to the loss of the stage ``finetune``.
    temporal : TemporalConfig
        Fewer timesteps, before the stage ``finetune``.
    convert : ConvertConfig or None
        What the stage ``pretrain`` begins with.
    structure : StructureConfig or None
        Narrower layers; of ``snnhw compress`` alone, as a model's own code does not follow.
    ptq, noise : PtqConfig, NoiseConfig or None
        What ``snnhw compress`` measures besides.
    """

    data: str
    timesteps: Annotated[int, Field(ge=1, le=1 << 16)] = 20
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    batch: Annotated[int, Field(ge=1)] = 64
    loss: Literal["count", "rate"] = "count"
    gain: Annotated[float, Field(gt=0)] = 10.0
    encoding: EncodingConfig = EncodingConfig()
    input: InputConfig = InputConfig()
    events: EventConfig | None = None
    pretrain: StageConfig = StageConfig()
    finetune: StageConfig = StageConfig()
    surrogate: Literal["atan", "fast-sigmoid", "triangle", "rectangle"] = "atan"
    learn: tuple[Literal["threshold", "beta", "alpha"], ...] = ()
    augment: Annotated[int, Field(ge=0, le=8)] = 0
    samples: Annotated[int, Field(ge=1)] | None = None
    quantize: QuantConfig = QuantConfig()
    prune: PruneConfig = PruneConfig()
    activity: ActivityConfig = ActivityConfig()
    distill: DistillConfig = DistillConfig()
    temporal: TemporalConfig = TemporalConfig()
    convert: ConvertConfig | None = None
    structure: StructureConfig | None = None
    ptq: PtqConfig | None = None
    noise: NoiseConfig | None = None

    @property
    def length(self) -> int:
        """Timesteps of a sample after all pruning."""
        return self.temporal.timesteps[-1] if self.temporal.timesteps else self.timesteps

    def reached(self, timesteps: int) -> "Recipe":
        """Return the recipe with its temporal pruning ended at a length."""
        kept = tuple(steps for steps in self.temporal.timesteps if steps >= timesteps)
        return self.model_copy(update={"temporal": self.temporal.model_copy(update={"timesteps": kept})})

    @model_validator(mode="after")
    def _check_epochs(self) -> "Recipe":
        epochs = self.finetune.epochs
        for name, when in (("prune.when", self.prune.when if self.prune.active else "before"),
                           ("prune.until", self.prune.until if self.prune.active and self.prune.until else "before"),
                           ("quantize.when", self.quantize.when)):
            if when != "before" and when >= epochs:
                raise ValueError(f"{name} must be 'before' or one of the {epochs} epochs of finetune, from 0, not {when}")
        if self.temporal.timesteps and self.temporal.timesteps[0] > self.timesteps:
            raise ValueError(f"temporal.timesteps must be at most the {self.timesteps} of the recipe, "
                             f"not {self.temporal.timesteps[0]}")
        if self.temporal.timesteps and self.encoding.kind == "events":
            raise ValueError("temporal.timesteps must be empty for encoding 'events', whose recordings have a length")
        return self


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; refuse unknown or impossible fields by name."""
    content = read_bytes(path, "recipe", MAX_RECIPE_BYTES)
    try:
        return Recipe(**tomllib.loads(content.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"recipe {str(path)!r} must be TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "recipe"
        raise UsageError(f"recipe {str(path)!r}: {field} is wrong: {first['msg']}") from None
