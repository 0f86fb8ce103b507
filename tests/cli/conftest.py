"""Fixtures of the command-line tests."""

from snnhw_run import run_folder, snnhw

__all__ = ["run_folder", "snnhw"]
