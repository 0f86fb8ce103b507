"""Bitstreams: synthesis, place and route, and what they report."""

from snnhw.build.flow import DEFAULT_SEEDS, BuildResult, build, measure_core, pack_core, synthesize
from snnhw.build.synthesis import Synthesis

__all__ = ["DEFAULT_SEEDS", "BuildResult", "Synthesis", "build", "measure_core", "pack_core", "synthesize"]
