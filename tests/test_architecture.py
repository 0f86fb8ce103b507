"""The rooms and floors of ARCHITECTURE.md, held by reading every import in the source."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A room imports rooms of lower floors, and of its own floor only where NEIGHBOURS says so.
FLOORS = {
    "snnhw": 0, "snnhw.errors": 0, "snnhw.files": 0, "snnhw.tools": 0, "snnhw.assets": 0,
    "snnhw.fixed": 0, "snnhw.ir": 0, "snnhw.network": 0, "snnhw.board": 0,
    "snnhw.frontend": 1, "snnhw.reference": 1, "snnhw.ptq": 1, "snnhw.compress": 1,
    "snnhw.stdp": 1,
    "snnhw.plan": 2,
    "snnhw.cost": 3, "rtl_gen": 3,
    "snnhw.verify": 4, "snnhw.build": 4, "snnhw.gates": 4,
    "snnhw.report": 5, "snnhw.studies": 5, "snnhw.sweep": 5, "snnhw.fit": 5, "snnhw.calibrate": 5,
    "snnhw.cli": 6, "snnhw.__main__": 7,
}
NEIGHBOURS = {
    "snnhw.assets": {"snnhw.errors"}, "snnhw.files": {"snnhw.errors"}, "snnhw.tools": {"snnhw.errors"},
    "snnhw.ir": {"snnhw.errors", "snnhw.files", "snnhw.fixed"},
    "snnhw.network": {"snnhw.errors", "snnhw.ir"},
    "snnhw.board": {"snnhw.errors", "snnhw.files", "snnhw.assets"},
    "snnhw.ptq": {"snnhw.reference", "snnhw.frontend", "snnhw.compress"},  # it measures what it made from files, on data by name
    "snnhw.stdp": {"snnhw.reference", "snnhw.compress"},  # it measures its graphs, on data by name
    "snnhw.gates": {"snnhw.verify", "snnhw.build"},  # it drives what builds synthesise as simulations are driven
    # It lowers what the front end reads, groups scales as quantization after training does, and measures.
    "snnhw.compress": {"snnhw.frontend", "snnhw.reference", "snnhw.ptq"},
}
# Heavy or optional packages, and the only rooms that may import them.
OWNERS = {
    "torch": {"snnhw.frontend", "snnhw.compress"},
    "snntorch": {"snnhw.frontend", "snnhw.compress"},
    "sklearn": {"snnhw.compress"},
    "nir": {"snnhw.frontend"},
    "h5py": {"snnhw.frontend", "snnhw.compress"},
    "tonic": {"snnhw.compress"},
    "amaranth": {"rtl_gen"},
    "amaranth_boards": {"rtl_gen"},
    "pyosys": set(),
    "matplotlib": {"snnhw.report"},
    "jinja2": {"snnhw.report"},
    "typer": {"snnhw.cli"},
    "rich": {"snnhw.cli"},
    "optuna": {"snnhw.sweep"},
    "distributed": {"snnhw.sweep"},
    "ray": {"snnhw.sweep"},
    "submitit": {"snnhw.sweep"},
    "cocotb": set(),
    "cocotb_tools": set(),
    "systemrdl": set(),
}
ASSETS = "sim", "boards", "models"


def room_of(module: str) -> str:
    """Return the room a dotted module name lies in."""
    parts = module.split(".")
    return parts[0] if parts[0] != "snnhw" else ".".join(parts[:2])


def imports(source: str, module: str, is_package: bool) -> set[str]:
    """Return the dotted names that `source` imports, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join([*package[:len(package) - node.level + 1], *filter(None, [node.module])])
            # `from snnhw import cost` imports a room through its parent.
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return found


