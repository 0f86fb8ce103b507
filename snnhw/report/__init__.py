"""Report: one self-contained page from the records of a run."""

from snnhw.report.records import COMMANDS, read_run
from snnhw.report.write import write_report

__all__ = ["COMMANDS", "read_run", "write_report"]
