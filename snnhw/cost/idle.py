"""What an inference costs when there are few of them: energy against inferences per second, for three ways to wait.

An inference takes `T` seconds and, beside static power, `D` joules. At `r` inferences per second `1 / r - T` seconds are waited:

- **clocked**: the clock network and the flip-flops go on, and static power: ``D + static / r + idle_clock * (1 / r - T)``;
- **clock-stopped**: static power goes on: ``D + static / r``;
- **powered down**: nothing goes on, and the device is configured anew before each inference: ``D + static * T + boot``.

Nothing of the logic moves while the core waits: without events its registers keep their values.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from snnhw.cost.bands import Band, draw, format_energy
from snnhw.cost.energy import STATIC, Energy
from snnhw.cost.tables import TextTable

__all__ = ["POLICIES", "IdlePolicy", "PolicyEnergy", "idle_policy_json", "idle_table"]

POLICIES = ("clocked", "clock-stopped", "powered-down")
LOWEST_PER_SECOND = 0.01
POINTS_PER_DECADE = 10


@dataclass(frozen=True, eq=False)
class PolicyEnergy:
    """Energy of one inference under a policy, in picojoules; every field is a middle value, or an array over the draws.

    Attributes
    ----------
    static : float or float64 array, (draws,)
        Static power times the time for which it is on.
    work : float or array
        The dynamic energy of the inference.
    idle_clock : float or array
        The clock while waiting.
    boot : float or array
        Configuration of the device.
    """

    static: float | np.ndarray
    work: float | np.ndarray
    idle_clock: float | np.ndarray
    boot: float | np.ndarray

    @property
    def dynamic(self) -> float | np.ndarray:
        return self.work + self.idle_clock + self.boot

    @property
    def total(self) -> float | np.ndarray:
        return self.static + self.dynamic


@dataclass(frozen=True)
class IdlePolicy:
    """How an accelerator waits for work.

    Parameters
    ----------
    energy : Energy
        Of a sample, with the constants of an FPGA: with its clock, its flip-flops and its static power.
    slowest_s : float or None
        Time of the slowest sample; None for that of the mean.
    """

    energy: Energy
    slowest_s: float | None = None

    def _amount(self, kind: str, parameter: str) -> float:
        return sum(term.amount for term in self.energy.terms if term.kind == kind and term.parameters == (parameter,))

    @cached_property
    def seconds(self) -> float:
        """Time of a sample."""
        return self._amount(STATIC, "static")

    @property
    def clock_hz(self) -> float:
        return self._amount("clock", "clock") / self.seconds

    @property
    def flip_flops(self) -> float:
        return self._amount("flip-flops", "flip_flop_clock") / self._amount("clock", "clock")

    @property
    def most_per_second(self) -> float:
        """Inferences per second above which the design cannot keep up on average."""
        return 1 / self.seconds

    @property
    def can_power_down(self) -> bool:
        """What a boot costs is known."""
        return {"boot_energy", "boot_time"} <= set(self.energy.constants.parameters)

    @property
    def policies(self) -> tuple[str, ...]:
        return POLICIES if self.can_power_down else POLICIES[:-1]

    def limit(self, policy: str) -> float:
        """Return the inferences per second up to which a policy can be followed: those that leave time for what it does."""
        boot = self._value("boot_time", drawn=False) if policy == "powered-down" else 0.0
        return 1 / (self.seconds + float(boot))

    def _value(self, name: str, *, drawn: bool) -> float | np.ndarray:
        """Return a parameter in base units: picojoules, seconds."""
        constant = self.energy.constants[name]
        values = draw(self.energy.constants, name, draws=self.energy.draws, seed=self.energy.seed) if drawn else constant.mid
        return values * constant.scale

    def _idle_clock(self, *, drawn: bool) -> float | np.ndarray:
        """Return the power of the clock network and of the clocked flip-flops, in picojoules per second."""
        flip_flops = self.flip_flops * self._value("flip_flop_clock", drawn=drawn)
        return (self._value("clock", drawn=drawn) + flip_flops) * self.clock_hz

    def _work(self, *, drawn: bool) -> float | np.ndarray:
        dynamic = self._dynamic
        return dynamic.drawn_pj if drawn else dynamic.mid_pj

    @cached_property
    def _dynamic(self) -> Energy:
        return self.energy.part(static=False)

    def at(self, policy: str, per_second: float, *, drawn: bool = True) -> PolicyEnergy:
        """Return the energy of an inference at a rate: in every draw, or at the middle values of the constants.

        Parameters
        ----------
        policy : str
            One of :attr:`policies`.
        per_second : float
            Inferences per second, positive and at most :meth:`limit`.
        """
        if policy not in self.policies:
            raise ValueError(f"Policy must be one of {', '.join(self.policies)}, not {policy!r}")
        if not 0 < per_second <= self.limit(policy) * (1 + 1e-12):
            raise ValueError(f"Inferences per second must be positive and at most {self.limit(policy):g}, not {per_second:g}")
        period = max(1 / per_second, self.seconds)
        on = self.seconds if policy == "powered-down" else period
        return PolicyEnergy(
            self._value("static", drawn=drawn) * on,
            self._work(drawn=drawn),
            self._idle_clock(drawn=drawn) * (period - self.seconds) if policy == "clocked" else 0.0,
            self._value("boot_energy", drawn=drawn) if policy == "powered-down" else 0.0,
        )

    def crossover(self, policy: str, *, drawn: bool = True) -> float | np.ndarray:
        """Return the rate below which powering down costs less than a policy that waits with the power on."""
        waiting = self._waiting(policy, drawn=drawn)
        return waiting / (self._value("boot_energy", drawn=drawn) + waiting * self.seconds)

    def waiting_dominates(self, policy: str, *, drawn: bool = True) -> float | np.ndarray:
        """Return the rate below which waiting costs more than the inference itself."""
        waiting = self._waiting(policy, drawn=drawn)
        inference = self._work(drawn=drawn) + self._value("static", drawn=drawn) * self.seconds
        return waiting / (inference + waiting * self.seconds)

    def _waiting(self, policy: str, *, drawn: bool) -> float | np.ndarray:
        clock = self._idle_clock(drawn=drawn) if policy == "clocked" else 0.0
        return self._value("static", drawn=drawn) + clock

    def rates(self) -> list[float]:
        """Return inferences per second, ten in a decade, up to the most."""
        last = int(np.floor(np.log10(self.most_per_second / LOWEST_PER_SECOND) * POINTS_PER_DECADE - 1e-9))
        grid = [float(f"{LOWEST_PER_SECOND * 10 ** (step / POINTS_PER_DECADE):.6g}") for step in range(last + 1)]
        return [*(rate for rate in grid if rate < self.most_per_second), self.most_per_second]


def _band(values: Callable[..., float | np.ndarray], *arguments: str) -> dict[str, float]:
    return {"mid": float(values(*arguments, drawn=False)), **Band.of(np.asarray(values(*arguments, drawn=True))).as_json()}


_TITLES = {
    "clocked": "the clock runs on, nothing moves",
    "clock-stopped": "the clock stands, static power goes on",
    "powered-down": "no power, the device is configured anew for each inference",
}
_NOTES = (
    "while it waits, no register of the core moves; oscillator, regulators, flash and host are not counted",
    "powered down, nothing is charged but the boot; weights that are loaded must come again, which is not counted",
)


def idle_policy_json(policy: IdlePolicy) -> dict[str, Any]:
    """Return energy per inference against inferences per second for every policy, and the rates at which they cross."""
    energy, most = policy.energy, policy.most_per_second

    def points(name: str) -> Iterable[dict[str, float]]:
        limit = policy.limit(name)
        for rate in [*(rate for rate in policy.rates() if rate < limit), limit]:
            mid = policy.at(name, rate, drawn=False)
            yield {
                "per_second": rate,
                "static_pj": float(mid.static),
                "dynamic_pj": float(mid.dynamic),
                "idle_clock_pj": float(mid.idle_clock),
                "boot_pj": float(mid.boot),
                "mid_pj": float(mid.total),
                **Band.of(np.asarray(policy.at(name, rate).total)).as_json(),
            }

    names = "static", "clock", "flip_flop_clock", "boot_energy", "boot_time"
    known = [name for name in names if name in energy.constants.parameters]
    return {
        "rung": energy.rung,
        "constants": energy.constants.title,
        "clock_hz": policy.clock_hz,
        "seconds_per_inference": policy.seconds,
        "most_per_second": most,
        "most_per_second_slowest": 1 / policy.slowest_s if policy.slowest_s is not None else most,
        "policies": [
            {"policy": name, "title": _TITLES[name], "most_per_second": policy.limit(name), "points": list(points(name))}
            for name in policy.policies
        ],
        "crossovers": [
            {"cheaper_below": "powered-down", "than": name, "unit": "inferences per second", **_band(policy.crossover, name)}
            for name in POLICIES[:-1] if policy.can_power_down
        ],
        "waiting_dominates_below": [
            {"policy": name, "unit": "inferences per second", **_band(policy.waiting_dominates, name)} for name in POLICIES[:-1]
        ],
        "assumed": [name for name in known if energy.constants[name].provenance == "assumed"],
        "notes": [_NOTES[0], _NOTES[1] if policy.can_power_down else
                  f"what a boot of {energy.constants.title} costs is not known: give boot_energy and boot_time with --constants"],
    }


def idle_table(record: dict[str, Any]) -> TextTable:
    """Return what :func:`idle_policy_json` gave, at one rate for each decade and at the highest, as medians and bands."""
    columns = {row["policy"]: {point["per_second"]: point for point in row["points"]} for row in record["policies"]}
    most = record["most_per_second"]
    decades = [rate for rate in columns["clocked"] if rate < most and float(f"{rate:.0e}") == rate and f"{rate:.0e}"[0] == "1"]
    rows = []
    for rate in [*decades, most]:
        cells = [columns[name].get(rate) for name in columns]
        there = {name: point["median"] for name, point in zip(columns, cells, strict=True) if point is not None}
        cheapest = min(there, key=lambda name: there[name])
        rows.append((
            f"{rate:,.4g}",
            *("-" if point is None else f"{format_energy(point['median'])} ({format_energy(point['low'])} .. "
              f"{format_energy(point['high'])})" for point in cells),
            cheapest if rate < most else "",
        ))
    pays = [row for row in record["crossovers"] if row["than"] == "clock-stopped"]
    below = ""
    if pays:
        below = f"; powering down pays below {pays[0]['median']:.2g} ({pays[0]['low']:.2g} .. {pays[0]['high']:.2g}) per second"
    return TextTable(
        f"energy of an inference while it waits for the next ({record['rung']}, median and 5 .. 95 %){below}",
        ("inferences per second", *columns, "least"),
        tuple(rows),
        frozenset({0}),
    )
