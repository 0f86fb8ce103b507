"""Studies: the claims of the papers, measured on our own networks, hardware and data."""

from snnhw.studies.cache import RunCache

__all__ = ["RunCache"]
