"""Puts the asset folders into the wheel; everything else is in pyproject.toml.

``sim/``, ``boards/`` and ``models/`` are no import packages: generic names must not land in
site-packages. They travel inside ``snnhw/_assets`` and :mod:`snnhw.assets` finds them.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ASSETS = "sim", "boards", "models"


class BuildWithAssets(build_py):
    """Build the packages, then copy the asset folders beside them."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for name in ASSETS:
                shutil.copytree(name, Path(self.build_lib, "snnhw", "_assets", name), dirs_exist_ok=True,
                                ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*", "obj_dir", "sim_build"))


setup(cmdclass={"build_py": BuildWithAssets})
