"""Boards: what each has, and how a host talks to the core on one."""

from snnhw.board.budget import RESOURCES, available, shortages
from snnhw.board.model import Board, Budget, Pins, Platform, Pll, RamBlock, Resource, board_names, load_board
from snnhw.board.pll import ClockSettings, choose_clock, clocks_of

__all__ = ["RESOURCES", "Board", "Budget", "ClockSettings", "Pins", "Platform", "Pll", "RamBlock", "Resource",
           "available", "board_names", "choose_clock", "clocks_of", "load_board", "shortages"]
