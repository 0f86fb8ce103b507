"""What a NIR file does not say, and who decided it.

NIR describes neurons by differential equations. It has no timestep, no rule of discretization, no mode of reset, no side of the
comparison. Every tool has its own answers; ``docs/discretization.md`` holds the table that was checked against their traces.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from snnhw.errors import UsageError

__all__ = ["TOOLS", "Decided", "NirChoices", "decide"]

MAX_GRADES = 15


@dataclass(frozen=True)
class NirChoices:
    """How to read a NIR file. What is None is the default of `tool`, or of the standard.

    Parameters
    ----------
    tool : str or None
        The tool whose neurons are meant: a key of :data:`TOOLS`.
    dt : float or None
        Length of a timestep in seconds.
    tau_unit : str or None
        ``"s"``, or ``"steps"``: time constants count timesteps, so `dt` is 1.
    method : str or None
        ``"euler"``: ``beta = 1 - dt/tau``, and an input counts ``r*dt/tau``. ``"exact"``: ``beta = exp(-dt/tau)``, and an input
        counts ``r*(1 - beta)``.
    input_gain : str or None
        ``"fold"`` these factors into the weights, or count inputs ``"one"`` as they are, whatever `r` says.
    reset : str or None
        ``"none"``, ``"zero"``, ``"value"`` (``v_reset`` of the file), ``"subtract"`` (``v_threshold - v_reset``).
    reset_time : str or None
        ``"immediate"`` or ``"next"``, one timestep later.
    compare : str or None
        A neuron fires ``">"`` or ``">="`` its threshold.
    grades : int or None
        Most spikes of a neuron in a timestep; more than 1 needs an immediate reset by subtraction.
    rounding : str or None
        How decays are rounded once they are integers: ``"floor"`` or toward ``"zero"``.
    over : str or None
        Which state of a readout without spikes counts: ``"last"``, ``"max"`` or ``"sum"``.
    timesteps : int or None
        Length of a sample.
    metadata : str or None
        ``"use"`` what this tool itself wrote into the file, or ``"ignore"`` it.
    """

    tool: str | None = None
    dt: float | None = None
    tau_unit: str | None = None
    method: str | None = None
    input_gain: str | None = None
    reset: str | None = None
    reset_time: str | None = None
    compare: str | None = None
    grades: int | None = None
    rounding: str | None = None
    over: str | None = None
    timesteps: int | None = None
    metadata: str | None = None

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise UsageError(f"NIR choice {name} must be {', '.join(allowed[:-1])} or {allowed[-1]}, not {value!r}")
        if self.dt is not None and not (isinstance(self.dt, int | float) and math.isfinite(self.dt) and self.dt > 0):
            raise UsageError(f"NIR choice dt must be a positive number of seconds, not {self.dt!r}")
        for name, highest in (("grades", MAX_GRADES), ("timesteps", 1 << 20)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or not 1 <= value <= highest):
                raise UsageError(f"NIR choice {name} must be an integer between 1 and {highest}, not {value!r}")


# How each tool runs a file it reads or writes, as far as the file leaves it open. snntorch writes no reset: nothing is assumed.
TOOLS: dict[str, dict[str, Any]] = {
    "snntorch": {"dt": 1e-4, "reset": None},
    "norse": {"dt": 1e-3},
    "sinabs": {"tau_unit": "steps", "method": "exact", "input_gain": "one", "reset": "subtract", "compare": ">=", "grades": 15},
    "spikingjelly": {"dt": 1e-4, "compare": ">="},
    "lava": {"dt": 1e-4, "reset": "zero", "rounding": "zero"},
    "rockpool": {"method": "exact", "input_gain": "one", "reset": "subtract"},
    "nengo": {"dt": 1e-3, "method": "exact", "reset": "zero"},
    "spyx": {"dt": 1e-4, "reset": "subtract", "reset_time": "next"},
}
STANDARD: dict[str, Any] = {
    "dt": None, "tau_unit": "s", "method": "euler", "input_gain": "fold", "reset": "value", "reset_time": "immediate",
    "compare": ">", "grades": 1, "rounding": "floor", "over": "max", "timesteps": 1, "metadata": "use"}
_ALLOWED: dict[str, tuple[str, ...]] = {
    "tool": tuple(TOOLS), "tau_unit": ("s", "steps"), "method": ("euler", "exact"), "input_gain": ("fold", "one"),
    "reset": ("none", "zero", "value", "subtract"), "reset_time": ("immediate", "next"), "compare": (">", ">="),
    "rounding": ("floor", "zero"), "over": ("last", "max", "sum"), "metadata": ("use", "ignore")}


@dataclass(frozen=True)
class Decided:
    """A complete answer: every choice, and where it came from. `dt` and `reset` are None where nobody answered.

    Parameters
    ----------
    values : mapping
        By the names of :class:`NirChoices`.
    origins : mapping of str to str
        ``"given"``, ``"file"``, ``"default for sinabs"``, ``"default of NIR"``.
    """

    values: Mapping[str, Any]
    origins: Mapping[str, str]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None


def decide(choices: NirChoices, detected: tuple[str, str] | None, found: Mapping[str, Any]) -> Decided:
    """Complete `choices`.

    Parameters
    ----------
    choices : NirChoices
        What the user said.
    detected : tuple of str, or None
        The tool that the file looks like, and what shows it.
    found : mapping
        Choices that the file itself answers.
    """
    tool, origin = choices.tool, "given"
    if tool is None and detected is not None:
        tool, origin = detected[0], f"file: {detected[1]}"
    defaults = TOOLS.get(tool or "", {})
    values: dict[str, Any] = {"tool": tool}
    origins = {"tool": origin if tool is not None else "not known"}
    for name in (item.name for item in fields(NirChoices) if item.name != "tool"):
        if (given := getattr(choices, name)) is not None:
            values[name], origins[name] = given, "given"
        elif name in found:
            values[name], origins[name] = found[name], "file"
        elif name in defaults:
            values[name], origins[name] = defaults[name], f"default for {tool}"
        else:
            values[name], origins[name] = STANDARD[name], "default of NIR" if name in _OF_NIR else "default"
    if values["tau_unit"] == "steps" and origins["dt"] != "given":
        values["dt"], origins["dt"] = 1.0, "time constants in timesteps"
    elif origins["dt"] == "given" and origins["tau_unit"] != "given":
        values["tau_unit"], origins["tau_unit"] = "s", "dt is given"
    if tool == "snntorch" and values["reset"] == "subtract" and origins["reset_time"] == "default of NIR":
        values["reset_time"], origins["reset_time"] = "next", "default for snntorch"
    if values["reset"] != "subtract" and origins["grades"].startswith("default for"):
        values["grades"], origins["grades"] = 1, "reset is not a subtraction"
    if values["grades"] > 1 and (values["reset"], values["reset_time"]) != ("subtract", "immediate"):
        raise UsageError(f"NIR choice grades must be 1 unless the reset is an immediate subtraction, not {values['grades']}")
    return Decided(values, origins)


_OF_NIR = frozenset(("reset", "reset_time", "compare"))
