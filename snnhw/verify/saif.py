"""Activity as SAIF 2.0, the form that power tools read."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from snnhw import __version__
from snnhw.verify.simulation import Activity

__all__ = ["SaifNet", "format_saif", "rtl_saif"]

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


@dataclass(frozen=True)
class SaifNet:
    """One bit of a net.

    Parameters
    ----------
    path : tuple of str
        Instances from the top down, the name of the net last.
    bit : int or None
        Which bit of a net of several.
    high : float
        Clock cycles that it was high; half of them for the clock.
    toggles, glitches : int
        Transitions, glitches not among them; and transitions that were glitches.
    """

    path: tuple[str, ...]
    bit: int | None
    high: float
    toggles: int
    glitches: int = 0


@dataclass
class _Instance:
    nets: list[SaifNet] = field(default_factory=list)
    inner: dict[str, "_Instance"] = field(default_factory=dict)


def _escaped(name: str) -> str:
    return "".join(letter if letter in PLAIN else f"\\{letter}" for letter in name)


def format_saif(design: str, cycles: int, period_ps: int, nets: Iterable[SaifNet]) -> str:
    """Return the text of a SAIF file.

    Parameters
    ----------
    design : str
        Top module.
    cycles : int
        Clock cycles that were counted.
    period_ps : int
        Of the clock.
    nets : iterable of SaifNet
        Any order.
    """
    root = _Instance()
    for net in nets:
        place = root
        for name in net.path[:-1]:
            place = place.inner.setdefault(name, _Instance())
        place.nets.append(net)
    lines = ["(SAIFILE", '(SAIFVERSION "2.0")', '(DIRECTION "backward")', f'(DESIGN "{_escaped(design)}")', '(VENDOR "snnhw")',
             '(PROGRAM_NAME "snnhw")', f'(VERSION "{__version__}")', "(DIVIDER / )", "(TIMESCALE 1 ps)",
             f"(DURATION {cycles * period_ps})"]

    def write(name: str, instance: _Instance, indent: str) -> None:
        lines.append(f"{indent}(INSTANCE {_escaped(name)}")
        if instance.nets:
            lines.append(f"{indent}  (NET")
            for net in instance.nets:
                label = _escaped(net.path[-1]) + ("" if net.bit is None else f"\\[{net.bit}\\]")
                high = round(net.high * period_ps)
                lines.append(f"{indent}    ({label} (T0 {cycles * period_ps - high}) (T1 {high}) (TX 0) (TC {net.toggles}) "
                             f"(IG {net.glitches}))")
            lines.append(f"{indent}  )")
        for inner, part in sorted(instance.inner.items()):
            write(inner, part, indent + "  ")
        lines.append(f"{indent})")

    write(design, root, "")
    return "\n".join([*lines, ")", ""])


def rtl_saif(design: str, activity: Activity, period_ps: int, clock: str = "aclk") -> str:
    """Return the SAIF file of a simulated RTL, every name of every wire in it, and its clock."""
    nets = [SaifNet((clock,), None, activity.cycles / 2, 2 * activity.cycles)]
    for name, key in [*((name, name) for name in activity.nets), *activity.aliases.items()]:
        if name == clock:
            continue
        counts = activity.nets[key]
        several = counts.bits > 1
        nets += [
            SaifNet(tuple(name.split(".")), bit if several else None, int(counts.highs[bit]), int(counts.toggles[bit]))
            for bit in range(counts.bits)
        ]
    return format_saif(design, activity.cycles, period_ps, nets)
