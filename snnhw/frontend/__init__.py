"""Front end: reads trained networks, and believes nothing but their behaviour.

Names are looked up when they are first used, because only the reader of snntorch needs torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snnhw.frontend.module import read_module
    from snnhw.frontend.network import Behaviour, Layer, Network
    from snnhw.frontend.probe import probe_neuron
    from snnhw.frontend.read import read_network

__all__ = ["Behaviour", "Layer", "Network", "probe_neuron", "read_module", "read_network"]

_HOMES = {"Behaviour": "network", "Layer": "network", "Network": "network", "probe_neuron": "probe",
          "read_module": "module", "read_network": "read"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
