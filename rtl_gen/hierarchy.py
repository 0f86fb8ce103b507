"""RTLIL with one module for each component, whose ports have the names of its members."""

from collections.abc import Iterator

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Elaboratable, Fragment, Instance, ResetSignal, Signal, Value
from amaranth.lib import memory, wiring

__all__ = ["convert_hierarchy"]


def convert_hierarchy(component: wiring.Component, *, name: str, domain: str) -> str:
    """Return the RTLIL of a component and of the components in it, each named after its place: ``top_child_grandchild``.

    Amaranth names a port of a submodule after any signal that shares its wire, so every component is
    converted as a design of its own, where ports keep their names, and joined to its parent as an instance.

    Parameters
    ----------
    component : wiring.Component
        Is used up: the signals of the components in it are renamed.
    name : str
        Name of the top module.
    domain : str
        The one clock domain below the top.
    """
    modules: list[str] = []
    _convert(Fragment.get(component, None), component, name, domain, modules)
    *others, top = modules
    return "\n".join([top, *(module.replace("attribute \\top 1\n", "") for module in others)])


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


def _convert(fragment: Fragment, component: wiring.Component, name: str, domain: str, modules: list[str]) -> None:
    for index, (child, child_name, location) in enumerate(fragment.subfragments):
        part = next((origin for origin in child.origins or () if isinstance(origin, wiring.Component)), None)
        if part is None or isinstance(part, memory.Memory):
            continue
        _convert(child, part, f"{name}_{child_name}", domain, modules)
        ports: dict[str, object] = {f"i_{domain}_clk": ClockSignal(domain), f"i_{domain}_rst": ResetSignal(domain)}
        for port, signal, is_input in _ports(part):
            ports[f"{'i' if is_input else 'o'}_{port}"] = signal
            signal.name = f"{child_name}_{port}"  # its name in the parent
        fragment.subfragments[index] = Instance(f"{name}_{child_name}", **ports), child_name, location
    modules.append(rtlil.convert(_Elaborated(component, fragment), name=name, emit_src=False))
