"""Study files: what is searched, what counts, and how much each stage may cost. TOML on disk, checked here."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from snnhw.errors import UsageError
from snnhw.files import read_bytes
from snnhw.sweep.space import Axis, flatten_axes, grid_size

__all__ = ["METRICS", "STAGES", "EstimateStage", "Limit", "Metric", "SamplerConfig", "Stages", "Study", "SynthesisStage",
           "TrainStage", "VerifyStage", "load_study"]

MAX_STUDY_BYTES = 1 << 20
STAGES = ("estimate", "short", "full", "verify", "synthesis")
"""In the order in which a candidate goes through them."""


@dataclass(frozen=True)
class Metric:
    """A number that a candidate is judged by.

    Attributes
    ----------
    direction : str
        ``"max"`` or ``"min"``: which is better.
    title : str
        For people, with the unit.
    """

    direction: Literal["max", "min"]
    title: str


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("max", "accuracy"),
    "energy_nj": Metric("min", "energy of a sample, nJ"),
    "latency_us": Metric("min", "time of a sample, µs"),
    "cycles": Metric("min", "cycles of a sample"),
    "logic": Metric("min", "logic cells"),
    "flip_flops": Metric("min", "flip-flops"),
    "block_ram": Metric("min", "block RAMs"),
    "dsp": Metric("min", "multiplier blocks"),
    "memory_bits": Metric("min", "bits of all memories"),
    "weight_memory_bits": Metric("min", "bits of the weight memories"),
}

MetricName = Literal["accuracy", "energy_nj", "latency_us", "cycles", "logic", "flip_flops", "block_ram", "dsp",
                     "memory_bits", "weight_memory_bits"]
Keep = Annotated[int, Field(ge=1, strict=True)] | Annotated[float, Field(gt=0, le=1, strict=True)] | Literal["front"]


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SamplerConfig(_Checked):
    """How candidates are proposed.

    Parameters
    ----------
    kind : str
        ``"tpe"``, ``"nsga2"``, ``"random"`` or ``"grid"``.
    startup : int
        Random candidates before the first that ``"tpe"`` proposes.
    population : int
        Candidates of a generation of ``"nsga2"``.
    """

    kind: Literal["tpe", "nsga2", "random", "grid"] = "tpe"
    startup: Annotated[int, Field(ge=1)] = 20
    population: Annotated[int, Field(ge=2)] = 20


class Limit(_Checked):
    """Bounds of a metric; both inclusive."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _check(self) -> "Limit":
        if self.min is None and self.max is None:
            raise ValueError("min or max must be given")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min must be at most max, not {self.min} and {self.max}")
        return self

    def violation(self, value: float) -> float:
        """Return by how much `value` misses the bounds, as a share of the bound; 0 when it does not."""
        over = max(0.0 if self.min is None else self.min - value, 0.0 if self.max is None else value - self.max, 0.0)
        bound = self.min if self.min is not None and value < self.min else self.max
        return over / max(abs(bound or 0.0), 1e-9)


class EstimateStage(_Checked):
    """The float network, quantized and pruned without training: what surely does not fit the board goes.

    Parameters
    ----------
    samples : int
        Test samples behind cycles and energy.
    """

    samples: Annotated[int, Field(ge=1)] = 100


class TrainStage(_Checked):
    """Fine-tuning.

    Parameters
    ----------
    epochs : float
        Share of the recipe's epochs.
    keep : int, float or "front"
        How many candidates enter: a count, a share of those that finished the stage before, or those of their Pareto front.
    samples : int
        Test samples behind cycles and energy.
    """

    epochs: Annotated[float, Field(gt=0, le=1)] = 1.0
    keep: Keep = 1.0
    samples: Annotated[int, Field(ge=1)] = 200


class VerifyStage(_Checked):
    """The generated Verilog against the reference.

    Parameters
    ----------
    keep : int, float or "front"
        How many candidates enter.
    samples : int
        Test samples to simulate.
    """

    keep: Keep = 1.0
    samples: Annotated[int, Field(ge=1)] = 20


