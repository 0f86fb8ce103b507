"""Recipes: what a network is trained on and how it is compressed. TOML on disk, checked here."""

import math
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from snnhw.compress.framing import EventConfig
from snnhw.errors import UsageError
from snnhw.files import read_bytes
from snnhw.ir import Encoding

__all__ = ["EncodingConfig", "InputConfig", "LayerQuant", "PruneConfig", "QuantConfig", "Recipe", "StageConfig", "load_recipe"]

MAX_RECIPE_BYTES = 1 << 20
WeightBits = Annotated[int, Field(ge=2, le=8)] | Literal["ternary"]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LayerQuant(_Checked):
    """Number formats of one layer.

    Parameters
    ----------
    weight_bits : int or "ternary"
        Width of a weight, 2 to 8. Weights are symmetric: ``-(2**(bits-1) - 1)`` to ``2**(bits-1) - 1``. ``"ternary"`` is the
        name for 2 bits, that is -1, 0 and 1.
    scale : str
        ``"po2"``: a power of two, chosen once from the weights. ``"float"``: any number, learned. The hardware is the same,
        because a scale only folds into threshold, subtrahend and bias.
    granularity : str
        One scale for the ``"tensor"``, or one for each ``"neuron"``, which then has its own threshold in hardware.
    state_bits : int
        Width of the membrane, 4 to 32.
    frac : int or "auto"
        Fractional bits of the membrane below the weights' least significant bit. ``"auto"``: as many as give the
        threshold at least 64 steps.
    decay : str
        ``"shift"``: beta becomes the nearest ``1 - 2**-k``. ``"mul"``: ``B / 2**decay_bits``. ``"auto"``: shift when
        that is exact.
    decay_bits : int
        Bits of the factor of ``"mul"``.
    overflow : str
        ``"saturate"``, or ``"exact"`` when the plan can prove that the membrane fits.
    """

    weight_bits: WeightBits = 4
    scale: Literal["po2", "float"] = "float"
    granularity: Literal["tensor", "neuron"] = "tensor"
    state_bits: Annotated[int, Field(ge=4, le=32)] = 12
    frac: Annotated[int, Field(ge=0, le=16)] | Literal["auto"] = "auto"
    decay: Literal["shift", "mul", "auto"] = "auto"
    decay_bits: Annotated[int, Field(ge=1, le=16)] = 8
    overflow: Literal["saturate", "exact"] = "saturate"

    @property
    def bits(self) -> int:
        """Width of a stored weight."""
        return 2 if self.weight_bits == "ternary" else self.weight_bits


class QuantConfig(LayerQuant):
    """Number formats of a network: one for all layers, and exceptions by the name of a layer's nn.Linear or snn.Leaky.

    Parameters
    ----------
    layers : dict of str to dict
        Fields that differ in one layer.
    """

    layers: dict[str, dict[str, int | str]] = {}

    @model_validator(mode="after")
    def _check_layers(self) -> "QuantConfig":
        for name in self.layers:
            self.of(name)
        return self

    def of(self, *names: str) -> LayerQuant:
        """Return the formats of the layer that goes by any of `names`."""
        values = self.model_dump(exclude={"layers"})
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
        ``"layer"``: the share holds in each layer. ``"global"``: over the whole network, so layers differ.
    when : "before" or int
        Before quantization-aware training, or during it, at the start of this epoch (from 0).
    layers : dict of str to float
        Shares of single layers, by the name of their nn.Linear; with scope ``"layer"``.
    """

    sparsity: Annotated[float, Field(ge=0, lt=1)] = 0.0
    scope: Literal["layer", "global"] = "layer"
    when: Literal["before"] | Annotated[int, Field(ge=0)] = "before"
    layers: dict[str, Annotated[float, Field(ge=0, lt=1)]] = {}

    @property
    def active(self) -> bool:
        return self.sparsity > 0 or any(self.layers.values())

    @model_validator(mode="after")
    def _check_scope(self) -> "PruneConfig":
        if self.scope == "global" and self.layers:
            raise ValueError("layers must be empty for scope 'global'")
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


class Recipe(_Checked):
    """Everything that decides the outcome of a training.

    Parameters
    ----------
    data : str
        ``"digits"``, ``"mnist"``, ``"fashion"``, ``"nmnist"``, ``"braille"``, ``"gsc-kws01"``, ``"dvs-gesture"``,
        ``"dvs128-gesture"``, ``"shd"``, or a safetensors file beside the recipe with ``train_values``, ``train_labels``,
        ``test_values`` and ``test_labels``; see docs/data.md.
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
    quantize: QuantConfig = QuantConfig()
    prune: PruneConfig = PruneConfig()

    @model_validator(mode="after")
    def _check_prune(self) -> "Recipe":
        if self.prune.active and self.prune.when != "before" and self.prune.when >= self.finetune.epochs:
            raise ValueError(f"prune.when must be 'before' or one of the {self.finetune.epochs} epochs of finetune, from 0, "
                             f"not {self.prune.when}")
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
