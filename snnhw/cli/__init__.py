"""The command line: one file for each command, heavy imports inside."""

from snnhw.cli.app import main

__all__ = ["main"]
