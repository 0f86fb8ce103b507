"""Read a network from whatever file or folder it lies in."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from snnhw.errors import UsageError
from snnhw.ir import Graph
from snnhw.network import Network

__all__ = ["read_file"]


def read_file(path: Path | str, **choices: Any) -> Network | Graph:
    """Read a network: ``.nir`` by :func:`read_nir`, ``.net`` and ``.h5`` by :func:`read_lava`, else a folder by ``read_folder``.

    Parameters
    ----------
    path : Path
        A file or a folder.
    **choices
        Those of :class:`NirChoices`, or the keyword arguments of the other readers. None means not given.

    Raises
    ------
    UsageError
        A choice that this kind of file does not know.
    """
    path = Path(path)
    given = {name: value for name, value in choices.items() if value is not None}
    suffix = path.suffix.lower()
    if suffix == ".nir":
        from snnhw.frontend.nir_file import NirChoices, read_nir

        _only(given, {item.name for item in fields(NirChoices)}, "a NIR file")
        return read_nir(path, NirChoices(**given))
    if suffix in (".net", ".h5"):
        from snnhw.frontend.lava import read_lava

        _only(given, {"timesteps", "compare", "input_shape"}, "a Lava network")
        return read_lava(path, **given)
    from importlib import import_module

    network: Network = import_module("snnhw.frontend").read_folder(path, **given)
    return network


def _only(given: dict[str, Any], known: set[str], what: str) -> None:
    if unknown := sorted(set(given) - known):
        raise UsageError(f"choice {unknown[0]!r} must be one of {', '.join(sorted(known))} for {what}")
