"""The program: its commands, and what becomes of their errors."""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType

import typer

from snnhw.cli import (
    build,
    calibrate,
    claims,
    compare,
    compress,
    data,
    doctor,
    encodings,
    energy,
    estimate,
    explain,
    fit,
    generate,
    import_,
    inspect,
    lower,
    report,
    stdp,
    sweep,
    train,
    verify,
    widths,
)
from snnhw.errors import NetworkError, SnnhwError
from snnhw.tools import ToolFailed

__all__ = ["app", "main", "run"]

EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143

app = typer.Typer(
    name="snnhw", add_completion=False, pretty_exceptions_enable=False,
    help="From a trained spiking neural network to an FPGA accelerator that computes exactly the same.",
    epilog="Exit codes: 0 ok, 1 a check failed, 2 wrong usage or input, 3 a tool is missing.",
)
# In the order of a session; the help shows them so.
for module in (doctor, data, train, lower, compress, widths, stdp, import_, explain, inspect, encodings, estimate, fit, generate,
               verify, build, energy, compare, report, sweep, claims):
    app.command(module.__name__.rpartition(".")[2].rstrip("_"))(module.command)
app.add_typer(calibrate.app, name="calibrate")


def _fail(code: int, *problems: str) -> int:
    """Print one error line for each problem and return the exit code."""
    for problem in problems:
        print("error:", problem, file=sys.stderr)
    return code


def _terminate(signum: int, frame: FrameType | None) -> None:
    """End through the ``finally`` blocks, which take half-written outputs away."""
    raise SystemExit(EXIT_TERMINATED)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return the exit code; errors become one line on stderr."""
    try:
        code = app(list(arguments) or ["--help"], prog_name="snnhw", standalone_mode=False)
        if code == EXIT_INTERRUPTED:  # what Typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except BrokenPipeError:  # the reader of our output went away, and had what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SnnhwError, ToolFailed, typer.TyperException, OSError) as error:
        if "--debug" in arguments:
            traceback.print_exception(error)
        if isinstance(error, typer.TyperException):
            return _fail(2, error.format_message().rstrip("."))
        if isinstance(error, NetworkError):
            return _fail(error.exit_code, *error.problems)
        if isinstance(error, SnnhwError):
            return _fail(error.exit_code, str(error))
        return _fail(1 if isinstance(error, ToolFailed) else 2, str(error))
    except KeyboardInterrupt:
        return _fail(EXIT_INTERRUPTED, "interrupted, nothing half-written is left behind")


def main() -> None:
    """Run the command that the process was started with, and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    raise SystemExit(run(sys.argv[1:]))
