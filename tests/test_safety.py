"""No code from data, no shell, no unsafe loader, no path of one machine: held by reading the source."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = "snnhw", "rtl_gen", "sim", "models", "scripts", "benchmarks"

MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml", "code", "codeop", "pty",
           "commands", "runpy"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    "os.system": "starts a shell",
    "os.popen": "starts a shell",
    "subprocess.getoutput": "starts a shell",
    "subprocess.getstatusoutput": "starts a shell",
    "asyncio.create_subprocess_shell": "starts a shell",
    "torch.jit.load": "loads code",
    "torch.hub.load": "downloads code",
    "tempfile.mktemp": "names a file without making it",
}
STARTERS = {"subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_call", "subprocess.check_output"}


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """Return the full dotted name of an expression, following the module's imports, or an empty string."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value, names)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name of a module stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = alias.name if alias.asname else alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def is_false(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def unsafe_call(node: ast.Call, names: dict[str, str]) -> str | None:
    """Return what is unsafe about a call, or None."""
    name = dotted(node.func, names)
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    if name in BUILTINS or name in {f"builtins.{builtin}" for builtin in BUILTINS}:
        return f"{name} runs code from data"
    if name in CALLS:
        return f"{name} {CALLS[name]}"
    if "shell" in keywords and not is_false(keywords["shell"]):
        return f"{name} with shell="
    if name in STARTERS and node.args and isinstance(node.args[0], ast.Constant | ast.JoinedStr | ast.BinOp):
        return f"{name} with a string instead of a list"
    if name == "torch.load" and not is_true(keywords.get("weights_only")):
        return "torch.load without weights_only=True"
    if name in ("numpy.load", "np.load") and "allow_pickle" in keywords and not is_false(keywords["allow_pickle"]):
        return "numpy.load with allow_pickle"
    if isinstance(node.func, ast.Attribute) and node.func.attr in ("extractall", "unpack_archive"):
        return f"{node.func.attr} writes where the archive says"
    return None


def unsafe(source: str) -> list[str]:
    """Return a sentence for each thing in `source` that this project never does."""
    tree = ast.parse(source)
    names, found = imported_names(tree), []
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            found += [f"line {line}: imports {alias.name}" for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] in MODULES:
            # The one harmless name there: what torch raises when it refuses a file.
            if [alias.name for alias in node.names] != ["UnpicklingError"]:
                found.append(f"line {line}: imports {node.module}")
        elif isinstance(node, ast.Call) and (problem := unsafe_call(node, names)):
            found.append(f"line {line}: {problem}")
    return found


SOURCES = [pytest.param(path, id=str(path.relative_to(ROOT)))
           for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", SOURCES)
def test_source_is_safe(path):
    assert unsafe(path.read_text()) == []


@pytest.mark.parametrize("source", [
    "import pickle",
    "import os, marshal",
    "from shelve import open",
    "from pickle import UnpicklingError, loads",
    "import cloudpickle as cp",
    "import yaml\nyaml.safe_load(text)",
    "eval(text)",
    "exec(text)",
    "compile(text, 'x', 'exec')",
    "import builtins\nbuiltins.eval(text)",
    "__import__(name)",
    "import os\nos.system('ls')",
    "from os import popen as start\nstart('ls')",
    "import subprocess\nsubprocess.run(arguments, shell=True)",
    "import subprocess\nsubprocess.run(arguments, shell=flag)",
    "import subprocess\nsubprocess.run('ls -l')",
    "import subprocess\nsubprocess.Popen(f'make {name}')",
    "from subprocess import check_output\ncheck_output('ls ' + name)",
    "import subprocess\nsubprocess.getoutput('ls')",
    "import torch\ntorch.load(path)",
    "import torch\ntorch.load(path, weights_only=False)",
    "from torch import load\nload(path)",
    "import torch as t\nt.load(path, weights_only=flag)",
    "import numpy as np\nnp.load(path, allow_pickle=True)",
    "archive.extractall(folder)",
    "import shutil\nshutil.unpack_archive(path)",
])
def test_lint_catches(source):
    assert len(unsafe(source)) == 1


@pytest.mark.parametrize("source", [
    "import subprocess\nsubprocess.run(['ls', name], check=True)",
    "import subprocess\nsubprocess.run([str(item) for item in arguments], shell=False)",
    "import torch\ntorch.load(path, weights_only=True)",
    "import numpy as np\nnp.load(path, allow_pickle=False)",
    "import re\nre.compile('a')",
    "model.eval()",
    "from pickle import UnpicklingError",
    "self.compile(design)",
])
def test_lint_allows(source):
    assert unsafe(source) == []


def tracked() -> list[Path]:
    """Return the text files that belong to the checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    files = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    return [path for path in files if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    if not (ROOT / ".git").exists():
        pytest.skip("the list of tracked files needs the git checkout")
    return {str(path.relative_to(ROOT)): path.read_text() for path in tracked()}


# Assembled from parts, so that this file is not its own finding.
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:" + "|".join(("root", "home", "work", "Users", "opt", "farm")) + r")/[\w.]")
DOWNLOAD_HOST = re.compile("|".join(("index-" + "url", "find-" + "links", "pypi" + r"\.org", "download" + r"\.pytorch")))


@pytest.mark.parametrize("pattern", [MACHINE_PATH, DOWNLOAD_HOST], ids=["machine path", "download host"])
def test_no_file_names_one_machine(texts, pattern):
    assert [f"{name}: {match.group()}" for name, text in texts.items() for match in pattern.finditer(text)] == []


@pytest.mark.parametrize(("pattern", "text"), [
    (MACHINE_PATH, "see /" + "root/.cache"),
    (MACHINE_PATH, "'/" + "home/someone/x'"),
    (DOWNLOAD_HOST, "--extra-index-" + "url x"),
])
def test_patterns_catch(pattern, text):
    assert pattern.search(text)


def test_no_loose_ends(texts):
    marks = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")))
    kinds = ".py", ".md", ".toml", ".cc", ".v", "Makefile"
    assert [name for name, text in texts.items() if name.endswith(kinds) and marks.search(text)] == []
