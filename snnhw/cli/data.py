"""``snnhw data``: the data sets that recipes can name, which are there, and where the others go."""

from typing import Annotated, Literal

import typer

from snnhw.cli.options import Debug, Json, Quiet
from snnhw.cli.output import Session, key_values, table
from snnhw.errors import UsageError

__all__ = ["command"]

Action = Annotated[Literal["list", "fetch"],
                   typer.Argument(help="`list` them, or `fetch` one through tonic.", show_default=False)]
Name = Annotated[str | None, typer.Argument(help="Data set to fetch: dvs-gesture or shd.", show_default=False)]


def command(action: Action, name: Name = None, json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Show the data sets that recipes can name: which are there, and where the files of the others go.

    Nothing is ever downloaded but by `snnhw data fetch`, which leaves it to tonic (`pip install 'snnhw[events]'`).
    """
    from snnhw.tools import require_package
    require_package("torch", "train", "data sets")
    from snnhw.compress.catalogue import CATALOGUE, data_folder
    session = Session("data", json=json, quiet=quiet)
    if action == "fetch":
        from snnhw.compress.event_data import fetch
        if name is None:
            raise UsageError("data set to fetch must be named: snnhw data fetch NAME")
        session.progress(f"fetching {name} from {CATALOGUE[name].page}" if name in CATALOGUE else f"looking for {name}")
        folder = fetch(name)
        session.finish({"name": name, "folder": str(folder)}, key_values(f"The data set {name} is there", {"folder": folder}))
        return
    if name is not None:
        raise UsageError(f"snnhw data list must stand alone, not before {name!r}")
    sets = []
    for source in CATALOGUE.values():
        sets.append({"name": source.name, "content": source.content, "licence": source.licence, "page": source.page,
                     "folder": str(source.folder) if source.place else None, "files": list(source.files),
                     "missing": list(source.missing()),
                     "archives": [{"name": item.name, "md5": item.md5, "target": item.target} for item in source.archives]})
    everything = table("Data sets", ("name", "state", "content", "licence"),
                       [(item["name"], "missing" if item["missing"] else "there", item["content"], item["licence"])
                        for item in sets], f"in {data_folder()}, which SNNHW_DATA names")
    gaps = [(source.name, ", ".join(source.missing()), source.folder, source.page)
            for source in CATALOGUE.values() if source.missing()]
    session.finish({"folder": str(data_folder()), "sets": sets}, everything,
                   *([table("Missing", ("name", "files", "go to", "come from"), gaps)] if gaps else []))