def modules() -> list[tuple[str, Path]]:
    """Return every module of the two packages with its file."""
    found = []
    for package in ("snnhw", "rtl_gen"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append((".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


def violations(module: str, source: str, is_package: bool = False) -> list[str]:
    """Return a sentence for each import of `source` that the rules forbid."""
    room, found = room_of(module), []
    for name in sorted(imports(source, module, is_package)):
        top = name.split(".")[0]
        if top in ASSETS:
            found.append(f"{module} imports the asset folder {top}")
        if top in OWNERS and room not in OWNERS[top]:
            found.append(f"{module} imports {top}, which belongs to {sorted(OWNERS[top]) or 'nobody'}")
        target = room_of(name)
        if target not in FLOORS:  # `from snnhw import __version__`, or another package
            target = top
        if target not in FLOORS or target in (room, "snnhw"):
            continue
        if FLOORS[target] > FLOORS[room]:
            found.append(f"{module} (floor {FLOORS[room]}) imports {target} (floor {FLOORS[target]}) above it")
        elif FLOORS[target] == FLOORS[room] and target not in NEIGHBOURS.get(room, set()):
            found.append(f"{module} imports its neighbour {target}")
    return found


def test_every_module_is_in_a_room():
    assert {room_of(module) for module, _ in modules()} <= set(FLOORS)


@pytest.mark.parametrize(("module", "path"), [pytest.param(*item, id=item[0]) for item in modules()])
def test_imports_go_down(module, path):
    assert violations(module, path.read_text(), path.name == "__init__.py") == []


@pytest.mark.parametrize(("module", "source"), [
    ("snnhw.ir.graph", "from snnhw.plan import make_plan"),
    ("snnhw.ir.graph", "import snnhw.cost.flow"),
    ("snnhw.ir.graph", "from snnhw import plan"),
    ("snnhw.ir.graph", "from ..plan import make_plan"),
    ("snnhw.cost.flow", "from rtl_gen import Accelerator"),
    ("rtl_gen.core", "def late():\n    from snnhw.cost import energy"),
    ("snnhw.verify.flow", "import torch.nn"),
    ("snnhw.plan.plan", "from amaranth import Module"),
    ("snnhw.verify.native", "from sim import harness"),
    ("snnhw.ptq.flow", "import tonic"),
])
def test_rules_catch(module, source):
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(("module", "source"), [
    ("snnhw.plan.plan", "from snnhw.ir import Graph\nfrom snnhw import __version__\nimport numpy"),
    ("snnhw.compress.flow", "from snnhw.frontend import module\nimport torch"),
    ("rtl_gen.core", "from amaranth import Module\nfrom . import board_top\nfrom snnhw.plan import Plan"),
])
def test_rules_allow(module, source):
    assert violations(module, source) == []


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(ROOT))) for kind in ASSETS
                                  for path in sorted((ROOT / kind).rglob("*.py"))])
def test_assets_stand_alone(path):
    """The bench runs without the generator, and a model is written as a user would write it."""
    assert {name.split(".")[0] for name in imports(path.read_text(), "asset", False)} & {"snnhw", "rtl_gen"} == set()


@pytest.mark.parametrize("name", [name for name, _ in modules() if not name.endswith("__main__")])
def test_all_is_true(name):
    """``__all__`` exists where there is something public, is sorted, and names only what is there."""
    module = importlib.import_module(name)
    source = ast.parse(Path(module.__file__).read_text())
    named = [node.name for node in source.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    public = {item for item in named if not item.startswith("_")}
    exported = getattr(module, "__all__", None)
    assert exported is not None or not public, "module has public names and no __all__"
    if exported is not None:
        assert len(set(exported)) == len(exported)
        assert [item for item in exported if not hasattr(module, item)] == []


HEAVY = ("torch", "snntorch", "numpy", "matplotlib", "amaranth", "pyosys", "jinja2", "pydantic", "safetensors",
         "cocotb", "nir", "h5py")


def loaded_by(statement: str) -> set[str]:
    """Return which of the heavy packages a fresh Python has loaded after `statement`."""
    program = f"import sys\n{statement}\nprint(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    return set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split())


def test_help_needs_nothing_heavy():
    assert loaded_by("import snnhw.cli.app") == set()


@pytest.mark.parametrize("room", ["ir", "plan", "reference", "cost", "board"])
def test_estimating_needs_neither_torch_nor_amaranth(room):
    assert loaded_by(f"import snnhw.{room}") & {"torch", "snntorch", "amaranth", "pyosys", "cocotb"} == set()


def test_generating_and_simulating_need_no_torch():
    assert loaded_by("import rtl_gen, snnhw.verify, snnhw.build") & {"torch", "snntorch"} == set()
