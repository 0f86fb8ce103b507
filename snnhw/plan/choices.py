"""What a plan was made with: written into every output folder, so that it can be made again."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from snnhw.errors import FileError, NetworkError, UsageError
from snnhw.files import read_json
from snnhw.ir import load_graph
from snnhw.plan.plan import Control, Plan
from snnhw.plan.planner import make_plan

__all__ = ["Choices", "load_plan"]


class Choices(BaseModel):
    """Arguments of :func:`~snnhw.plan.make_plan` that give a plan again from its graph.

    Attributes
    ----------
    lanes : dict of str to int
        Of each layer.
    formats, packings, events : dict of str to str
        Of each layer.
    load_weights, decide : bool
        As of the plan.
    control : str or None
        As of the plan.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    lanes: dict[str, int]
    load_weights: bool
    formats: dict[str, str] = {}
    packings: dict[str, str] = {}
    events: dict[str, str] = {}
    decide: bool = False
    control: Control | None = None

    @classmethod
    def of(cls, plan: Plan) -> "Choices":
        """Return the choices of a plan."""
        return cls(
            lanes={layer.name: layer.lanes for layer in plan.layers},
            formats={layer.name: layer.format_choice for layer in plan.layers},
            packings={layer.name: layer.packing.name if layer.packing else "none" for layer in plan.layers},
            events={layer.name: layer.events for layer in plan.layers},
            load_weights=plan.loaded_words > 0,
            decide=plan.decide,
            control=plan.control,
        )

    def arguments(self) -> dict[str, Any]:
        """Return the arguments by name."""
        return self.model_dump()


def load_plan(folder: Path) -> Plan:
    """Return the plan that an output folder was generated from, out of its graph and its manifest.

    Raises
    ------
    FileError
        A file is missing or is not what ``generate`` wrote.
    """
    path = Path(folder) / "manifest.json"
    manifest = read_json(path, "manifest")
    try:
        choices = Choices.model_validate(manifest.get("plan") if isinstance(manifest, dict) else None)
    except ValidationError:
        raise FileError(f"manifest {str(path)!r} must be one that generate wrote") from None
    graph = load_graph(Path(folder) / "graph.safetensors")
    try:
        return make_plan(graph, **choices.arguments())
    except (UsageError, NetworkError) as error:
        raise FileError(f"manifest {str(path)!r} does not belong to the graph beside it: {error}") from None
