"""Front end: reads trained networks, and believes nothing but their behaviour.

Names are looked up when they are first used, because only the reader of snntorch needs torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snnhw.frontend.files import read_file
    from snnhw.frontend.folder import read_folder
    from snnhw.frontend.lava import read_lava
    from snnhw.frontend.module import read_module
    from snnhw.frontend.nir_choices import NirChoices
    from snnhw.frontend.nir_file import read_nir
    from snnhw.frontend.nir_write import write_nir

__all__ = ["NirChoices", "read_file", "read_folder", "read_lava", "read_module", "read_nir", "write_nir"]

_HOMES = {"read_folder": "folder", "read_module": "module", "read_file": "files", "read_lava": "lava",
          "NirChoices": "nir_choices", "read_nir": "nir_file", "write_nir": "nir_write"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
