"""Where the asset folders are: beside the packages in a checkout, inside the package in a wheel."""

from pathlib import Path

__all__ = ["asset"]


def asset(kind: str, *parts: str) -> Path:
    """Return the path of an asset of `kind`: ``"sim"``, ``"boards"`` or ``"models"``."""
    here = Path(__file__).resolve().parent
    for root in (here.parent, here / "_assets"):
        if (root / kind).is_dir():
            return root.joinpath(kind, *parts)
    raise AssertionError(f"asset folder {kind!r} is missing from the installation")
