"""Where the asset folders are: beside the packages in a checkout, inside the package in a wheel."""

from pathlib import Path

from snnhw.errors import FileError

__all__ = ["asset", "shipped_model"]


def asset(kind: str, *parts: str) -> Path:
    """Return the path of an asset of `kind`: ``"sim"``, ``"boards"`` or ``"models"``."""
    here = Path(__file__).resolve().parent
    for root in (here.parent, here / "_assets"):
        if (root / kind).is_dir():
            return root.joinpath(kind, *parts)
    raise AssertionError(f"asset folder {kind!r} is missing from the installation")


def shipped_model(name: str | Path, *parts: str) -> Path:
    """Return the folder of a model that holds `parts`: a path, or the name of one that is shipped, such as ``models/digits``."""
    path = Path(name)
    if not path.is_dir() and path.parent in (Path("."), Path("models")):
        shipped = asset("models", path.name)
        path = shipped if shipped.is_dir() else path
    if not path.is_dir():
        raise FileError(f"model folder {str(name)!r} does not exist")
    for part in parts:
        if not (path / part).is_file():
            raise FileError(f"model folder {str(name)!r} must hold {part}")
    return path