class SynthesisStage(_Checked):
    """Place and route for the board, and the energy of the simulated activity.

    Parameters
    ----------
    keep : int, float or "front"
        How many candidates enter.
    samples : int
        Test samples whose activity is measured.
    seeds : int
        Placements to try.
    """

    keep: Keep = 1.0
    samples: Annotated[int, Field(ge=1)] = 10
    seeds: Annotated[int, Field(ge=1, le=64)] = 1


class Stages(_Checked):
    """Budgets of the stages. ``estimate`` and ``full`` always run; the others when their table is there."""

    estimate: EstimateStage = EstimateStage()
    short: TrainStage | None = None
    full: TrainStage = TrainStage()
    verify: VerifyStage | None = None
    synthesis: SynthesisStage | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Stages that run, in order."""
        return tuple(name for name in STAGES if getattr(self, name) is not None)

    @property
    def searched(self) -> str:
        """The stage whose results tell the sampler what to propose next."""
        return "short" if self.short is not None else "full"


class Study(_Checked):
    """A search.

    Parameters
    ----------
    model : str
        Model folder: relative to the study file, or the name of a shipped one.
    board : str
        Name of a board, or the path of a board file, relative to the study file.
    objectives : list of str
        Metrics whose trade-off is wanted.
    space : table
        For each field of the recipe, such as ``quantize.weight_bits``, and each option of the plan, such as ``plan.lanes``: a
        list of values, or a range ``{low, high, step, log}``.
    candidates : int
        How many are proposed.
    round : int
        Candidates that are proposed together, and compared before the next are.
    seed : int
        Of the proposals and of the choice of the held-out samples.
    sampler, constraints, stages
        See :class:`SamplerConfig`, :class:`Limit` (by metric) and :class:`Stages`.
    fits : bool
        Drop what does not fit the board, or misses its clock.
    holdout : float
        Share of the test samples that no decision of the search sees; the accuracy on them is reported beside the other.
    recipe, plan : table
        Values that hold for all candidates, in the place of those of the model's recipe and of the defaults of the plan.
    epoch_fields : list of str
        Fields of the recipe that shrink with the share that a stage trains. The first is the number of epochs, the others are the
        epochs in which something happens.
    after_pretrain : list of str
        Tables of the recipe that the training of the float network does not depend on. Candidates that differ only in these
        share one float network.
    """

    model: str
    board: str = "icebreaker"
    objectives: Annotated[list[MetricName], Field(min_length=1)]
    space: dict[str, Axis]
    candidates: Annotated[int, Field(ge=1, le=100_000)] = 100
    round: Annotated[int, Field(ge=1)] = 20
    seed: Annotated[int, Field(ge=0, lt=1 << 31)] = 0
    sampler: SamplerConfig = SamplerConfig()
    constraints: dict[MetricName, Limit] = {}
    fits: bool = True
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    recipe: dict[str, Any] = {}
    plan: dict[str, Any] = {}
    stages: Stages = Stages()
    epoch_fields: Annotated[list[str], Field(min_length=1)] = ["finetune.epochs", "prune.when", "prune.until", "quantize.when"]
    after_pretrain: list[str] = ["quantize", "prune", "finetune", "activity", "distill", "temporal"]

    @field_validator("space", mode="before")
    @classmethod
    def _flatten(cls, value: object) -> object:
        return flatten_axes(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _check(self) -> "Study":
        if not self.space:
            raise ValueError("space must have at least one field")
        if len(set(self.objectives)) != len(self.objectives):
            raise ValueError("objectives must be different")
        if self.sampler.kind == "grid" and not math.isfinite(grid_size(self.space)):
            raise ValueError("space must have lists, or ranges with a step, for sampler 'grid'")
        return self

    @property
    def directions(self) -> list[Literal["max", "min"]]:
        return [METRICS[name].direction for name in self.objectives]


def load_study(path: Path) -> Study:
    """Read a study file; refuse unknown or impossible fields by name."""
    content = read_bytes(path, "study", MAX_STUDY_BYTES)
    try:
        return Study.model_validate(tomllib.loads(content.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"study {str(path)!r} must be TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        # Which kind of value was tried, of those that a field allows, is not part of its name.
        parts = [str(part) for part in first["loc"]]
        field = ".".join(part for part in parts if "[" not in part and not part.startswith("constrained-")) or "study"
        raise UsageError(f"study {str(path)!r}: {field} is wrong: {first['msg'].removeprefix('Value error, ')}") from None
