"""What is in the wheel, and that it works where there is no checkout."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES, ASSETS = ("snnhw", "rtl_gen"), ("sim", "boards", "models")


def shipped() -> list[str]:
    """Return the files of the checkout that a wheel must hold."""
    files = []
    for folder in (*PACKAGES, *ASSETS):
        for path in sorted((ROOT / folder).rglob("*")):
            parts = path.relative_to(ROOT).parts
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in parts):
                files.append("/".join(parts))
    return files


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel from a copy, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in (*PACKAGES, *ASSETS):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder / "dist", "."]
    subprocess.run(command, cwd=folder / "source", check=True)
    return next((folder / "dist").glob("snnhw-*.whl"))


def test_wheel_holds_packages_and_assets(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {f"snnhw/_assets/{name}" if name.split("/")[0] in ASSETS else name for name in shipped()}
    assert names == expected


def test_wheel_brings_no_generic_names(wheel):
    assert {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name} == set(PACKAGES)


@pytest.mark.slow
def test_installed_wheel_works(wheel, tmp_path):
    """In its own environment and outside the checkout, the program runs and finds its assets."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True)
    # The dependencies are those of this environment; a path file inside theirs is not followed, so no checkout is found.
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(f"{Path(numpy.__file__).parent.parent}\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments):
        return subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = run(tmp_path / "env" / "bin" / "snnhw", "doctor", "--json")
    assert done.returncode in (0, 3), done.stderr
    assert json.loads(done.stdout)["command"] == "doctor"
    found = run(python, "-c", "import snnhw, snnhw.board as b; print(snnhw.__file__); print(b.load_board('icebreaker').name)")
    where, board = found.stdout.split()
    assert Path(where).is_relative_to(tmp_path)
    assert board == "icebreaker"
