"""Pins and clock in the format of each vendor. The first pin is the clock.

Every name is ours; sites and attributes are plain words, which :class:`rtl_gen.board_pins.Pin` holds.
"""

from collections.abc import Mapping

from rtl_gen.board_pins import Pin

__all__ = ["format_cst", "format_lpf", "format_pcf", "format_xdc"]

Pins = Mapping[str, Pin]


def _clock(pins: Pins) -> str:
    return next(iter(pins))


def format_pcf(pins: Pins, clock_hz: int) -> str:
    """Return constraints for nextpnr-ice40; a frequency of 0 is not constrained."""
    lines = [f"set_io {'-pullup yes ' if pin.attributes.get('PULLUP') == '1' and name.endswith('rx') else ''}{name} {pin.site}"
             for name, pin in pins.items()]
    if clock_hz:
        lines.append(f"set_frequency {_clock(pins)} {clock_hz / 1e6:g}")
    return "\n".join(lines) + "\n"


def format_lpf(pins: Pins, clock_hz: int) -> str:
    """Return constraints for nextpnr-ecp5; a frequency of 0 is not constrained."""
    lines = ["BLOCK ASYNCPATHS;", "BLOCK RESETPATHS;"]
    for name, pin in pins.items():
        lines.append(f'LOCATE COMP "{name}" SITE "{pin.site}";')
        if pin.attributes:
            lines.append(f'IOBUF PORT "{name}" {" ".join(f"{key}={value}" for key, value in pin.attributes.items())};')
    if clock_hz:
        lines.append(f'FREQUENCY PORT "{_clock(pins)}" {clock_hz} HZ;')
    return "\n".join(lines) + "\n"


def format_cst(pins: Pins, clock_hz: int) -> str:
    """Return constraints for nextpnr-himbaechel, Gowin; the clock goes on its command line."""
    lines = []
    for name, pin in pins.items():
        lines.append(f'IO_LOC "{name}" {pin.site};')
        lines += [f'IO_PORT "{name}" {key}={value};' for key, value in pin.attributes.items()]
    return "\n".join(lines) + "\n"


def format_xdc(pins: Pins, clock_hz: int) -> str:
    """Return constraints for Vivado."""
    lines = []
    for name, pin in pins.items():
        lines.append(f"set_property PACKAGE_PIN {pin.site} [get_ports {name}]")
        lines += [f"set_property {key} {value} [get_ports {name}]" for key, value in pin.attributes.items()]
    lines.append(f"create_clock -name {_clock(pins)} -period {1e9 / clock_hz:.3f} [get_ports {_clock(pins)}]")
    # The line to the host is asynchronous and the light is for people.
    lines += ["set_false_path -from [get_ports uart_rx]", "set_false_path -to [get_ports {uart_tx led}]"]
    return "\n".join(lines) + "\n"
