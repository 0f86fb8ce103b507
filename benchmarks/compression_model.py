"""Compare the architecture model with the energies of Schaefer et al. (2023). Prints the tables of docs/compression-model.md.

    python benchmarks/compression_model.py [--architecture eyeriss45] [--densities 0.01 0.03 0.1 0.3]

Input densities were not published, so each is an assumption, the same in every layer. No parameter is fitted.
"""

import argparse
from functools import cache

from snnhw.cost.hierarchy import HierarchyResult, evaluate, load_architecture, ratio_band
from snnhw.cost.published import published

FORMATS = {"rle": "rle4", "cp": "cp", "uop": "uop", "ubm": "ubm", "dense": "dense"}
POINTS = ((2, 0.0), (3, 0.0), (4, 0.0), (6, 0.0), (8, 0.0), (3, 0.8), (4, 0.8), (6, 0.8), (8, 0.8))


@cache
def point(name: str, encoding: str, bits: int, pruned: float, density: float, batch: int) -> HierarchyResult:
    """Evaluate one published point; the curve that stores every weight has no zeros."""
    architecture = load_architecture(name).changed(
        formats={"weights": FORMATS.get(encoding, encoding)}, mapping={"time_batch": batch})
    return evaluate(published().workloads(bits, pruned, input_density=density, zeros=encoding != "dense"), architecture)


def energies(name: str, density: float, batch: int) -> None:
    """Print every published energy beside ours."""
    print(f"\n| weights | encoding | paper mJ | {name} mJ | ours / paper | of ternary: paper | ours | Mcycles: paper | ours "
          "| DRAM: paper | ours |\n|---|---|---|---|---|---|---|---|---|---|---|")
    table = published().table
    for encoding in FORMATS:
        ternary = point(name, "rle", 2, 0.0, density, batch).energy_pj
        for bits, pruned in POINTS:
            try:
                paper = published().energy_mj(encoding, bits, pruned)
            except KeyError:
                continue
            key = f"{bits}b{f'@{pruned:.0%}' if pruned else ''}"
            ours = point(name, encoding, bits, pruned, density, batch)
            known = encoding == "rle"
            cycles, share = (table[item].get(key) if known else None for item in ("cycles_m", "dram_share"))
            print(f"| {key} | {encoding} | {paper:.2f} | {ours.energy_pj / 1e9:.2f} | {ours.energy_pj / 1e9 / paper:.2f} | "
                  f"{paper / published().energy_mj('rle', 2):.2f} | {ours.energy_pj / ternary:.2f} | "
                  f"{'' if cycles is None else f'{cycles:.2f}'} | {ours.cycles / 1e6:.2f} | "
                  f"{'' if share is None else f'{share:.0%}'} | {ours.share('dram'):.0%} |")


def ratios(densities: list[float]) -> None:
    """Print the key figures for every architecture, density and batch of timesteps."""
    print("\n| architecture | timesteps at once | input density | 8 b @ 80 % / ternary (band) | EDP | 3 b @ 80 % / ternary "
          "| DRAM, ternary | RLE pays at | bitmask pays at |\n|---|---|---|---|---|---|---|---|---|")
    for name in ("eyeriss45", "eyeriss-ratios", "onchip45"):
        for batch in (1, 20):
            for density in densities:
                ternary, pruned = (point(name, "rle", *item, density, batch) for item in ((2, 0.0), (8, 0.8)))
                both = point(name, "rle", 3, 0.8, density, batch)
                band = ratio_band(pruned, ternary)
                pays = {encoding: ", ".join(
                    str(bits) for bits in (2, 3, 4, 6, 8) if point(name, encoding, bits, 0.0, density, batch).energy_pj
                    < point(name, "dense", bits, 0.0, density, batch).energy_pj) for encoding in ("rle", "bitmask")}
                print(f"| {name} | {batch} | {density} | {pruned.energy_pj / ternary.energy_pj:.2f} ({band.low:.2f} .. "
                      f"{band.high:.2f}) | {pruned.edp / ternary.edp:.2f} | {both.energy_pj / ternary.energy_pj:.2f} | "
                      f"{ternary.share('dram'):.0%} | {pays['rle']} b | {pays['bitmask']} b |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="eyeriss45")
    parser.add_argument("--densities", type=float, nargs="+", default=[0.01, 0.03, 0.1, 0.3])
    parser.add_argument("--density", type=float, default=0.03, help="of the first table")
    parser.add_argument("--time-batch", type=int, default=1)
    arguments = parser.parse_args()
    energies(arguments.architecture, arguments.density, arguments.time_batch)
    ratios(arguments.densities)


if __name__ == "__main__":
    main()
