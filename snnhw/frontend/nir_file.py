"""Read a NIR file."""

from pathlib import Path
from typing import Any

import numpy as np

from snnhw.errors import FileError, NetworkError
from snnhw.frontend.hdf5 import read_tree
from snnhw.frontend.nir_build import build
from snnhw.frontend.nir_choices import Decided, NirChoices, decide
from snnhw.frontend.nir_facts import exact_content
from snnhw.frontend.nir_graph import Item, NirGraph, collect
from snnhw.ir import Graph
from snnhw.network import Network

__all__ = ["NirChoices", "read_nir"]

WHAT = "NIR file"


def read_nir(path: Path | str, choices: NirChoices | None = None) -> Network | Graph:
    """Read a network from a NIR file.

    The file is parsed here, within a budget of size, and nothing in it is executed; shapes are inferred here too.

    Parameters
    ----------
    path : Path
        A ``.nir`` file.
    choices : NirChoices or None
        What the file does not say. Each choice, and its origin, is recorded in ``choices`` of the network.

    Returns
    -------
    Network or Graph
        A float network; of a file that :func:`snnhw.frontend.write_nir` wrote, exactly what was written.

    Raises
    ------
    FileError
        The file is missing, damaged, too large, or no NIR file.
    NetworkError
        It is a NIR file, and holds what has no hardware, or needs a choice that was not made.
    """
    path, choices = Path(path), choices or NirChoices()
    tree = read_tree(path, WHAT)
    root = tree.get("node")
    if not isinstance(root, dict) or root.get("type") != "NIRGraph":
        raise FileError(f"{WHAT} {str(path)!r} must hold a NIRGraph named 'node', and does not")
    try:
        graph = collect(root)
    except ValueError as error:
        raise FileError(f"{WHAT} {str(path)!r} is not usable: {error}") from None
    if choices.metadata != "ignore":
        try:
            exact = exact_content(root, graph)
        except ValueError as error:
            raise FileError(f"{WHAT} {str(path)!r} is not usable: {error}; "
                            f"metadata = 'ignore' reads it like any NIR file") from None
        if exact is not None:
            return exact
    decided = decide(choices, *_clues(graph))
    _require(graph, decided)
    version = tree.get("version")
    record = {"file": f"NIR {version}" if isinstance(version, str) else "NIR, without a version"}
    return build(graph, decided, path.stem or "network", record)


def _clues(graph: NirGraph) -> tuple[tuple[str, str] | None, dict[str, Any]]:
    """Return the tool that the file looks like and what shows it, and the choices that the file answers."""
    neurons = [item for item in graph.items.values() if item.kind in ("LIF", "CubaLIF")]
    if not neurons:
        return None, {}
    if all("LIFNeuronTorch" in item.name or "LIFTorch" in item.name or "LIFJax" in item.name for item in neurons):
        dt = _rockpool_dt(neurons)
        return ("rockpool", "names of its neurons"), {} if dt is None else {"dt": dt}
    if all(_like_snntorch(item) for item in neurons):
        return ("snntorch", "r = tau / 1e-4 s, v_reset = 0 and v_leak = 0, as snntorch writes every neuron"), {}
    return None, {}


def _array(item: Item, name: str) -> np.ndarray:
    value = item.fields.get(name, np.nan)
    return np.asarray(value, np.float64) if isinstance(value, np.ndarray | float) else np.asarray(np.nan)


def _like_snntorch(item: Item) -> bool:
    tau, r = _array(item, "tau" if item.kind == "LIF" else "tau_mem"), _array(item, "r")
    if tau.shape != r.shape or not np.array_equal(_array(item, "v_reset"), np.zeros(_array(item, "v_reset").shape)):
        return False
    with np.errstate(all="ignore"):
        same = np.where(np.isinf(tau), np.isinf(r), np.isclose(r * 1e-4, tau, rtol=1e-5, atol=0))
    return bool(same.all()) and not _array(item, "v_leak").any()


def _rockpool_dt(neurons: list[Item]) -> float | None:
    """Return the timestep with which ``r = exp(-dt/tau) * tau/dt``, as Rockpool writes r, if there is one for all neurons."""
    found = []
    for item in neurons:
        if item.kind != "LIF":
            return None
        tau, r = _array(item, "tau"), _array(item, "r")
        if tau.shape != r.shape or not (np.isfinite(tau) & np.isfinite(r) & (tau > 0) & (r > 0)).all():
            return None
        x = np.log1p(1 / r)
        for _ in range(50):  # Newton for x*exp(x) = 1/r
            x = x - (x - np.exp(-x) / r) / (1 + x)
        found += (x * tau).ravel().tolist()
    dt = float(np.median(found))
    return float(f"{dt:.6g}") if np.allclose(found, dt, rtol=1e-4, atol=0) else None


def _require(graph: NirGraph, decided: Decided) -> None:
    """Raise NetworkError when a choice is missing that the file makes necessary."""
    timed = [item for item in graph.items.values() if item.kind in ("LI", "LIF", "CubaLI", "CubaLIF", "Delay")]
    if timed and decided.dt is None:
        raise NetworkError(f"{timed[0].where}: its time constant needs the length of a timestep, which NIR files do not hold; "
                           f"give dt in seconds (such as 1e-4), or the tool that wrote the file")
    firing = [item for item in graph.items.values() if item.kind in ("IF", "LIF", "CubaLIF")]
    if firing and decided.reset is None:
        detected = "" if decided.origins["tool"] == "given" else f" (the file looks like it: {decided.origins['tool'][6:]})"
        raise NetworkError(f"{firing[0].where}: snntorch{detected} does not write its reset into NIR files, "
                           f"so v_reset = 0 says nothing; give reset = 'subtract' (snntorch's default), 'zero' or 'none', "
                           f"or another tool")
