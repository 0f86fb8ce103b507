"""The network and the energies that Schaefer et al. (2023) published, to compare the architecture model with."""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from snnhw.cost.workload import LayerWorkload

__all__ = ["Published", "published"]

FILE = Path(__file__).resolve().parent / "published" / "schaefer2023.toml"


@dataclass(frozen=True)
class Published:
    """What is known of the paper's workload and results.

    Attributes
    ----------
    table : dict
        The data file.
    """

    table: dict[str, Any]

    def energy_mj(self, encoding: str, bits: int, pruned: float = 0.0) -> float:
        """Return the published energy in mJ of an encoding; ``"dense"`` is the curve that stores every weight."""
        return float(self.table["energy_mj"][encoding][f"{bits}b{f'@{pruned:.0%}' if pruned else ''}"])

    def workloads(self, bits: int, pruned: float = 0.0, *, input_density: float = 0.1,
                  zeros: bool = True) -> tuple[LayerWorkload, ...]:
        """Return the layers of the network with the published densities of weights.

        For each layer they are known for ternary weights and for 8 bits pruned by 80 %. Other widths have the published mean in
        every layer; other widths that are pruned have the densities of 8 bits, from which they differ by less than 2 %.

        Parameters
        ----------
        bits : int
            2 (ternary), 3, 4, 6 or 8.
        pruned : float
            0 or 0.8.
        input_density : float
            Of every layer. Those of the paper are not published, so this is an assumption.
        zeros : bool
            Whether weights may be zero; if not, all are taken for non-zero, as in the paper's curves without weight sparsity.
        """
        if bits not in (2, 3, 4, 6, 8) or pruned not in (0.0, 0.8) or (bits == 2 and pruned):
            raise ValueError("Point must be 2, 3, 4, 6 or 8 bits, or 3 to 8 bits pruned by 0.8, "
                             f"not {bits} bits pruned by {pruned}")
        return tuple(LayerWorkload(
            name=row["name"], kind="linear" if row["P"] * row["Q"] == 1 else "conv",
            c=row["C"], m=row["M"], p=row["P"], q=row["Q"], r=row["R"], s=row["S"], timesteps=row["T"], weight_bits=bits,
            weight_density=1 - self._zeros(row, bits, pruned) if zeros else 1.0, input_density=input_density,
            input_density_worst=input_density, output_density=input_density, output_density_worst=input_density,
            inputs=row["C"] * row["P"] * row["Q"], neurons=row["M"] * row["P"] * row["Q"], state_bits=16,
        ) for row in self.table["layers"])

    def _zeros(self, row: dict[str, Any], bits: int, pruned: float) -> float:
        if pruned:
            return float(row["zeros_8b_80"])
        return float(row["zeros_2b"] if bits == 2 else self.table["zeros"][f"{bits}b"])


@lru_cache
def published() -> Published:
    """Return the published network and energies."""
    return Published(tomllib.loads(FILE.read_text()))
