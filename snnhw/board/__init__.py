"""Boards: what each has, and how a host talks to the core on one."""

from snnhw.board.budget import RESOURCES, available, shortages
from snnhw.board.model import Board, Budget, Pins, Platform, RamBlock, Resource, board_names, load_board

__all__ = ["RESOURCES", "Board", "Budget", "Pins", "Platform", "RamBlock", "Resource",
           "available", "board_names", "load_board", "shortages"]
