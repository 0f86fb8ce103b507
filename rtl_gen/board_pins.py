"""Sites and electrical attributes of the pins of a board top."""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from amaranth.build import Platform as AmaranthPlatform
from amaranth.build import ResourceError

from snnhw.board import Board
from snnhw.errors import BoardError
from snnhw.tools import require_package

__all__ = ["Pin", "board_pins"]

_WORD = re.compile(r"[A-Za-z0-9_.+-]{1,32}")


@dataclass(frozen=True)
class Pin:
    """One pin.

    Parameters
    ----------
    site : str
        Ball or pin of the package.
    attributes : mapping of str to str
        Attributes as the vendor's constraint format names them.
    inverted : bool
        A low level means true.
    """

    site: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    inverted: bool = False

    def __post_init__(self) -> None:
        for text in (self.site, *self.attributes, *self.attributes.values()):
            if not _WORD.fullmatch(text):
                raise ValueError(f"Pin site and attributes must be plain words, not {text!r}")


def _platform(board: Board) -> AmaranthPlatform:
    assert board.platform is not None
    require_package("amaranth_boards", "synth", "The pins of a board")
    try:
        module = importlib.import_module(f"amaranth_boards.{board.platform.module}")
    except ModuleNotFoundError:
        raise BoardError(f"board {board.name!r}: platform.module must be a module of amaranth-boards, "
                         f"not {board.platform.module!r}") from None
    kind = getattr(module, board.platform.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, AmaranthPlatform) and kind.__module__ == module.__name__):
        raise BoardError(f"board {board.name!r}: platform.kind must be a platform class of "
                         f"amaranth_boards.{board.platform.module}, not {board.platform.kind!r}")
    return kind()


def _pin(platform: AmaranthPlatform, name: str, part: str | None = None) -> Pin:
    """Return the first pin of a resource, or of one part of it."""
    resource = platform.lookup(name, 0)
    attributes = dict(resource.attrs)
    found = resource.ios[0]
    if part is not None:
        subsignal = next((item for item in resource.ios if getattr(item, "name", None) == part), None)
        if subsignal is None:
            raise ResourceError(f"resource {name!r} has no part {part!r}")
        found = subsignal.ios[0]
        attributes |= subsignal.attrs
    connected = dict(pair for connector in platform.connectors.values() for pair in connector)
    sites = found.map_names(connected, resource)
    return Pin(sites[0], {key: str(value) for key, value in attributes.items()}, bool(found.invert))


def board_pins(board: Board) -> dict[str, Pin]:
    """Return the pins ``clk``, ``uart_rx``, ``uart_tx`` and ``led`` of a board.

    Raises
    ------
    BoardError
        The platform or one of its resources does not exist.
    """
    if board.pins is not None:
        attributes = board.pins.attributes
        return {"clk": Pin(board.pins.clock, attributes), "uart_rx": Pin(board.pins.rx, attributes),
                "uart_tx": Pin(board.pins.tx, attributes), "led": Pin(board.pins.led, attributes, board.pins.led_inverted)}
    assert board.platform is not None
    platform = _platform(board)
    if platform.default_clk is None:
        raise BoardError(f"board {board.name!r}: {board.platform.kind} of amaranth-boards must have a default clock")
    try:
        pins = {"clk": _pin(platform, platform.default_clk), "led": _pin(platform, board.platform.led, board.platform.led_part)}
        if board.uart.connector is not None:
            connector = platform.connectors[board.uart.connector, 0]
            # A connector says nothing of levels; they are those of the clock input, on the same supply.
            pins |= {"uart_rx": Pin(connector.mapping[str(board.uart.rx)], pins["clk"].attributes),
                     "uart_tx": Pin(connector.mapping[str(board.uart.tx)], pins["clk"].attributes)}
        else:
            pins |= {f"uart_{part}": _pin(platform, "uart", part) for part in ("rx", "tx")}
    except (ResourceError, KeyError) as error:
        raise BoardError(f"board {board.name!r}: {board.platform.kind} of amaranth-boards lacks a resource: {error}") from None
    return {name: pins[name] for name in ("clk", "uart_rx", "uart_tx", "led")}
