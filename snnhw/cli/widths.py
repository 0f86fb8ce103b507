"""``snnhw widths``: widths of weights and states, layer by layer."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from snnhw.cli.options import Board, Debug, Json, Out, Quiet
from snnhw.cli.output import Session, key_values, table
from snnhw.cli.runs import DEFAULT_BOARD
from snnhw.cli.train import ModelFolder
from snnhw.errors import UsageError

__all__ = ["command"]


def command(model: ModelFolder, out: Out, board: Board = None,
            checkpoint: Annotated[Path | None, typer.Option(
                "--checkpoint", help="Trained network; by default that of the model folder.", show_default=False)] = None,
            widths: Annotated[str, typer.Option("--widths", help="Widths to choose from, in bits.")] = "2,3,4,6,8",
            budget: Annotated[float, typer.Option(
                "--budget", help="By how much the cross entropy may rise before training again, in nats.")] = 0.05,
            objective: Annotated[Literal["bits", "blocks", "energy"], typer.Option(
                "--objective", help="What is made small: stored bits, memory blocks of the board, or energy on it.")] = "bits",
            samples: Annotated[int, typer.Option("--samples", min=1, help="Training samples that decide.")] = 1000,
            states: Annotated[float | None, typer.Option(
                "--states", help="Also narrow the states, by as much as costs this share of right decisions.",
                show_default=False)] = None,
            json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Find how many bits each layer needs, and write a model folder whose recipe has them."""
    from snnhw.tools import require_package
    require_package("torch", "train", "training")
    try:
        chosen = tuple(sorted({int(part) for part in widths.split(",")}))
    except ValueError:
        raise UsageError(f"--widths must be integers separated by commas, not {widths!r}") from None
    if not chosen or chosen[0] < 2 or chosen[-1] > 16:
        raise UsageError(f"--widths must be between 2 and 16 bits, not {widths!r}")
    from snnhw.board import load_board
    from snnhw.sweep.widths import find_widths
    session = Session("widths", json=json, quiet=quiet)
    results = find_widths(model, out, checkpoint=checkpoint, widths=chosen, budget=budget, objective=objective,
                          board=load_board(board or DEFAULT_BOARD), samples=samples, state_loss=states, progress=session.count)
    unit = {"bits": "bits", "blocks": "blocks", "energy": "pJ"}[objective]
    columns = ("layer", *(f"rise at {bits} b" for bits in chosen), *(f"{unit} at {bits} b" for bits in chosen), "chosen")
    rows = [(name, *(f"{rises[bits]:.4f}" for bits in chosen), *(f"{results['costs'][name][bits]:,.0f}" for bits in chosen),
             f"{results['chosen'][name]} bits") for name, rises in results["rises"].items()]
    blocks = [table("Sensitivity, cost and choice", columns, rows)]
    if results["states"]:
        blocks.append(table("States", ("layer", "bits before", "after", "accuracy"),
                            [(row["name"], row["before"], row["after"], f"{row['accuracy']:.2%}") for row in results["states"]]))
    session.finish(results, *blocks, key_values("Widths", {
        "objective": objective, f"{unit}, chosen": f"{results['cost']:,.0f}",
        **{f"{unit}, {bits} bits everywhere": f"{cost:,.0f}" for bits, cost in results["uniform_costs"].items()},
        "rise of the loss before training": f"{results['rise']:.4f} of {budget:g} nats",
        "train it with": f"snnhw train {out} --pretrained {out / 'float.safetensors'} --out RUN"}),
        folder=out, seed=results["seed"])
