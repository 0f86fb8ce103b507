"""RTLIL with one module for each component, whose ports have the names of its members."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from amaranth.back import rtlil
from amaranth.hdl import (
    ClockSignal,
    Elaboratable,
    Fragment,
    Instance,
    MemoryData,
    MemoryInstance,
    ResetSignal,
    Shape,
    Signal,
    Value,
)
from amaranth.lib import memory, wiring

__all__ = ["Contents", "convert_hierarchy", "insert_contents"]

_INITIAL = re.compile(
    r"(  cell \$meminit_v2 \S+\n    parameter \\MEMID \"\\\\(?P<memory>\w+)\"\n(?:    .*\n)*?    parameter \\WORDS )\d+"
    r"(\n(?:    .*\n)*?    connect \\DATA )(?P<data>\d+'[01]+)\n")
_MODULE = re.compile(r"^module \\([\w.]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Contents:
    """Initial contents of a memory.

    Parameters
    ----------
    words : sequence of int
        All words of the memory, unsigned.
    width : int
        Bits of a word.
    """

    words: Sequence[int]
    width: int

    @property
    def lines(self) -> list[str]:
        """The words in binary."""
        return [f"{word:0{self.width}b}" for word in self.words]


def convert_hierarchy(component: wiring.Component, *, name: str, domain: str) -> tuple[str, dict[tuple[str, str], Contents]]:
    """Return the RTLIL of a component and of the components in it, each named after its place: ``top_child_grandchild``.

    Amaranth names a port of a submodule after any signal that shares its wire, so every component is
    converted as a design of its own, where ports keep their names, and joined to its parent as an instance.

    Parameters
    ----------
    component : wiring.Component
        Is used up: the signals of the components in it are renamed. Its attribute ``domains``, if it has one, tells by name
        which components in it have another domain, with the same clock and a reset of its own.
    name : str
        Name of the top module.
    domain : str
        The clock domain of the top, and of all that is below it but what it says.

    Returns
    -------
    text : str
        RTLIL in which every memory has its first word alone, because Amaranth writes contents bit by bit.
    contents : dict of (str, str) to Contents
        All of them, by module and memory. :func:`insert_contents` puts them in their place.
    """
    modules: list[str] = []
    contents: dict[tuple[str, str], Contents] = {}
    _convert(Fragment.get(component, None), component, name, domain, modules, contents)
    *others, top = modules
    return "\n".join([top, *(module.replace("attribute \\top 1\n", "") for module in others)]), contents


def insert_contents(text: str, contents: Mapping[tuple[str, str], Contents]) -> str:
    """Return RTLIL with the whole contents of its memories."""
    parts = _MODULE.split(text)
    for index in range(1, len(parts), 2):
        module = parts[index]

        def fill(match: re.Match[str], module: str = module) -> str:
            found = contents[module, match["memory"]]
            bits = "".join(reversed(found.lines))
            return f"{match[1]}{len(found.words)}{match[3]}{len(bits)}'{bits}\n"

        parts[index + 1] = _INITIAL.sub(fill, parts[index + 1])
        parts[index] = f"module \\{module}"
    return "".join(parts)


class _Elaborated(Elaboratable):
    """A component with the fragment it was elaborated to."""

    def __init__(self, component: wiring.Component, fragment: Fragment):
        self._component, self._fragment = component, fragment

    def __getattr__(self, name: str) -> object:
        return getattr(self._component, name)

    def elaborate(self, platform: object) -> Fragment:
        return self._fragment


def _ports(component: wiring.Component) -> Iterator[tuple[str, Signal, bool]]:
    """Yield the name of each port, its signal, and whether it is an input."""
    for path, member, value in component.signature.flatten(component):
        signal = Value.cast(value)
        assert isinstance(signal, Signal)
        yield "__".join(str(part) for part in path), signal, member.flow is wiring.In


def _memories(fragment: Fragment, name: str) -> Iterator[tuple[tuple[str, str], MemoryData]]:
    """Yield the memories of a component, by module and name: its own, and those of parts that are no components."""
    for child, child_name, _ in fragment.subfragments:
        if isinstance(child, MemoryInstance):
            yield (name, child_name), child._data
        elif not any(isinstance(origin, wiring.Component) for origin in child.origins or ()):
            yield from _memories(child, f"{name}.{child_name}")


def _convert(fragment: Fragment, component: wiring.Component, name: str, domain: str, modules: list[str],
             contents: dict[tuple[str, str], Contents]) -> None:
    memories = dict(_memories(fragment, name))
    for index, (child, child_name, location) in enumerate(fragment.subfragments):
        part = next((origin for origin in child.origins or () if isinstance(origin, wiring.Component)), None)
        if part is None or isinstance(part, memory.Memory):
            continue
        inner = getattr(component, "domains", {}).get(child_name, domain)
        _convert(child, part, f"{name}_{child_name}", inner, modules, contents)
        # Of a part that has registers: the same clock everywhere, so that no simulator sees two.
        clocks = {f"{inner}_clk": ClockSignal(domain), f"{inner}_rst": ResetSignal(inner)}
        ports: dict[str, object] = {f"i_{port}": signal for port, signal in clocks.items() if f" \\{port}\n" in modules[-1]}
        for port, signal, is_input in _ports(part):
            ports[f"{'i' if is_input else 'o'}_{port}"] = signal
            signal.name = f"{child_name}_{port}"  # its name in the parent
        fragment.subfragments[index] = Instance(f"{name}_{child_name}", **ports), child_name, location
    words = {own: data.init._raw for own, data in memories.items()}
    for own, data in memories.items():
        contents[own] = Contents(tuple(words[own]), Shape.cast(data.shape).width)
        data.init._raw = words[own][:1]
    try:
        text = rtlil.convert(_Elaborated(component, fragment), name=name, emit_src=False)
    finally:
        for own, data in memories.items():
            data.init._raw = words[own]
    text, found = _INITIAL.subn(lambda match: f"{match[1]}1{match[3]}{match['data']}\n", text)
    assert found == len(memories), "every memory must be found in the text"
    modules.append(text)
