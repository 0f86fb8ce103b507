"""Errors a user can cause, each with the exit code the command line ends with.

A message is one sentence that names the thing as the user wrote it, the constraint, and the
nearest supported form. What we, not the user, got wrong stays an ``AssertionError``.
"""

from collections.abc import Iterable

__all__ = [
    "BoardError",
    "CheckFailed",
    "FileError",
    "NetworkError",
    "SnnhwError",
    "ToolMissing",
    "UsageError",
    "raise_problems",
]


class SnnhwError(Exception):
    """Base of every error that is shown to the user without a traceback."""

    exit_code = 2


class UsageError(SnnhwError):
    """An option or argument is wrong."""


class FileError(SnnhwError):
    """A file is missing, malformed, too large or not writable."""


class NetworkError(SnnhwError):
    """A network cannot be reproduced in hardware.

    Attributes
    ----------
    problems : tuple of str
        One sentence for each thing that is wrong, in the order of the network.
    """

    def __init__(self, problems: str | Iterable[str]):
        self.problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class BoardError(SnnhwError):
    """A board is unknown, or too small for a design."""


class CheckFailed(SnnhwError):
    """A check that ran to its end found a difference."""

    exit_code = 1


class ToolMissing(SnnhwError):
    """A program or package that the command needs is not installed."""

    exit_code = 3


def raise_problems(problems: Iterable[str]) -> None:
    """Raise one :class:`NetworkError` that holds all the problems, if there are any."""
    found = tuple(problems)
    if found:
        raise NetworkError(found)
